package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"connectrpc.com/connect"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime/guest/process/processconnect"
)

// execPath begins the procedures of exec sessions.
const execPath = "/" + processconnect.ProcessName + "/"

// procedures are all that can be reached of a guest, and whether a call may go
// on for ever.
var procedures = map[string]bool{
	processconnect.ProcessListProcedure:        false,
	processconnect.ProcessStartProcedure:       true,
	processconnect.ProcessConnectProcedure:     true,
	processconnect.ProcessUpdateProcedure:      false,
	processconnect.ProcessStreamInputProcedure: true,
	processconnect.ProcessSendInputProcedure:   false,
	processconnect.ProcessSendSignalProcedure:  false,
	processconnect.ProcessCloseStdinProcedure:  false,
}

const (
	// UserHeader and UserParameter name the user of a call in the computer. With
	// Basic credentials the user is theirs and the token their password.
	UserHeader    = "X-Bothy-User"
	UserParameter = "user"
)

// serveExec passes a call on to the guest of its session's computer.
func (g *Gateway) serveExec(w http.ResponseWriter, r *http.Request) {
	if crossOrigin(w, r) {
		return
	}
	endless, known := procedures[r.URL.Path]
	switch {
	case !known:
		refuseCall(w, r, connect.NewError(connect.CodeUnimplemented, errors.New("no such procedure")))
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	token, user := credentials(r)
	session, err := g.Sessions.Admit(r.Context(), token, state.ExecSession)
	if err != nil {
		refuseCall(w, r, callError(err))
		return
	}
	leave, err := g.crowd.enter(session.Computer)
	if err != nil {
		refuseCall(w, r, callError(err))
		return
	}
	defer leave()
	ctx, cancel := g.Sessions.While(r.Context(), session)
	defer cancel()
	if endless {
		var stop context.CancelFunc
		ctx, stop = g.untilDrained(ctx)
		defer stop()
	}
	if r.URL.Path == processconnect.ProcessStartProcedure {
		g.Diary.Note(actors.ThroughSession(ctx, session), state.ExecRun, session.Account, session.Computer)
	}
	fullDuplex(w)
	g.execProxy(session, user).ServeHTTP(w, r.WithContext(ctx))
}

// fullDuplex lets an answer begin before the request has ended. HTTP/2 always
// does, and says that it cannot be told to.
func fullDuplex(w http.ResponseWriter) {
	_ = http.NewResponseController(w).EnableFullDuplex()
}

func (g *Gateway) execProxy(session state.AccessSession, user string) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL = &url.URL{Scheme: "http", Host: "guest", Path: p.In.URL.Path,
				RawQuery: withoutTokens(p.In.URL.RawQuery, TokenParameter, UserParameter)}
			p.Out.Host = "guest"
			for _, name := range append(keyHeaders, "Authorization", "Cookie", UserHeader) {
				p.Out.Header.Del(name)
			}
			if user != "" {
				p.Out.SetBasicAuth(user, "")
			}
		},
		Transport:      g.Computers.Guest(session.Account, session.Computer),
		ModifyResponse: func(res *http.Response) error { inert(res.Header); return nil },
		FlushInterval:  -1, // every piece of a stream is passed on as it comes
		ErrorLog:       slog.NewLogLogger(g.Log.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if fault.Of(err) == fault.Internal && r.Context().Err() == nil {
				g.Log.WarnContext(r.Context(), "call of a guest", "computer", string(session.Computer), "err", err)
			}
			refuseCall(w, r, callError(err))
		},
	}
}

// credentials are the token of a call and the user it names.
func credentials(r *http.Request) (token, user string) {
	query := r.URL.Query()
	user = r.Header.Get(UserHeader)
	if user == "" {
		user = query.Get(UserParameter)
	}
	if token = bearer(r.Header); token != "" {
		return token, user
	}
	if name, password, ok := r.BasicAuth(); ok && password != "" {
		return password, name
	}
	return query.Get(TokenParameter), user
}

// codes are what Connect calls the kinds of failures.
var codes = map[fault.Kind]connect.Code{
	fault.Invalid:      connect.CodeInvalidArgument,
	fault.Unauthorized: connect.CodeUnauthenticated,
	fault.Forbidden:    connect.CodePermissionDenied,
	fault.NotFound:     connect.CodeNotFound,
	fault.Conflict:     connect.CodeFailedPrecondition,
	fault.Moved:        connect.CodeUnavailable,
	fault.Payment:      connect.CodeFailedPrecondition,
	fault.Exhausted:    connect.CodeResourceExhausted,
	fault.TooLarge:     connect.CodeResourceExhausted,
	fault.Full:         connect.CodeResourceExhausted,
	fault.Unavailable:  connect.CodeUnavailable,
	fault.Unsupported:  connect.CodeUnimplemented,
	fault.Internal:     connect.CodeInternal,
}

func callError(err error) *connect.Error {
	kind := fault.Of(err)
	if kind == fault.Internal {
		return connect.NewError(connect.CodeUnavailable, errors.New("the computer does not answer"))
	}
	return connect.NewError(codes[kind], errors.New(err.Error()))
}

var callErrors = connect.NewErrorWriter()

// refuseCall answers in the caller's own protocol.
func refuseCall(w http.ResponseWriter, r *http.Request, err *connect.Error) {
	if err.Code() == connect.CodeUnauthenticated {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if !callErrors.IsSupported(r) {
		// Whoever is not heard out as Connect reads its plain form.
		r = r.Clone(r.Context())
		r.Header.Set("Content-Type", "application/json")
	}
	_ = callErrors.Write(w, r, err) // a client that is gone cannot be told
}

// What pages of other origins may send and read: a token travels in a header
// that a page must set itself.
var (
	callSends = strings.Join([]string{"Authorization", "Content-Type", "Connect-Protocol-Version", "Connect-Timeout-Ms", "Connect-Accept-Encoding",
		"Connect-Content-Encoding", "Keepalive-Ping-Interval", "Grpc-Timeout", "X-Grpc-Web", "X-User-Agent", UserHeader}, ", ")
	callReads = strings.Join([]string{"Connect-Content-Encoding", "Grpc-Status", "Grpc-Message", "Grpc-Status-Details-Bin", "Grpc-Encoding"}, ", ")
)

// crossOrigin lets pages of any origin call, and answers their preflights.
func crossOrigin(w http.ResponseWriter, r *http.Request) (answered bool) {
	if r.Header.Get("Origin") == "" {
		return false
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", callReads)
	if r.Method != http.MethodOptions {
		return false
	}
	h.Set("Access-Control-Allow-Methods", http.MethodPost)
	h.Set("Access-Control-Allow-Headers", callSends)
	h.Set("Access-Control-Max-Age", "7200")
	w.WriteHeader(http.StatusNoContent)
	return true
}
