package agentcomputer

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
)

// Shares are links that let people in without a key.
type Shares interface {
	Create(context.Context, actors.Caller, state.Share) (actors.Share, error)
	Reveal(state.Share) (actors.Share, error)
	Revoke(context.Context, actors.Caller, state.ComputerID, state.ShareID) error
	Find(ctx context.Context, token string) (actors.Share, state.Computer, error)
	Redeem(ctx context.Context, token string, kind state.SessionKind, ttl time.Duration) (actors.Session, error)
}

func (a *API) shareRoutes() []door.Route {
	return []door.Route{
		// The links let in as writing does.
		{Method: "GET", Path: "/computers/:id/shares", Scopes: writing, Serve: a.Handle(a.listShares)},
		{Method: "POST", Path: "/computers/:id/shares/links", Scopes: writing, Serve: a.Handle(a.createShare)},
		{Method: "DELETE", Path: "/computers/:id/shares/links/:share", Scopes: writing, Serve: a.Handle(a.revokeShare)},
		{Method: "GET", Path: "/shares/:token", Access: door.Public, Serve: a.Handle(a.resolveShare)},
		{Method: "POST", Path: "/shares/:token/access-sessions", Access: door.Public, Serve: a.Handle(a.redeemShare)},
	}
}

// share is a link as the computer's account sees it.
type share struct {
	ID           string     `json:"id"`
	Kind         string     `json:"kind"`
	ComputerID   string     `json:"computer_id"`
	AllowBrowser bool       `json:"allow_browser"`
	AllowVNC     bool       `json:"allow_vnc"`
	ShareURL     *string    `json:"share_url"`
	ExpiresAt    *time.Time `json:"expires_at"`
	LastUsedAt   *time.Time `json:"last_used_at"`
	RevokedAt    *time.Time `json:"revoked_at"`
	CreatedAt    time.Time  `json:"created_at"`
}

func (a *API) shareOf(c *gin.Context, s actors.Share) share {
	return share{ID: string(s.ID), Kind: "link", ComputerID: string(s.Computer), AllowBrowser: s.AllowBrowser, AllowVNC: s.AllowVNC,
		ShareURL: maybe(a.links.Share(c.Request, s.Token)), ExpiresAt: maybeTime(s.ExpiresAt), LastUsedAt: maybeTime(s.LastUsedAt),
		RevokedAt: maybeTime(s.RevokedAt), CreatedAt: s.CreatedAt}
}

// listShares serves GET /computers/:id/shares: those that work.
func (a *API) listShares(c *gin.Context) error {
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	reply := struct {
		Shares []share `json:"shares"`
	}{Shares: []share{}}
	err = a.LookAll(c, func(v *state.View) error {
		all, err := v.Shares(m.ID, a.Now())
		for _, s := range all {
			shown, err := a.Shares.Reveal(s)
			if err != nil {
				return err
			}
			reply.Shares = append(reply.Shares, a.shareOf(c, shown))
		}
		return err
	})
	if err == nil {
		ok(c, reply)
	}
	return err
}

// createShare serves POST /computers/:id/shares/links. Without a word on what is
// allowed it is the browser.
func (a *API) createShare(c *gin.Context) error {
	var req struct {
		Browser *bool      `json:"allow_browser"`
		VNC     bool       `json:"allow_vnc"`
		Expires *time.Time `json:"expires_at"`
	}
	if err := a.ReadAny(c, &req); err != nil {
		return err
	}
	ask := state.Share{AllowBrowser: req.Browser == nil || *req.Browser, AllowVNC: req.VNC}
	switch {
	case !ask.AllowBrowser && !ask.AllowVNC:
		return invalid("allow_browser", "a share must allow the browser, or VNC, or both")
	case req.Expires != nil && !req.Expires.After(a.Now()):
		return invalid("expires_at", "expires_at must be in the future")
	case req.Expires != nil:
		ask.ExpiresAt = req.Expires.UTC()
	}
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	ask.Computer = m.ID
	made, err := a.Shares.Create(c.Request.Context(), door.CallerOf(c), ask)
	if err == nil {
		c.JSON(http.StatusCreated, gin.H{"share": a.shareOf(c, made)})
	}
	return err
}

// revokeShare serves DELETE /computers/:id/shares/links/:share.
func (a *API) revokeShare(c *gin.Context) error {
	id, err := door.ID(c, "share", "Share")
	if err != nil {
		return err
	}
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	err = a.Shares.Revoke(c.Request.Context(), door.CallerOf(c), m.ID, state.ShareID(id))
	if err == nil {
		c.Status(http.StatusNoContent)
	}
	return err
}

// resolvedShare is a link as who has it sees it.
type resolvedShare struct {
	ID                  string     `json:"id"`
	ComputerID          string     `json:"computer_id"`
	ComputerHandle      string     `json:"computer_handle"`
	ComputerDisplayName string     `json:"computer_display_name"`
	AllowBrowser        bool       `json:"allow_browser"`
	AllowVNC            bool       `json:"allow_vnc"`
	ShareURL            string     `json:"share_url"`
	ExpiresAt           *time.Time `json:"expires_at"`
	LastUsedAt          *time.Time `json:"last_used_at"`
	RevokedAt           *time.Time `json:"revoked_at"`
	CreatedAt           time.Time  `json:"created_at"`
}

// resolveShare serves GET /shares/:token.
func (a *API) resolveShare(c *gin.Context) error {
	token, err := door.ID(c, "token", "Share")
	if err != nil {
		return err
	}
	s, m, err := a.Shares.Find(c.Request.Context(), token)
	if err != nil {
		return err
	}
	handle := m.Handle
	if handle == "" {
		handle = string(m.ID)
	}
	ok(c, gin.H{"share": resolvedShare{ID: string(s.ID), ComputerID: string(s.Computer), ComputerHandle: handle, ComputerDisplayName: m.Name,
		AllowBrowser: s.AllowBrowser, AllowVNC: s.AllowVNC, ShareURL: a.links.Share(c.Request, token), ExpiresAt: maybeTime(s.ExpiresAt),
		LastUsedAt: maybeTime(s.LastUsedAt), RevokedAt: maybeTime(s.RevokedAt), CreatedAt: s.CreatedAt}})
	return nil
}

// redeemShare serves POST /shares/:token/access-sessions.
func (a *API) redeemShare(c *gin.Context) error {
	var req askedSession
	if err := a.ReadAny(c, &req); err != nil {
		return err
	}
	var kind state.SessionKind
	if req.Kind != "" {
		var err error
		if kind, err = req.kind(); err != nil {
			return err
		}
	}
	ttl, err := actors.TTLOf(req.TTL)
	if err != nil {
		return err
	}
	token, err := door.ID(c, "token", "Share")
	if err != nil {
		return err
	}
	s, err := a.Shares.Redeem(c.Request.Context(), token, kind, ttl)
	if err == nil {
		c.JSON(http.StatusCreated, gin.H{"session": a.sessionOf(c, s)})
	}
	return err
}
