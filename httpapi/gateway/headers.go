package gateway

import (
	"net/http"
	"net/url"
	"strings"
)

// TokenParameter carries an access token in a URL, once: the gateway turns it
// into a cookie.
const TokenParameter = "access_token"

// SessionCookie carries an access token. A client may send it by itself.
const SessionCookie = "agentcomputer_access_session"

// ourPrefixes begin the keys and tokens of this cluster. They are secrets that a
// computer is not shown, wherever a client put them.
var ourPrefixes = []string{"bxs_", "bsh_", "tb_", "ak_", "rbk_", "e2b_"}

func ours(secret string) bool {
	for _, p := range ourPrefixes {
		if strings.HasPrefix(secret, p) {
			return true
		}
	}
	return false
}

// keyHeaders are where clients put keys.
var keyHeaders = []string{"X-Api-Key", "Api-Key", "Api_key", "X-Access-Token"}

// bearer is the token in Authorization: Bearer, or "".
func bearer(h http.Header) string {
	if scheme, token, ok := strings.Cut(h.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "bearer") {
		return strings.TrimSpace(token)
	}
	return ""
}

// cleaned takes out of a request's headers what is ours.
func cleaned(h http.Header) {
	_, password, _ := (&http.Request{Header: h}).BasicAuth()
	if ours(bearer(h)) || ours(password) {
		h.Del("Authorization")
	}
	for _, name := range keyHeaders {
		if ours(h.Get(name)) {
			h.Del(name)
		}
	}
	cookies := (&http.Request{Header: h}).Cookies()
	h.Del("Cookie")
	var kept []string
	for _, c := range cookies {
		if c.Name != SessionCookie && !ours(c.Value) {
			kept = append(kept, c.Name+"="+quoted(c))
		}
	}
	if len(kept) > 0 {
		h.Set("Cookie", strings.Join(kept, "; "))
	}
}

func quoted(c *http.Cookie) string {
	if c.Quoted {
		return `"` + c.Value + `"`
	}
	return c.Value
}

// withoutTokens is a raw query without parameters that hold what is ours. The
// others stay as they were written.
func withoutTokens(raw string, also ...string) string {
	if raw == "" {
		return raw
	}
	var kept []string
	for _, pair := range strings.Split(raw, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(name); err == nil && contains(also, name) {
			continue
		}
		if value, err := url.QueryUnescape(value); err == nil && ours(value) {
			continue
		}
		kept = append(kept, pair)
	}
	return strings.Join(kept, "&")
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// confined keeps an answer of a computer inside its address: its cookies go back
// to it alone. On the API's own host its pages get an origin of their own, and
// nothing that it says holds for the host.
func confined(h http.Header, at address) {
	cookies := (&http.Response{Header: h}).Cookies()
	h.Del("Set-Cookie")
	for _, c := range cookies {
		if c.Name == SessionCookie {
			continue
		}
		c.Domain = ""
		if at.pathForm() {
			c.Path = at.prefix + "/" + strings.TrimPrefix(strings.TrimPrefix(c.Path, at.prefix), "/")
		}
		if line := c.String(); line != "" {
			h.Add("Set-Cookie", line)
		}
	}
	if !at.pathForm() {
		return
	}
	holdsForNoHost(h)
	h.Add("Content-Security-Policy", sandboxPolicy)
	if to := h.Get("Location"); strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//") && !strings.HasPrefix(to, at.prefix+"/") {
		h.Set("Location", at.prefix+to)
	}
}

// holdsForNoHost takes out of an answer what a browser would keep for its host.
func holdsForNoHost(h http.Header) {
	for _, name := range []string{"Clear-Site-Data", "Strict-Transport-Security", "Service-Worker-Allowed", "Alt-Svc", "Nel", "Report-To", "Reporting-Endpoints"} {
		h.Del(name)
	}
}

// inert makes an answer to a call one that a browser shows to nobody as a page
// of the API's host: what runs in a computer may stand in its guest's place, and
// a form of any site may send a call.
func inert(h http.Header) {
	holdsForNoHost(h)
	for _, name := range []string{"Set-Cookie", "Location", "Refresh", "Link"} {
		h.Del(name)
	}
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
}

// sandboxPolicy gives a page an origin that nothing else has, so that it cannot
// act as a page of the API's host: it reads no other page, cookie or storage.
const sandboxPolicy = "sandbox allow-scripts allow-forms allow-popups allow-modals allow-downloads"
