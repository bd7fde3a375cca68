package agentcomputer

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
)

// Sessions let in by a token.
type Sessions interface {
	Open(context.Context, actors.Caller, state.ComputerID, state.SessionKind, time.Duration) (actors.Session, error)
	Reveal(state.AccessSession) (actors.Session, error)
	Revoke(context.Context, actors.Caller, state.ComputerID, state.SessionID) error
}

func (a *API) sessionRoutes() []door.Route {
	return []door.Route{
		{Method: "POST", Path: "/computers/:id/access-sessions", Scopes: writing, Serve: a.Handle(a.openSession)},
		// Its answer holds the token, which lets in as writing does.
		{Method: "GET", Path: "/computers/:id/access-sessions/:session", Scopes: writing, Serve: a.Handle(a.getSession)},
		{Method: "DELETE", Path: "/computers/:id/access-sessions/:session", Scopes: writing, Serve: a.Handle(a.revokeSession)},
	}
}

// accessSession is an access session as who may use it sees it.
type accessSession struct {
	ID           string     `json:"id"`
	ComputerID   string     `json:"computer_id"`
	Kind         string     `json:"kind"`
	State        string     `json:"state"` // active, expired, revoked
	AccessURL    string     `json:"access_url"`
	ConnectURL   string     `json:"connect_url"`
	ConnectToken *string    `json:"connect_token"`
	CreatedAt    time.Time  `json:"created_at"`
	ExpiresAt    time.Time  `json:"expires_at"`
	RevokedAt    *time.Time `json:"revoked_at"`
	Transport    *transport `json:"transport,omitempty"`
}

// transport is how an exec session is spoken to.
type transport struct {
	Protocol     string   `json:"protocol"`
	Auth         string   `json:"auth"`
	Service      string   `json:"service"`
	BasePath     string   `json:"base_path"`
	Capabilities []string `json:"capabilities"`
}

func (a *API) sessionOf(c *gin.Context, s actors.Session) accessSession {
	w := accessSession{ID: string(s.ID), ComputerID: string(s.Computer), Kind: string(s.Kind), State: "active",
		AccessURL: a.links.Access(c.Request, s), ConnectURL: a.links.Connect(c.Request), ConnectToken: maybe(s.Token),
		CreatedAt: s.CreatedAt, ExpiresAt: s.ExpiresAt, RevokedAt: maybeTime(s.RevokedAt)}
	if s.Kind == state.ExecSession {
		w.Transport = &transport{Protocol: "connectrpc", Auth: "bearer", Service: "process.Process",
			BasePath: "/process.Process/", Capabilities: []string{"process"}}
	}
	switch {
	case !s.RevokedAt.IsZero():
		w.State, w.ConnectToken = "revoked", nil
	case !s.Valid(a.Now()):
		w.State, w.ConnectToken = "expired", nil
	}
	return w
}

// askedSession is the body that opens a session.
type askedSession struct {
	Kind string `json:"kind"`
	TTL  *int64 `json:"ttl_seconds"`
}

// kind checks what sort of session is asked for.
func (r askedSession) kind() (state.SessionKind, error) {
	switch k := state.SessionKind(r.Kind); k {
	case state.BrowserSession, state.VNCSession, state.ExecSession:
		return k, nil
	}
	if r.Kind == "ssh" {
		return "", fault.New(fault.Unsupported, "SSH has credentials of its own: ask for ssh-credentials").WithField("kind")
	}
	return "", invalid("kind", "kind must be browser, vnc or exec, not %.40q", r.Kind)
}

// openSession serves POST /computers/:id/access-sessions.
func (a *API) openSession(c *gin.Context) error {
	var req askedSession
	if err := a.Read(c, &req); err != nil {
		return err
	}
	kind, err := req.kind()
	if err != nil {
		return err
	}
	ttl, err := actors.TTLOf(req.TTL)
	if err != nil {
		return err
	}
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	s, err := a.Sessions.Open(c.Request.Context(), door.CallerOf(c), m.ID, kind, ttl)
	if err == nil {
		c.JSON(http.StatusCreated, gin.H{"session": a.sessionOf(c, s)})
	}
	return err
}

// getSession serves GET /computers/:id/access-sessions/:session.
func (a *API) getSession(c *gin.Context) error {
	id, err := door.ID(c, "session", "Access session")
	if err != nil {
		return err
	}
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	var found state.AccessSession
	if err := a.Look(c, func(v *state.View) (err error) {
		found, err = v.AccessSession(m.Account, m.ID, state.SessionID(id))
		return err
	}); err != nil {
		return err
	}
	s, err := a.Sessions.Reveal(found)
	if err == nil {
		ok(c, gin.H{"session": a.sessionOf(c, s)})
	}
	return err
}

// revokeSession serves DELETE /computers/:id/access-sessions/:session.
func (a *API) revokeSession(c *gin.Context) error {
	id, err := door.ID(c, "session", "Access session")
	if err != nil {
		return err
	}
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	err = a.Sessions.Revoke(c.Request.Context(), door.CallerOf(c), m.ID, state.SessionID(id))
	if err == nil {
		c.Status(http.StatusNoContent)
	}
	return err
}
