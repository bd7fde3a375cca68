// Package modelgateway lets programs inside computers call models, without
// the key of any vendor entering a computer.
//
// It listens inside the computer, in its network namespace, for as long as one
// run lasts. It speaks a vendor's own wire format and passes requests and
// replies on in it; what it adds is the vendor's key, and what it takes is
// money of the run.
//
//	gateway.go  what all runs of a node share, and one run's pass
//	serve.go    one call: who asks, for what, is it paid, the vendor's answer
//	dialect.go  the wire formats: OpenAI's two, Anthropic's, Google's
//	request.go  a request, read and bounded
//	google.go   what is particular in one of Google's
//	count.go    the most that its input can be
//	relay.go    the reply, piece by piece
//	usage.go    what the vendor says was used
package modelgateway

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/sync/semaphore"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/catalog"
	"github.com/bothy-computer/bothy/actors/agent/tokens"
	"github.com/bothy-computer/bothy/actors/agent/upstream"
)

// Bounds of what a run may ask.
const (
	// MaxBodyBytes bounds one request: more than any model's window holds.
	MaxBodyBytes = 16 << 20
	// MaxCalls bounds the calls of one run that are under way at once.
	MaxCalls = 8
	// maxConns bounds one run's connections, maxHeaderBytes their headers.
	maxConns       = 32
	maxHeaderBytes = 64 << 10
	// maxHeldBytes bounds the requests of all runs of a node that are held at
	// once; who comes when there is no room waits.
	maxHeldBytes = 128 << 20
	// headerTime, bodyTime and idleTime bound how slow a program may be.
	headerTime = 10 * time.Second
	bodyTime   = 2 * time.Minute
	idleTime   = 2 * time.Minute
	// writeTime bounds one write of a reply to a program that does not read.
	writeTime = 30 * time.Second
)

// Purse holds and pays a run's money. It is used by several calls at once.
type Purse interface {
	// Hold reserves the most that a call can cost, before it is made. Its error
	// is fault.Payment when the account does not cover that.
	Hold(ctx context.Context, inputTokens, maxOutputTokens int64) (Held, error)
}

// Held is the money of one call.
type Held interface {
	// Settle pays what was used and gives back the rest. It is called once.
	Settle(u agent.Usage) error
}

// Run is whose calls a pass is for.
type Run struct {
	Upstream catalog.Upstream
	Purse    Purse
	// Tools serves whatever else the run's program may ask, below ToolsPath; nil
	// is nothing.
	Tools     http.Handler
	ToolsPath string
	// Watch is told of each call that goes to the vendor's model, and what it
	// returns is told the end; nil is nobody.
	Watch func() func(End)
	Log   *slog.Logger
}

// End is how a call ended: Failure is "" for one whose reply came whole.
type End struct {
	Used    agent.Usage
	Failure agent.ErrorKind
}

// Gateway is what all runs of a node share.
type Gateway struct {
	client  *http.Client
	counter *tokens.Counter
	held    *semaphore.Weighted // bytes of requests
}

// New makes a node's gateway.
func New(counter *tokens.Counter) *Gateway {
	client := upstream.NewClient()
	// A vendor that sends elsewhere is not followed: the key is for it alone.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Gateway{client: client, counter: counter, held: semaphore.NewWeighted(maxHeldBytes)}
}

// Pass is one run's way to its model. It ends with Close.
type Pass struct {
	*Gateway
	run    Run
	token  string
	digest [sha256.Size]byte
	calls  chan struct{}
	server http.Server
	addr   net.Addr
	life   context.Context
	end    context.CancelFunc

	mu   sync.Mutex // held while a call begins, or the pass ends
	work sync.WaitGroup
}

// Open serves a run on a listener, which Close closes.
func (g *Gateway) Open(l net.Listener, run Run) *Pass {
	p := &Pass{Gateway: g, run: run, token: "bothy-" + rand.Text(), calls: make(chan struct{}, MaxCalls), addr: l.Addr()}
	p.digest = sha256.Sum256([]byte(p.token))
	p.life, p.end = context.WithCancel(context.Background())
	p.server = http.Server{
		Handler: p, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeaderBytes,
		BaseContext: func(net.Listener) context.Context { return p.life },
		ErrorLog:    slog.NewLogLogger(run.Log.Handler(), slog.LevelDebug),
	}
	p.work.Go(func() {
		if err := p.server.Serve(netutil.LimitListener(l, maxConns)); !errors.Is(err, http.ErrServerClosed) {
			run.Log.Debug("model gateway stopped", "err", err)
		}
	})
	return p
}

// Token is what a program inside shows in place of a vendor's key.
func (p *Pass) Token() string { return p.token }

// URL is where the run's computer finds the gateway, without a path.
func (p *Pass) URL() string { return fmt.Sprintf("http://%s", p.addr) }

// Close ends the run's calls and waits until each is settled. The token is
// good for nothing afterwards.
func (p *Pass) Close() error {
	p.mu.Lock()
	p.end()
	p.mu.Unlock()
	err := p.server.Close()
	p.work.Wait()
	return err
}

// begin counts a call in, unless the pass has ended.
func (p *Pass) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life.Err() != nil {
		return false
	}
	p.work.Add(1)
	return true
}

// Close drops connections to vendors that nobody uses.
func (g *Gateway) Close() { g.client.CloseIdleConnections() }

// knows compares in a time that tells nothing of the token.
func (p *Pass) knows(token string) bool {
	digest := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(digest[:], p.digest[:]) == 1
}
