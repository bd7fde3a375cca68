package actors

import (
	"context"
	"fmt"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// Shares are links that let people into a computer without a key.
type Shares struct {
	cluster  Cluster
	sessions *Sessions
	vault    vault
	now      func() time.Time
}

// Share is a share with its token in plain text.
type Share struct {
	state.Share
	Token string
}

// Create makes a link as asked: its computer, what it allows, its end.
func (s *Shares) Create(ctx context.Context, c Caller, ask state.Share) (Share, error) {
	token := newToken(shareTokenPrefix)
	ask.ID, ask.Account, ask.Hash = newID[state.ShareID]("share"), c.Account, hashKey(token)
	var err error
	if ask.Sealed, err = s.vault.sealer.Seal(state.SealedAs(c.Account, state.SealedShare, string(ask.ID)), []byte(token)); err != nil {
		return Share{}, fmt.Errorf("seal a share's token: %w", err)
	}
	if _, err := s.cluster.Apply(ctx, state.CreateShare{Share: ask}); err != nil {
		return Share{}, err
	}
	made, err := applied(s.cluster, func(v *state.View) (state.Share, error) { return v.Share(c.Account, ask.Computer, ask.ID) })
	return Share{made, token}, err
}

// Reveal opens a share's token, for who owns its computer.
func (s *Shares) Reveal(found state.Share) (Share, error) {
	token, err := s.vault.sealer.Open(state.SealedAs(found.Account, state.SealedShare, string(found.ID)), found.Sealed)
	if err != nil {
		return Share{}, fmt.Errorf("open a share's token: %w", err)
	}
	return Share{found, string(token)}, nil
}

// Revoke ends a link and the sessions that were opened with it.
func (s *Shares) Revoke(ctx context.Context, c Caller, id state.ComputerID, share state.ShareID) error {
	_, err := s.cluster.Apply(ctx, state.RevokeShare{Account: c.Account, Computer: id, ID: share})
	return err
}

// Find returns the valid share of a token and its computer. One that is unknown
// or over is NotFound.
func (s *Shares) Find(ctx context.Context, token string) (found Share, c state.Computer, err error) {
	none := fault.New(fault.NotFound, "Share not found")
	if len(token) > maxTokenBytes {
		return found, c, none
	}
	ok := false
	share, err := view(ctx, s.cluster, func(v *state.View) (share state.Share, err error) {
		if share, ok, err = v.ShareByHash(hashKey(token)); err != nil || !ok {
			return share, err
		}
		c, ok, err = v.AnyComputer(share.Computer)
		return share, err
	})
	if err == nil && (!ok || !share.Valid(s.now())) {
		err = none
	}
	return Share{share, token}, c, err
}

// Redeem opens a session with a link's token; kind is browser or vnc, and "" is
// the first that the link allows.
func (s *Shares) Redeem(ctx context.Context, token string, kind state.SessionKind, ttl time.Duration) (Session, error) {
	share, _, err := s.Find(ctx, token)
	if err != nil {
		return Session{}, err
	}
	if kind == "" {
		kind = state.BrowserSession
		if !share.AllowBrowser {
			kind = state.VNCSession
		}
	}
	made, err := s.vault.newSession(share.Account, share.Computer, kind)
	if err != nil {
		return made, err
	}
	if _, err := s.cluster.Apply(ctx, state.RedeemShare{Hash: share.Hash, Session: made.AccessSession, TTL: ttl}); err != nil {
		return Session{}, err
	}
	return s.sessions.Get(made.AccessSession)
}
