package state

import (
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

const (
	// MaxShares bounds the shares of one computer. Those that are over make room
	// for new ones.
	MaxShares = 64
	// ShareKept is how long a share is kept after its end.
	ShareKept = 24 * time.Hour
)

// Share is a link that lets whoever has it open sessions of a computer.
type Share struct {
	ID           ShareID    `cbor:"1,keyasint"`
	Account      AccountID  `cbor:"2,keyasint"`
	Computer     ComputerID `cbor:"3,keyasint"`
	Hash         string     `cbor:"4,keyasint"` // SHA-256 of the token, hexadecimal
	Sealed       []byte     `cbor:"5,keyasint"` // the token, to be shown again
	AllowBrowser bool       `cbor:"6,keyasint"`
	AllowVNC     bool       `cbor:"7,keyasint"`
	ExpiresAt    time.Time  `cbor:"8,keyasint"` // zero is never
	LastUsedAt   time.Time  `cbor:"9,keyasint"` // zero before the first use
	RevokedAt    time.Time  `cbor:"10,keyasint"`
	CreatedAt    time.Time  `cbor:"11,keyasint"`
}

// Valid reports whether the link works at a time.
func (s Share) Valid(now time.Time) bool {
	return s.RevokedAt.IsZero() && (s.ExpiresAt.IsZero() || now.Before(s.ExpiresAt))
}

// Allows reports whether the link opens sessions of a kind.
func (s Share) Allows(k SessionKind) bool {
	return k == BrowserSession && s.AllowBrowser || k == VNCSession && s.AllowVNC
}

// end is when the share was or will be over; false is never.
func (s Share) end() (time.Time, bool) {
	if !s.RevokedAt.IsZero() {
		return s.RevokedAt, true
	}
	return s.ExpiresAt, !s.ExpiresAt.IsZero()
}

var shares = table[Share]{
	name: "share", noun: "Share",
	id: func(s Share) string { return string(s.ID) },
	sealed: func(s *Share) []sealedPlace {
		return []sealedPlace{{SealedAs(s.Account, SealedShare, string(s.ID)), &s.Sealed}}
	},
	indexes: []index[Share]{
		{"hash", func(s Share) ([]string, string, bool) { return []string{s.Hash}, "", true }},
		{"computer", func(s Share) ([]string, string, bool) {
			return []string{string(s.Computer)}, stampText(s.CreatedAt), true
		}},
		{"end", func(s Share) ([]string, string, bool) {
			end, ends := s.end()
			if !ends {
				return nil, "", false
			}
			return nil, stampText(end), true
		}},
	},
}

// Share returns a share of an account's computer.
func (v *View) Share(account AccountID, computer ComputerID, id ShareID) (Share, error) {
	s, err := shares.get(v.r, string(id))
	return owned(s, err, s.Account == account && s.Computer == computer, shares.noun, string(id))
}

// ShareByHash returns the share whose token has this hash, valid or not.
func (v *View) ShareByHash(hash string) (s Share, ok bool, err error) {
	err = shares.each(v.r, "hash", []string{hash}, false, func(found Share) bool { s, ok = found, true; return false })
	return s, ok, err
}

// Shares lists the shares of a computer that are valid at a time, newest first.
func (v *View) Shares(c ComputerID, now time.Time) (valid []Share, err error) {
	valid = []Share{}
	err = shares.each(v.r, "computer", []string{string(c)}, true, func(s Share) bool {
		if s.Valid(now) {
			valid = append(valid, s)
		}
		return true
	})
	return valid, err
}

// CreateShare makes a link to a computer.
type CreateShare struct {
	Share Share `cbor:"1,keyasint"`
}

func (cmd CreateShare) apply(tx *Tx) error {
	c, err := tx.Computer(cmd.Share.Account, cmd.Share.Computer)
	if err != nil {
		return err
	}
	if c.Wish == WishDeleted {
		return fault.New(fault.Conflict, "computer %s is being deleted", c.ID)
	}
	if at := cmd.Share.ExpiresAt; !at.IsZero() && !tx.now.Before(at) {
		return fault.New(fault.Invalid, "expires_at is in the past").WithField("expires_at")
	}
	if err := tx.roomForShare(c.ID); err != nil {
		return err
	}
	s := cmd.Share
	s.CreatedAt, s.LastUsedAt, s.RevokedAt = tx.now, time.Time{}, time.Time{}
	return shares.create(tx.w, s)
}

// roomForShare is roomForSession of shares.
func (tx *Tx) roomForShare(c ComputerID) error {
	n, err := shares.count(tx.w, "computer", string(c))
	if err != nil || n < MaxShares {
		return err
	}
	links, err := collect(tx, &shares, "computer", string(c))
	for _, s := range links {
		if err == nil && !s.Valid(tx.now) {
			err = shares.remove(tx.w, string(s.ID))
			n--
		}
	}
	if err == nil && n >= MaxShares {
		err = fault.New(fault.Conflict, "the computer has %d shares, which is the limit; revoke some", n)
	}
	return err
}

// RevokeShare ends a link and the sessions that were opened with it. Revoking
// twice is success.
type RevokeShare struct {
	Account  AccountID  `cbor:"1,keyasint"`
	Computer ComputerID `cbor:"2,keyasint"`
	ID       ShareID    `cbor:"3,keyasint"`
}

func (cmd RevokeShare) apply(tx *Tx) error {
	s, err := tx.Share(cmd.Account, cmd.Computer, cmd.ID)
	if err != nil || !s.RevokedAt.IsZero() {
		return err
	}
	opened, err := collect(tx, &sessions, "share", string(s.ID))
	if err != nil {
		return err
	}
	for _, session := range opened {
		if err := tx.revokeSession(session); err != nil {
			return err
		}
	}
	s.RevokedAt = tx.now
	return shares.put(tx.w, s)
}

// RedeemShare opens a session with a link. The session ends with the link at
// the latest. An unknown link and one that is over are both NotFound.
type RedeemShare struct {
	Hash    string        `cbor:"1,keyasint"`
	Session AccessSession `cbor:"2,keyasint"`
	TTL     time.Duration `cbor:"3,keyasint"`
}

func (cmd RedeemShare) apply(tx *Tx) error {
	s, ok, err := tx.ShareByHash(cmd.Hash)
	if err != nil {
		return err
	}
	if !ok || !s.Valid(tx.now) {
		return fault.New(fault.NotFound, "Share not found")
	}
	if !s.Allows(cmd.Session.Kind) {
		return fault.New(fault.Forbidden, "This share does not allow %s sessions", cmd.Session.Kind).WithField("kind")
	}
	c, err := tx.Computer(s.Account, s.Computer)
	if err != nil {
		return err
	}
	expires := tx.now.Add(cmd.TTL)
	if !s.ExpiresAt.IsZero() && s.ExpiresAt.Before(expires) {
		expires = s.ExpiresAt
	}
	cmd.Session.Share, cmd.Session.Computer = s.ID, s.Computer
	if err := tx.openSession(c, cmd.Session, expires); err != nil {
		return err
	}
	s.LastUsedAt = tx.now
	return shares.put(tx.w, s)
}
