package modelgateway

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/google"
	"github.com/bothy-computer/bothy/actors/agent/upstream"
	"github.com/bothy-computer/bothy/cluster/fault"
)

// maxErrorBytes bounds a vendor's error.
const maxErrorBytes = 64 << 10

// Headers that are passed on: those that a wire format has, and none that
// speaks for the node or tells of its account.
var (
	asked    = []string{"Accept", "Anthropic-Version", "Anthropic-Beta", "Openai-Beta"}
	answered = []string{"Content-Type", "Retry-After", "Retry-After-Ms", "X-Should-Retry", "Request-Id", "X-Request-Id"}
)

// dearBetas begin the names of betas that change what a token costs, or reach
// what others have stored.
var dearBetas = []string{"context-1m", "fast-mode", "files-api", "code-execution", "mcp-client", "web-", "skills-"}

// ServeHTTP implements http.Handler for the run's computer.
func (p *Pass) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d, known := dialectOf(r.URL.Path)
	if !p.knows(tokenOf(r.Header)) || !p.begin() {
		d.refuse(w, badToken.with("Incorrect API key provided: it is not that of a run that goes on in this computer"))
		return
	}
	defer p.work.Done()
	if p.run.Tools != nil && strings.HasPrefix(r.URL.Path, p.run.ToolsPath) {
		p.run.Tools.ServeHTTP(w, r)
		return
	}
	if known && r.Method != http.MethodPost || !known {
		d.refuse(w, noRoute.with("Unknown request URL: "+r.Method+" "+clip(r.URL.Path)))
		return
	}
	if d.stream && r.URL.Query().Get("alt") != "sse" {
		d.refuse(w, badRequest.with("a stream is to be had with alt=sse only"))
		return
	}
	if !slices.Contains(d.spoken, p.run.Upstream.Protocol) {
		d.refuse(w, noModel.with("The model `"+p.run.Upstream.Model.Name+"` is not to be had in this format"))
		return
	}
	select {
	case p.calls <- struct{}{}:
		defer func() { <-p.calls }()
	default:
		d.refuse(w, tooMany.with("too many calls of this run are under way"))
		return
	}
	if problem := p.call(w, r, d); problem != nil {
		d.refuse(w, problem)
	}
}

// tokenOf finds the token where clients of any vendor put their key.
func tokenOf(h http.Header) string {
	if bearer, ok := strings.CutPrefix(h.Get("Authorization"), "Bearer "); ok {
		return bearer
	}
	return cmp.Or(h.Get("X-Api-Key"), h.Get(google.KeyHeader))
}

// call makes one call. A problem comes back only while nothing was answered.
func (p *Pass) call(w http.ResponseWriter, r *http.Request, d dialect) *problem {
	raw, give, problem := p.take(w, r)
	if problem != nil {
		return problem
	}
	defer give()
	req, problem := p.read(d, raw, p.run.Upstream)
	if problem != nil {
		return problem
	}
	held, problem := p.hold(r.Context(), d, req)
	if problem != nil {
		return problem
	}
	ended := p.watch(d)
	end, whole, problem := p.pass(w, r, d, req)
	ended(end)
	if err := held.Settle(end.Used); err != nil {
		p.run.Log.Warn("model call not settled", "err", err)
	}
	if !whole {
		panic(http.ErrAbortHandler) // breaks the connection: nobody takes half a reply for a whole one
	}
	return problem
}

// watch says that a call begins, and returns who is told how it ended.
func (p *Pass) watch(d dialect) func(End) {
	if p.run.Watch == nil || d.free {
		return func(End) {}
	}
	return p.run.Watch()
}

// take reads a request's body, as far as this run and this node have room.
func (p *Pass) take(w http.ResponseWriter, r *http.Request) (body []byte, give func(), _ *problem) {
	if r.ContentLength > MaxBodyBytes {
		return nil, nil, tooLarge.with("the request is larger than 16 MiB")
	}
	room := int64(MaxBodyBytes)
	if r.ContentLength >= 0 {
		room = r.ContentLength
	}
	if err := p.held.Acquire(r.Context(), room); err != nil {
		return nil, nil, unavailable.with("the node has no room for the request")
	}
	give = func() { p.held.Release(room) }
	control := http.NewResponseController(w)
	// Where a deadline cannot be set the server's own end of the run counts.
	_ = control.SetReadDeadline(time.Now().Add(bodyTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBodyBytes))
	_ = control.SetReadDeadline(time.Time{})
	if err == nil {
		return body, give, nil
	}
	give()
	var over *http.MaxBytesError
	if errors.As(err, &over) {
		return nil, nil, tooLarge.with("the request is larger than 16 MiB")
	}
	return nil, nil, badRequest.with("the request did not come whole")
}

