package gateway

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
)

// MaxTraffic bounds what goes on at once with one computer through one node:
// requests, streams and WebSockets.
const MaxTraffic = 512

// Sessions let in by a token.
type Sessions interface {
	// Admit finds the valid session of a token, of one of the kinds.
	Admit(ctx context.Context, token string, kinds ...state.SessionKind) (state.AccessSession, error)
	// While returns a context that ends when the session no longer lets in.
	While(context.Context, state.AccessSession) (context.Context, context.CancelFunc)
}

// Ports are the published ones.
type Ports interface {
	// Find returns a port and its computer, named by its label or its id.
	Find(ctx context.Context, name string, port uint16) (state.Computer, state.Port, bool, error)
	// While returns a context that ends when the port is not as it was.
	While(context.Context, state.Port) (context.Context, context.CancelFunc)
}

// Shares are links that open sessions.
type Shares interface {
	Find(ctx context.Context, token string) (actors.Share, state.Computer, error)
	Redeem(ctx context.Context, token string, kind state.SessionKind, ttl time.Duration) (actors.Session, error)
}

// Computers are reached through any node.
type Computers interface {
	Guest(state.AccountID, state.ComputerID) http.RoundTripper
	Dial(ctx context.Context, account state.AccountID, id state.ComputerID, port uint16) (net.Conn, error)
}

// Diary has audited what is done.
type Diary interface {
	Note(ctx context.Context, action string, account state.AccountID, id state.ComputerID, names ...string)
}

// Nouns are what the gateway asks.
type Nouns struct {
	Sessions  Sessions
	Ports     Ports
	Shares    Shares
	Computers Computers
	Diary     Diary
}

// Options is what the gateway stands on.
type Options struct {
	Nouns
	Links door.Links
	Log   *slog.Logger
	Now   func() time.Time
	// Drain is done when the node begins to drain: streams that would not end
	// by themselves are cut, so that their clients go elsewhere.
	Drain context.Context
}

// Gateway carries traffic into computers.
type Gateway struct {
	Options
	crowd crowd
}

// New makes the gateway.
func New(o Options) *Gateway {
	return &Gateway{Options: o, crowd: crowd{in: map[state.ComputerID]int{}}}
}

// Before takes the requests that are traffic, and leaves the others to next.
func (g *Gateway) Before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if at, taken := hosted(r.Host, g.Links.Domain); taken {
			g.servePort(w, r, at)
			return
		}
		switch {
		case strings.HasPrefix(r.URL.Path, execPath):
			g.serveExec(w, r)
		case strings.HasPrefix(r.URL.Path, door.PortPath):
			g.servePort(w, r, pathed(r.URL.EscapedPath()))
		case strings.HasPrefix(r.URL.Path, door.SharePath):
			g.serveShare(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// untilDrained returns a context that also ends when the node drains.
func (g *Gateway) untilDrained(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(g.Drain, cancel)
	return ctx, func() { stop(); cancel() }
}

// crowd counts what goes on with each computer.
type crowd struct {
	mu sync.Mutex
	in map[state.ComputerID]int
}

// enter takes a place, which leave gives back, or is Unavailable.
func (c *crowd) enter(id state.ComputerID) (leave func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.in[id] >= MaxTraffic {
		return nil, fault.New(fault.Unavailable, "%d requests to this computer are in progress, which is the limit", MaxTraffic).WithRetry(time.Second)
	}
	c.in[id]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.in[id]--; c.in[id] == 0 {
			delete(c.in, id)
		}
	}, nil
}
