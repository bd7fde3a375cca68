package mcp

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/bothy-computer/bothy/actors/agent"
)

const (
	// StartTimeout bounds a server's start, until its tools are known. A program
	// may have to be downloaded first.
	StartTimeout = 2 * time.Minute
	// CallTimeout bounds one call of a tool.
	CallTimeout = 5 * time.Minute
	// maxStarts is how often a server is started in a run.
	maxStarts = 2
)

// Server is a tool server in plain text, either a Command that runs in the
// computer or a URL.
type Server struct {
	Name    string
	Command string
	Args    []string
	Env     map[string]string
	Cwd     string
	URL     string
	Bearer  string
	Headers map[string]string
	// AllowedTools are the only ones that are told to the model; none means all.
	AllowedTools []string
}

// link is one server in a run.
type link struct {
	Server
	pool   *Pool
	hidden *strings.Replacer // takes what is secret out of texts

	mu      sync.Mutex // held over a start
	starts  int
	session *sdk.ClientSession // nil before the first start
	process *process           // nil for one over HTTP
	ended   chan struct{}      // closed when session has
	tools   []*sdk.Tool        // as the first start found them
	failure string             // why it cannot be used, as far as is known
}

// minSecretBytes is from which length on a value is looked for in texts: a
// shorter one would be found where it is only a word.
const minSecretBytes = 8

func hiding(s Server) *strings.Replacer {
	var pairs []string
	for _, value := range secretsOf(s) {
		if len(value) >= minSecretBytes {
			pairs = append(pairs, value, "[hidden]")
		}
	}
	return strings.NewReplacer(pairs...)
}

func secretsOf(s Server) []string {
	secrets := []string{s.Bearer}
	for _, value := range s.Headers {
		secrets = append(secrets, value)
	}
	// The longest first, so that none is hidden by a piece of it.
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	return secrets
}

// ready returns the server's session, started if it is not there. A nil
// session comes with the reason in l.failure; an error means that there is no
// computer, or that ctx is done.
func (l *link) ready(ctx context.Context) (*sdk.ClientSession, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session != nil && !l.over() {
		return l.session, nil
	}
	l.drop()
	if l.starts == maxStarts || l.starts > 0 && l.tools == nil {
		return nil, nil
	}
	l.starts++
	return l.session, l.start(ctx)
}

// over reports whether the session, or the program behind it, has ended.
func (l *link) over() bool {
	var program <-chan struct{} // nil never ends
	if l.process != nil {
		program = l.process.ended
	}
	select {
	case <-l.ended:
		return true
	case <-program:
		return true
	default:
		return false
	}
}

// start connects to the server and learns its tools; l.mu is held.
func (l *link) start(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, l.pool.startTimeout())
	defer cancel()
	transport, err := l.transport(ctx)
	if err != nil {
		return err
	}
	if transport != nil {
		err = l.meet(limited, transport)
		if ctx.Err() != nil {
			l.drop()
			return fmt.Errorf("start the MCP server %s: %w", l.Name, context.Cause(ctx))
		}
		if err != nil {
			l.failed(limited, err)
			l.drop()
		}
	}
	return nil
}

// transport is a new way to the server; nil when it says that there can be
// none. An error means that there is no computer.
func (l *link) transport(ctx context.Context) (sdk.Transport, error) {
	if l.URL != "" {
		t, err := connection(l.pool.Way, l.Server)
		if err != nil {
			l.failure = err.Error()
			return nil, nil
		}
		return t, nil
	}
	computer, err := l.pool.Computer(ctx)
	if err != nil {
		return nil, fmt.Errorf("start the MCP server %s: %w", l.Name, err)
	}
	var t sdk.Transport
	l.process, t = launch(l.pool.life, computer, l.Server)
	return t, nil
}