// hold has the run's purse reserve what the call can cost.
func (p *Pass) hold(ctx context.Context, d dialect, req request) (Held, *problem) {
	if d.free {
		return unpaid{}, nil
	}
	held, err := p.run.Purse.Hold(ctx, req.input, req.maxOutput)
	switch {
	case err == nil:
		return held, nil
	case fault.Is(err, fault.Payment):
		return nil, noMoney.with("You exceeded your current quota: the account's budget does not cover this call")
	}
	p.run.Log.Warn("model call not reserved", "err", err)
	return nil, unavailable.with("the call could not be reserved")
}

// unpaid is the money of a call that costs none.
type unpaid struct{}

func (unpaid) Settle(agent.Usage) error { return nil }

// pass sends a request to the vendor and its reply to the program, and reports
// how it ended, with nothing used where the vendor did not begin to answer, and
// whether the reply came whole.
func (p *Pass) pass(w http.ResponseWriter, r *http.Request, d dialect, req request) (end End, whole bool, _ *problem) {
	ctx, cancel := context.WithTimeout(r.Context(), agent.DefaultCallTimeout)
	defer cancel()
	res, err := p.send(ctx, r.Header, d, req)
	if err != nil {
		p.run.Log.Info("model vendor not reached", "err", err)
		return End{Failure: agent.AsError(err).Kind}, true, unavailable.with("the model's vendor could not be reached")
	}
	defer res.Body.Close()
	if res.StatusCode >= http.StatusMultipleChoices {
		kind, problem := p.failed(w, res)
		return End{Failure: kind}, true, problem
	}
	quiet := time.AfterFunc(agent.DefaultIdleTimeout, cancel)
	defer quiet.Stop()
	copyHeaders(w.Header(), res.Header, answered)
	w.WriteHeader(res.StatusCode)
	m := newMeter(d, res.Header.Get("Content-Type"))
	if err = relay(w, &lively{res.Body, quiet}, m); err != nil {
		p.run.Log.Info("model reply was cut", "err", err)
		end.Failure = cutBy(r.Context(), ctx)
	}
	end.Used = m.used(req.input)
	return end, err == nil, nil
}

// cutBy is why a reply was cut: the program or its run ended, the vendor was
// silent for too long, or neither.
func cutBy(program, call context.Context) agent.ErrorKind {
	switch {
	case program.Err() != nil:
		return agent.Cancelled
	case call.Err() != nil:
		return agent.Timeout
	}
	return agent.Cut
}

// lively puts off the end of a reply that still comes.
type lively struct {
	io.Reader
	quiet *time.Timer
}

func (l *lively) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	if n > 0 {
		l.quiet.Reset(agent.DefaultIdleTimeout)
	}
	return n, err
}

func (p *Pass) send(ctx context.Context, from http.Header, d dialect, req request) (*http.Response, error) {
	out, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(p.run.Upstream.BaseURL, "/")+d.at(p.run.Upstream.Model), bytes.NewReader(req.body))
	if err != nil {
		return nil, err
	}
	copyHeaders(out.Header, from, asked)
	out.Header.Set("Content-Type", "application/json")
	if betas := out.Header.Values("Anthropic-Beta"); len(betas) > 0 {
		out.Header.Set("Anthropic-Beta", cheap(betas))
	}
	p.run.Upstream.Authorize(out.Header)
	return p.client.Do(out)
}

// failed passes a vendor's refusal on, in its own words. One that is about the
// node's key is the node's business.
func (p *Pass) failed(w http.ResponseWriter, res *http.Response) (agent.ErrorKind, *problem) {
	if res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden {
		return agent.Auth, unavailable.with("the model's vendor does not accept the API key that this node is configured with")
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxErrorBytes))
	if err != nil {
		return agent.Cut, unavailable.with("the model's vendor broke off")
	}
	copyHeaders(w.Header(), res.Header, answered)
	w.WriteHeader(res.StatusCode)
	_, _ = w.Write(p.run.Upstream.Redact(body)) // a program that has left reads nothing
	return upstream.Failure(res.StatusCode, body).Kind, nil
}

// cheap leaves out the betas that are not paid for.
func cheap(betas []string) string {
	var kept []string
	for _, name := range strings.Split(strings.Join(betas, ","), ",") {
		name = strings.TrimSpace(name)
		if !slices.ContainsFunc(dearBetas, func(dear string) bool { return strings.HasPrefix(name, dear) }) {
			kept = append(kept, name)
		}
	}
	return strings.Join(kept, ",")
}

func copyHeaders(to, from http.Header, names []string) {
	for _, name := range names {
		if values := from.Values(name); len(values) > 0 {
			to[name] = values
		}
	}
}

func clip(text string) string { return text[:min(len(text), 100)] }
