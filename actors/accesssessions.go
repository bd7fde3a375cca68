package actors

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// Bounds of how long an access session lets in.
const (
	MinSessionTTL     = time.Minute
	DefaultSessionTTL = time.Hour
	MaxSessionTTL     = 24 * time.Hour
)

const (
	sessionTokenPrefix = "bxs_"
	shareTokenPrefix   = "bsh_"
	tokenBytes         = 32 // of chance in a token
	// maxTokenBytes bounds a token's text; longer ones are not looked up.
	maxTokenBytes = 128
)

// newToken makes a text that only who was given it knows.
func newToken(prefix string) string {
	b := make([]byte, tokenBytes)
	rand.Read(b)
	return prefix + base64.RawURLEncoding.EncodeToString(b)
}

// Sessions let people and programs into computers by a token, for a time.
type Sessions struct {
	cluster Cluster
	bell    *bell
	vault   vault
}

// Session is an access session with its token in plain text.
type Session struct {
	state.AccessSession
	Token string
}

// TTLOf checks how many seconds a session is asked for; nil is the default.
// What is not from MinSessionTTL to MaxSessionTTL is Invalid.
func TTLOf(seconds *int64) (time.Duration, error) {
	if seconds == nil {
		return DefaultSessionTTL, nil
	}
	least, most := int64(MinSessionTTL/time.Second), int64(MaxSessionTTL/time.Second)
	if *seconds < least || *seconds > most {
		return 0, fault.New(fault.Invalid, "ttl_seconds must be from %d to %d", least, most).WithField("ttl_seconds")
	}
	return time.Duration(*seconds) * time.Second, nil
}

// Open makes a session of an account's computer.
func (s *Sessions) Open(ctx context.Context, c Caller, id state.ComputerID, kind state.SessionKind, ttl time.Duration) (Session, error) {
	made, err := s.vault.newSession(c.Account, id, kind)
	if err != nil {
		return made, err
	}
	if _, err := s.cluster.Apply(ctx, state.OpenSession{Session: made.AccessSession, TTL: ttl}); err != nil {
		return Session{}, err
	}
	return s.Get(made.AccessSession)
}

// newSession makes a session's id and token.
func (v vault) newSession(account state.AccountID, id state.ComputerID, kind state.SessionKind) (Session, error) {
	made := Session{Token: newToken(sessionTokenPrefix), AccessSession: state.AccessSession{
		ID: newID[state.SessionID]("sess"), Account: account, Computer: id, Kind: kind}}
	made.Hash = hashKey(made.Token)
	var err error
	if made.Sealed, err = v.sealer.Seal(state.SealedAs(account, state.SealedSession, string(made.ID)), []byte(made.Token)); err != nil {
		return made, fmt.Errorf("seal a session's token: %w", err)
	}
	return made, nil
}

// Get reads a session that this node has applied, with its token.
func (s *Sessions) Get(known state.AccessSession) (Session, error) {
	found, err := applied(s.cluster, func(v *state.View) (state.AccessSession, error) {
		return v.AccessSession(known.Account, known.Computer, known.ID)
	})
	if err != nil {
		return Session{}, err
	}
	return s.Reveal(found)
}

// Reveal opens a session's token, for who owns its computer.
func (s *Sessions) Reveal(found state.AccessSession) (Session, error) {
	token, err := s.vault.sealer.Open(state.SealedAs(found.Account, state.SealedSession, string(found.ID)), found.Sealed)
	if err != nil {
		return Session{}, fmt.Errorf("open a session's token: %w", err)
	}
	return Session{found, string(token)}, nil
}

// Revoke ends a session, and what goes on with it at any node.
func (s *Sessions) Revoke(ctx context.Context, c Caller, id state.ComputerID, session state.SessionID) error {
	_, err := s.cluster.Apply(ctx, state.RevokeSession{Account: c.Account, Computer: id, ID: session})
	return err
}

// Admit finds the valid session of a token. One that was made a moment ago at
// another node is found too. A token that is unknown, over, or of a session of
// no kind named is Unauthorized.
func (s *Sessions) Admit(ctx context.Context, token string, kinds ...state.SessionKind) (state.AccessSession, error) {
	refused := fault.New(fault.Unauthorized, "The access token is missing, unknown or no longer valid")
	if len(token) <= len(sessionTokenPrefix) || len(token) > maxTokenBytes {
		return state.AccessSession{}, refused
	}
	session, ok, err := soon(ctx, s.cluster, func(v *state.View) (state.AccessSession, bool, error) { return v.AccessSessionByHash(hashKey(token)) })
	if err != nil {
		return state.AccessSession{}, err
	}
	left, err := s.left(session)
	if err != nil {
		return state.AccessSession{}, err
	}
	if !ok || !session.Valid(session.ExpiresAt.Add(-left)) || !slices.Contains(kinds, session.Kind) {
		return state.AccessSession{}, refused
	}
	return session, nil
}

// left is how long a session goes on by the records' time, in which it was said how
// long it lasts. Any clock may be apart from it.
func (s *Sessions) left(session state.AccessSession) (time.Duration, error) {
	gone, err := applied(s.cluster, func(v *state.View) (time.Duration, error) { return v.Since(session.CreatedAt) })
	return session.ExpiresAt.Sub(session.CreatedAt) - gone, err
}

// While returns a context that ends when the session no longer lets in.
func (s *Sessions) While(ctx context.Context, session state.AccessSession) (context.Context, context.CancelFunc) {
	left, err := s.left(session)
	if err != nil {
		left = 0 // it is asked for again
	}
	timed, expire := context.WithTimeout(ctx, left)
	watched, cancel := s.bell.while(timed, state.ChangedSession, string(session.ID), func() (bool, error) {
		return applied(s.cluster, func(v *state.View) (bool, error) {
			now, ok, err := v.AccessSessionByHash(session.Hash)
			return ok && now.RevokedAt.IsZero(), err
		})
	})
	return watched, func() { cancel(); expire() }
}

// soon looks for a record in this node's replica, and where it is not there
// asks a leader: it may have been made a moment ago at another node.
func soon[T any](ctx context.Context, c Cluster, find func(*state.View) (T, bool, error)) (T, bool, error) {
	type found struct {
		rec T
		ok  bool
	}
	look := func(v *state.View) (f found, err error) { f.rec, f.ok, err = find(v); return f, err }
	f, err := applied(c, look)
	if err == nil && !f.ok {
		f, err = view(ctx, c, look)
	}
	return f.rec, f.ok, err
}
