package state

import (
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

const (
	// MaxSessions bounds the access sessions of one computer. Those that are
	// over make room for new ones.
	MaxSessions = 256
	// SessionKept is how long a session can still be looked up after its end.
	SessionKept = time.Hour
)

// CodeNotRunning marks the Conflict of using a computer that its user stopped.
const CodeNotRunning = "COMPUTER_NOT_RUNNING"

// AccessSession lets whoever has its token into one computer, in one way, for
// a time. The token is looked up by its hash, and sealed to be shown again to
// those who own the computer.
type AccessSession struct {
	ID        SessionID   `cbor:"1,keyasint"`
	Account   AccountID   `cbor:"2,keyasint"`
	Computer  ComputerID  `cbor:"3,keyasint"`
	Kind      SessionKind `cbor:"4,keyasint"`
	Hash      string      `cbor:"5,keyasint"` // SHA-256 of the token, hexadecimal
	Sealed    []byte      `cbor:"6,keyasint"`
	Share     ShareID     `cbor:"7,keyasint,omitempty"` // that it was redeemed from
	CreatedAt time.Time   `cbor:"8,keyasint"`
	ExpiresAt time.Time   `cbor:"9,keyasint"`
	RevokedAt time.Time   `cbor:"10,keyasint"`
}

// SessionKind is the way a session lets in.
type SessionKind string

const (
	BrowserSession SessionKind = "browser" // pages: the computer's own and its private ports
	VNCSession     SessionKind = "vnc"     // the desktop
	ExecSession    SessionKind = "exec"    // processes
)

// Valid reports whether the session lets in at a time.
func (s AccessSession) Valid(now time.Time) bool {
	return s.RevokedAt.IsZero() && now.Before(s.ExpiresAt)
}

var sessions = table[AccessSession]{
	name: "session", noun: "Access session",
	id: func(s AccessSession) string { return string(s.ID) },
	sealed: func(s *AccessSession) []sealedPlace {
		return []sealedPlace{{SealedAs(s.Account, SealedSession, string(s.ID)), &s.Sealed}}
	},
	indexes: []index[AccessSession]{
		{"hash", func(s AccessSession) ([]string, string, bool) { return []string{s.Hash}, "", true }},
		{"computer", func(s AccessSession) ([]string, string, bool) {
			return []string{string(s.Computer)}, stampText(s.ExpiresAt), true
		}},
		{"share", func(s AccessSession) ([]string, string, bool) {
			return []string{string(s.Share)}, stampText(s.ExpiresAt), s.Share != "" && s.RevokedAt.IsZero()
		}},
		{"expiry", func(s AccessSession) ([]string, string, bool) { return nil, stampText(s.ExpiresAt), true }},
	},
}

// AccessSession returns a session of an account's computer.
func (v *View) AccessSession(account AccountID, computer ComputerID, id SessionID) (AccessSession, error) {
	s, err := sessions.get(v.r, string(id))
	return owned(s, err, s.Account == account && s.Computer == computer, sessions.noun, string(id))
}

// AccessSessionByHash returns the session whose token has this hash, valid or not.
func (v *View) AccessSessionByHash(hash string) (s AccessSession, ok bool, err error) {
	err = sessions.each(v.r, "hash", []string{hash}, false, func(found AccessSession) bool { s, ok = found, true; return false })
	return s, ok, err
}

// OpenSession lets somebody into a computer that runs, or would at their first
// use, for TTL. It is refused with CodeNotRunning where its user stopped it.
type OpenSession struct {
	Session AccessSession `cbor:"1,keyasint"`
	TTL     time.Duration `cbor:"2,keyasint"`
}

func (cmd OpenSession) apply(tx *Tx) error {
	c, err := tx.Computer(cmd.Session.Account, cmd.Session.Computer)
	if err != nil {
		return err
	}
	return tx.openSession(c, cmd.Session, tx.now.Add(cmd.TTL))
}

func (tx *Tx) openSession(c Computer, s AccessSession, expires time.Time) error {
	switch {
	case c.Wish == WishDeleted:
		return fault.New(fault.Conflict, "computer %s is being deleted", c.ID)
	case c.Wish == WishStopped && !c.IdleStopped && c.Live == 0 && c.Phase != Provisioning:
		return fault.New(fault.Conflict, "the computer is stopped; start it first").WithCode(CodeNotRunning)
	}
	if err := tx.roomForSession(c.ID); err != nil {
		return err
	}
	s.Account, s.CreatedAt, s.ExpiresAt, s.RevokedAt = c.Account, tx.now, expires, time.Time{}
	return sessions.create(tx.w, s)
}

// roomForSession drops a computer's sessions that are over, if it has as many
// as it may, and refuses one more if that gives no room.
func (tx *Tx) roomForSession(c ComputerID) error {
	n, err := sessions.count(tx.w, "computer", string(c))
	if err != nil || n < MaxSessions {
		return err
	}
	over, err := collect(tx, &sessions, "computer", string(c))
	for _, s := range over {
		if err == nil && !s.Valid(tx.now) {
			err = sessions.remove(tx.w, string(s.ID))
			n--
		}
	}
	if err == nil && n >= MaxSessions {
		err = fault.New(fault.Conflict, "the computer has %d access sessions, which is the limit; revoke some or wait for their end", n)
	}
	return err
}

// collect reads the records of an index's scope.
func collect[T any](tx *Tx, t *table[T], ix string, scope ...string) (all []T, err error) {
	err = t.each(tx.w, ix, scope, false, func(rec T) bool { all = append(all, rec); return true })
	return all, err
}

// RevokeSession ends a session at once. Revoking twice is success.
type RevokeSession struct {
	Account  AccountID  `cbor:"1,keyasint"`
	Computer ComputerID `cbor:"2,keyasint"`
	ID       SessionID  `cbor:"3,keyasint"`
}

func (cmd RevokeSession) apply(tx *Tx) error {
	s, err := tx.AccessSession(cmd.Account, cmd.Computer, cmd.ID)
	if err != nil {
		return err
	}
	return tx.revokeSession(s)
}

func (tx *Tx) revokeSession(s AccessSession) error {
	if !s.RevokedAt.IsZero() {
		return nil
	}
	s.RevokedAt = tx.now
	tx.changed(Change{Noun: ChangedSession, ID: string(s.ID)})
	return sessions.put(tx.w, s)
}

// endAccess takes away every way into a computer that changes hands or goes:
// its sessions, ports and shares.
func (tx *Tx) endAccess(c ComputerID) error {
	open, err := collect(tx, &sessions, "computer", string(c))
	for _, s := range open {
		if err == nil {
			tx.changed(Change{Noun: ChangedSession, ID: string(s.ID)})
			err = sessions.remove(tx.w, string(s.ID))
		}
	}
	if err != nil {
		return err
	}
	published, err := collect(tx, &ports, "computer", string(c))
	for _, p := range published {
		if err == nil {
			err = tx.removePort(p)
		}
	}
	if err != nil {
		return err
	}
	links, err := collect(tx, &shares, "computer", string(c))
	for _, s := range links {
		if err == nil {
			err = shares.remove(tx.w, string(s.ID))
		}
	}
	return err
}