func (l *link) meet(ctx context.Context, t sdk.Transport) error {
	client := sdk.NewClient(&sdk.Implementation{Name: "bothy", Version: l.pool.Version}, &sdk.ClientOptions{Capabilities: &sdk.ClientCapabilities{}})
	session, err := client.Connect(ctx, t, nil)
	if err != nil {
		return err
	}
	l.session, l.ended = session, make(chan struct{})
	go func(ended chan struct{}) {
		// How it ended shows in the call that meets it.
		_ = session.Wait()
		close(ended)
	}(l.ended)
	if l.tools != nil {
		return nil // the model was told the first start's tools
	}
	tools := []*sdk.Tool{}
	for tool, err := range session.Tools(ctx, nil) {
		if err != nil {
			return err
		}
		if tools = append(tools, tool); len(tools) > maxListed {
			break
		}
	}
	l.tools = tools
	return nil
}

// failed notes why the server could not be started.
func (l *link) failed(limited context.Context, err error) {
	l.failure = l.told(err)
	if limited.Err() != nil {
		l.failure = fmt.Sprintf("it did not answer within %s", l.pool.startTimeout())
	}
	if l.process != nil {
		l.process.settle()
		if why := l.process.reason(); why != "" {
			l.failure = l.hide(why)
		}
	}
}

// drop closes what there is of a session; l.mu is held.
func (l *link) drop() {
	if l.session != nil {
		_ = l.session.Close() // a server that is gone cannot be closed better
		<-l.ended
	}
	if l.process != nil {
		l.process.close()
	}
	l.session, l.process = nil, nil
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop()
}

// call sends a call once. what names it to the model.
func (l *link) call(ctx context.Context, what string, send func(context.Context, *sdk.ClientSession) (*sdk.CallToolResult, error)) (answer, error) {
	session, err := l.ready(ctx)
	if err != nil {
		return answer{}, err
	}
	if session == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		return failure("the MCP server %s cannot be used in this run: %s", l.Name, l.failure), nil
	}
	limited, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	sent, err := send(limited, session)
	switch {
	case err == nil:
		return answer{sent: sent}, nil
	case ctx.Err() != nil:
		return answer{}, fmt.Errorf("call %s of the MCP server %s: %w", what, l.Name, context.Cause(ctx))
	case limited.Err() != nil:
		return answer{result: agent.Result{Status: agent.TimedOut, Text: fmt.Sprintf("error: %s did not answer within %s; it may still be at work", what, CallTimeout)}}, nil
	}
	return l.unanswered(what, err), nil
}

// unanswered is what a model is told of a call that brought no result.
func (l *link) unanswered(what string, err error) answer {
	var answered *jsonrpc.Error
	if errors.As(err, &answered) {
		return failure("%s", l.hide(answered.Message))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if errors.Is(err, sdk.ErrSessionMissing) {
		l.failure = "it forgets its sessions"
		l.drop()
		return failure("the MCP server %s does not know this session any more, so %s was not run. The next call begins a new one.", l.Name, what)
	}
	if l.process != nil {
		l.process.settle()
	}
	if !errors.Is(err, sdk.ErrConnectionClosed) && !l.over() {
		return failure("%s", l.told(err))
	}
	why := "the connection to it is closed"
	if l.process != nil {
		if said := l.process.reason(); said != "" {
			why = l.hide(said)
		}
	}
	l.failure = "it ended: " + why
	next := "It is started anew for the next call."
	if l.starts == maxStarts {
		next = "It ended before too, and is not started again in this run."
	}
	return failure("the MCP server %s ended while %s was under way, so nobody knows how far it came: %s. %s", l.Name, what, why, next)
}

func failure(format string, args ...any) answer {
	return answer{result: agent.Result{Status: agent.Failed, Text: "error: " + fmt.Sprintf(format, args...)}}
}

// told is an error as it may be shown: without the server's address, which may
// hold a key.
func (l *link) told(err error) string {
	var unreached *url.Error
	if errors.As(err, &unreached) {
		err = unreached.Err
	}
	text := err.Error()
	if l.URL != "" {
		text = strings.ReplaceAll(text, l.URL, "its url")
	}
	return l.hide(text)
}

func (l *link) hide(text string) string { return l.hidden.Replace(text) }
