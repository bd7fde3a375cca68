package gateway

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// servePort passes a request on to what listens on a published port.
func (g *Gateway) servePort(w http.ResponseWriter, r *http.Request, at address) {
	computer, port, ok, err := state.Computer{}, state.Port{}, false, error(nil)
	if at != (address{}) {
		computer, port, ok, err = g.Ports.Find(r.Context(), at.name, at.port)
	}
	switch {
	case err != nil:
		g.refusePort(w, r, err)
		return
	case !ok:
		// The same for what does not exist and for what is not published.
		plain(w, http.StatusNotFound, "Nothing is published here.")
		return
	case at.pathForm() && at.rest == "":
		http.Redirect(w, r, query(at.prefix+"/", r.URL.RawQuery), http.StatusPermanentRedirect)
		return
	}
	ctx, cancel := g.Ports.While(r.Context(), port)
	defer cancel()
	if port.Visibility == state.PrivatePort {
		session, in := g.private(w, r, at, port)
		if !in {
			return
		}
		var end context.CancelFunc
		ctx, end = g.Sessions.While(ctx, session)
		defer end()
	}
	leave, err := g.crowd.enter(computer.ID)
	if err != nil {
		g.refusePort(w, r, err)
		return
	}
	defer leave()
	if r.Header.Get("Upgrade") != "" {
		// Shutting down does not wait for connections that were taken over.
		var stop context.CancelFunc
		ctx, stop = g.untilDrained(ctx)
		defer stop()
	}
	fullDuplex(w)
	transport := g.to(computer, port, isGRPC(r.Header))
	defer transport.CloseIdleConnections()
	g.portProxy(at, transport).ServeHTTP(w, r.WithContext(ctx))
}

// private admits who has a browser session of the port's computer. A token in
// the URL becomes a cookie, and the URL is asked for again without it.
func (g *Gateway) private(w http.ResponseWriter, r *http.Request, at address, port state.Port) (session state.AccessSession, in bool) {
	inURL := r.URL.Query().Get(TokenParameter)
	var err error = fault.New(fault.Unauthorized, "no token")
	for _, token := range []string{inURL, bearer(r.Header), cookie(r)} {
		if token == "" {
			continue
		}
		session, err = g.Sessions.Admit(r.Context(), token, state.BrowserSession)
		if err == nil && session.Computer != port.Computer {
			err = fault.New(fault.Unauthorized, "another computer's token")
		}
		if err == nil || !fault.Is(err, fault.Unauthorized) {
			break
		}
	}
	switch {
	case fault.Is(err, fault.Unauthorized):
		w.Header().Set("WWW-Authenticate", "Bearer")
		plain(w, http.StatusUnauthorized, "This port is private: open it with a browser session of its computer.")
		return session, false
	case err != nil:
		g.refusePort(w, r, err)
		return session, false
	}
	page := (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.Header.Get("Upgrade") == ""
	if inURL == "" || !page {
		return session, true
	}
	http.SetCookie(w, &http.Cookie{Name: SessionCookie, Value: inURL, Path: at.prefix + "/", Expires: session.ExpiresAt,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: g.Links.Secure(r)})
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	// Not a URL of another host, whatever the path begins with.
	clean := "/" + strings.TrimLeft(r.URL.EscapedPath(), "/")
	http.Redirect(w, r, query(clean, withoutTokens(r.URL.RawQuery, TokenParameter)), http.StatusSeeOther)
	return session, false
}

func cookie(r *http.Request) string {
	c, err := r.Cookie(SessionCookie)
	if err != nil {
		return ""
	}
	return c.Value
}

func query(path, raw string) string {
	if raw == "" {
		return path
	}
	return path + "?" + raw
}

// to is a way to a port for one request: what is kept open would keep the
// computer from idling.
func (g *Gateway) to(c state.Computer, port state.Port, grpc bool) *http.Transport {
	t := &http.Transport{DisableKeepAlives: true, DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return g.Computers.Dial(ctx, c.Account, c.ID, port.Port)
		}}
	if grpc {
		t.Protocols = new(http.Protocols)
		t.Protocols.SetUnencryptedHTTP2(true)
	}
	return t
}

// isGRPC reports whether only HTTP/2 will do.
func isGRPC(h http.Header) bool {
	kind := h.Get("Content-Type")
	return kind == "application/grpc" || strings.HasPrefix(kind, "application/grpc+")
}

func (g *Gateway) portProxy(at address, transport http.RoundTripper) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			raw := p.In.URL.EscapedPath()
			if at.pathForm() {
				raw = at.rest
			}
			path, err := url.PathUnescape(raw)
			if err != nil {
				path = raw
			}
			p.Out.URL = &url.URL{Scheme: "http", Host: "computer", Path: path, RawPath: raw, RawQuery: withoutTokens(p.In.URL.RawQuery)}
			cleaned(p.Out.Header)
			p.SetXForwarded()
			if g.Links.Secure(p.In) {
				p.Out.Header.Set("X-Forwarded-Proto", "https")
			}
			if at.pathForm() {
				p.Out.Header.Set("X-Forwarded-Prefix", at.prefix)
			}
		},
		Transport:      transport,
		FlushInterval:  -1, // every piece of a stream is passed on as it comes
		ModifyResponse: func(res *http.Response) error { confined(res.Header, at); return nil },
		ErrorLog:       slog.NewLogLogger(g.Log.Handler(), slog.LevelDebug),
		ErrorHandler:   g.refusePort,
	}
}

// refusePort answers those who use a port, who may be anybody: they learn what
// to do and nothing of the cluster.
func (g *Gateway) refusePort(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		// The client left, or what let it in has ended: it is cut.
		panic(http.ErrAbortHandler)
	}
	switch kind := fault.Of(err); kind {
	case fault.Conflict:
		plain(w, http.StatusServiceUnavailable, "This computer is stopped.")
	case fault.Payment:
		plain(w, http.StatusServiceUnavailable, "This computer cannot be started now.")
	case fault.NotFound:
		plain(w, http.StatusNotFound, "Nothing is published here.")
	case fault.Unavailable, fault.Moved:
		w.Header().Set("Retry-After", "1")
		plain(w, http.StatusServiceUnavailable, "Nothing answers on this port just now; try again shortly.")
	default:
		g.Log.DebugContext(r.Context(), "traffic to a port", "err", err)
		w.Header().Set("Retry-After", "1")
		plain(w, http.StatusBadGateway, "What listens on this port did not answer as HTTP does.")
	}
}

// plain answers with one line.
func plain(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n") // a client that is gone cannot be told
}
