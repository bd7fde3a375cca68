package actors

import (
	"context"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
)

// guestPath is where an owner takes requests for a computer's guest from other
// nodes.
const guestPath = "/computers/guest/"

// Guest is the way to a computer's guest, through any node, for gateways: each
// request is answered by the guest on the owner. It starts a computer that was
// stopped by idleness and keeps it from idling until the answer's body is
// closed; one that its user stopped is a Conflict. A request of another
// account's computer is NotFound.
func (s *Computers) Guest(account state.AccountID, id state.ComputerID) http.RoundTripper {
	return guestWay{s, account, id}
}

type guestWay struct {
	computers *Computers
	account   state.AccountID
	id        state.ComputerID
}

// RoundTrip implements http.RoundTripper.
func (g guestWay) RoundTrip(req *http.Request) (*http.Response, error) {
	owner, err := g.computers.owner(req.Context(), g.account, g.id)
	if err != nil {
		closeBody(req)
		return nil, err
	}
	if owner == g.computers.cluster.Self() {
		return g.computers.local.guest(req, g.id)
	}
	return g.computers.remote.Guest(req, owner, g.account, g.id)
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}

// guest passes a request on to the guest of a computer that this node owns.
func (l *local) guest(req *http.Request, id state.ComputerID) (*http.Response, error) {
	ctx, let, g, err := l.lend(req.Context(), req.Context(), id)
	if err != nil {
		closeBody(req)
		return nil, err
	}
	way, err := guestOf(ctx, l.deps.driver, g.epoch, id)
	if err != nil {
		closeBody(req)
		let()
		return nil, l.lostBy(id, err)
	}
	res, err := way.RoundTrip(req.WithContext(ctx))
	if err != nil {
		let()
		return nil, l.lostBy(id, err)
	}
	res.Body = &lentBody{ReadCloser: res.Body, let: let}
	return res, nil
}

func guestOf(ctx context.Context, d Driver, epoch state.Epoch, id state.ComputerID) (http.RoundTripper, error) {
	g, ok := d.(runtime.Guester)
	if !ok {
		return nil, fault.New(fault.Unsupported, "this node's computers have no guest to talk to")
	}
	return g.Guest(ctx, runtime.Epoch(epoch), runtime.ID(id))
}

// lentBody gives the computer back when the answer was read or given up.
type lentBody struct {
	io.ReadCloser
	let func()
}

func (b *lentBody) Close() error {
	defer b.let()
	return b.ReadCloser.Close()
}

// Guest passes a request on to the owner of a computer.
func (w *wire) Guest(req *http.Request, node state.NodeID, account state.AccountID, id state.ComputerID) (*http.Response, error) {
	out := req.Clone(req.Context())
	out.URL.Scheme, out.URL.Host, out.Host = "https", string(node), string(node)
	out.URL.Path = guestPath + string(account) + "/" + string(id) + req.URL.Path
	out.URL.RawPath = ""
	res, err := w.client.Transport.RoundTrip(out)
	if err != nil {
		return nil, unreached(node, err)
	}
	if res.Header.Get(faultHeader) != "" {
		return nil, refused(res)
	}
	return res, nil
}

// serveGuest answers another node's request for a computer that this node owns.
func (l *local) serveGuest(w http.ResponseWriter, r *http.Request) {
	id := state.ComputerID(r.PathValue("computer"))
	if err := l.belongs(r.Context(), state.AccountID(r.PathValue("account")), id); err != nil {
		refuse(w, err)
		return
	}
	proxy := httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL = &url.URL{Scheme: "http", Host: "guest", Path: "/" + r.PathValue("path"), RawQuery: p.In.URL.RawQuery}
		},
		Transport: roundTrip(func(req *http.Request) (*http.Response, error) { return l.guest(req, id) }),
		// A guest is not to be taken for its owner.
		ModifyResponse: func(res *http.Response) error { res.Header.Del(faultHeader); return nil },
		// Every piece of a stream is passed on as it comes.
		FlushInterval: -1,
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, err error) { refuse(w, err) },
	}
	proxy.ServeHTTP(w, r)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
