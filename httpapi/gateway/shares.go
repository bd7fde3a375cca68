package gateway

import (
	"html/template"
	"net/http"
	"strings"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/door"
)

// sharePage asks before it opens anything: programs that look at links for their
// readers must not use them up.
var sharePage = template.Must(template.New("share").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{.}}</title></head>
<body><h1>{{.}}</h1><p>Somebody shares this computer with you.</p><form method="post"><button autofocus>Open</button></form></body></html>
`))

// serveShare serves the page of a share's link: it opens a session, and leads
// to the computer.
func (g *Gateway) serveShare(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	token := strings.TrimPrefix(r.URL.Path, door.SharePath)
	share, computer, err := g.Shares.Find(r.Context(), token)
	if err != nil {
		refuseShare(w, err)
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		h.Set("Content-Type", "text/html; charset=utf-8")
		name := computer.Name
		if name == "" {
			name = computer.Handle
		}
		_ = sharePage.Execute(w, name) // a client that is gone cannot be told
	case http.MethodPost:
		session, err := g.Shares.Redeem(r.Context(), share.Token, "", actors.DefaultSessionTTL)
		if err != nil {
			refuseShare(w, err)
			return
		}
		http.Redirect(w, r, g.Links.Access(r, session), http.StatusSeeOther)
	default:
		h.Set("Allow", "GET, HEAD, POST")
		plain(w, http.StatusMethodNotAllowed, "This link is opened with a browser.")
	}
}

func refuseShare(w http.ResponseWriter, err error) {
	switch fault.Of(err) {
	case fault.NotFound:
		plain(w, http.StatusNotFound, "This link does not work, or no longer.")
	case fault.Conflict:
		plain(w, http.StatusConflict, "This computer is stopped.")
	default:
		w.Header().Set("Retry-After", "1")
		plain(w, http.StatusServiceUnavailable, "This computer cannot be reached just now; try again shortly.")
	}
}
