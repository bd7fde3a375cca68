package httpapi_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi"
	"github.com/bothy-computer/bothy/httpapi/console"
	"github.com/bothy-computer/bothy/httpapi/doortest"
)

// guestOfPages is a house with a computer, and a visitor of its page.
type guestOfPages struct {
	*caller
	t    *testing.T
	box  string // the computer's id
	page *http.Client
}

func openPages(t *testing.T, options ...doortest.Option) *guestOfPages {
	t.Helper()
	h := doortest.Open(t, options...)
	h.Guest()
	c := as(t, h, h.Key)
	return &guestOfPages{caller: c, t: t, box: c.running(`{"handle":"box"}`).Computer.ID, page: visitor(t, h)}
}

// visitor is a browser that keeps its cookies and follows nothing by itself.
func visitor(t *testing.T, h *doortest.House) *http.Client {
	t.Helper()
	client := browser(t, h)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client.Jar = jar
	return client
}

// enter opens a session's page, and returns the session.
func (g *guestOfPages) enter(kind string) accessSession {
	g.t.Helper()
	s := g.session("box", `{"kind":"`+kind+`"}`)
	g.follow(s.AccessURL)
	return s
}

func (g *guestOfPages) follow(link string) {
	g.t.Helper()
	resp, _ := fetch(g.t, g.page, "GET", link)
	to := resp.Header.Get("Location")
	if resp.StatusCode != 303 || !strings.HasPrefix(to, console.Prefix+g.box) || strings.Contains(to, "access_token") {
		g.t.Fatalf("%s to %q", resp.Status, to)
	}
}

// at is a path of the computer's page.
func (g *guestOfPages) at(path string) string { return g.house.URL + console.Prefix + g.box + path }

// answers makes a request of the page's own scripts and checks its status.
func (g *guestOfPages) answers(status int, method, path string, body io.Reader, headers ...string) string {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), method, g.at(path), body)
	if err != nil {
		g.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := g.page.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status {
		g.t.Fatalf("%s %s: %s, want %d: %s %v", method, path, resp.Status, status, b, err)
	}
	return string(b)
}

// dial opens a WebSocket of the page.
func (g *guestOfPages) dial(path string, headers ...string) (*websocket.Conn, error) {
	g.t.Helper()
	options := &websocket.DialOptions{HTTPClient: g.page, HTTPHeader: http.Header{}}
	for i := 0; i+1 < len(headers); i += 2 {
		options.HTTPHeader.Set(headers[i], headers[i+1])
	}
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	ws, resp, err := websocket.Dial(ctx, g.at(path), options)
	if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, errors.New(resp.Status)
	}
	if err == nil {
		g.t.Cleanup(func() { _ = ws.CloseNow() }) // it may be closed
	}
	return ws, err
}

func (g *guestOfPages) socket(path string) *websocket.Conn {
	g.t.Helper()
	ws, err := g.dial(path)
	if err != nil {
		g.t.Fatal(err)
	}
	return ws
}

// ends reads until the socket is closed and returns with which code.
func (g *guestOfPages) ends(ws *websocket.Conn) websocket.StatusCode {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	for {
		if _, _, err := ws.Read(ctx); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

func TestATokenOpensThePageOfItsComputerAlone(t *testing.T) {
	g := openPages(t)
	if resp, body := fetch(t, g.page, "GET", g.at("")); resp.StatusCode != 401 || !strings.Contains(body, "/v1/computers/"+g.box+"/access-sessions") {
		t.Fatalf("nobody: %s: %s", resp.Status, body)
	}
	s := g.session("box", `{"kind":"browser"}`)
	resp, _ := fetch(t, g.page, "GET", s.AccessURL)
	cookie := resp.Cookies()[0]
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/c/"+g.box || !strings.Contains(cookie.Name, g.box) || cookie.Secure {
		t.Errorf("the cookie is %v", cookie)
	}
	resp, body := fetch(t, g.page, "GET", g.at(""))
	if resp.StatusCode != 200 && resp.StatusCode != 503 { // it is not built where make assets was not run
		t.Fatalf("%s: %s", resp.Status, body)
	}
	policy := resp.Header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "script-src 'self';") || !strings.Contains(policy, "frame-ancestors 'none'") ||
		resp.Header.Get("X-Frame-Options") != "DENY" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", resp.Header)
	}
	if seen := g.answers(200, "GET", "/api/computer", nil); !strings.Contains(seen, `"state":"running"`) || !strings.Contains(seen, `"desktop":false`) {
		t.Errorf("%s", seen)
	}
	other := g.running(`{"handle":"other"}`).Computer.ID
	stranger := *g
	stranger.box = other
	stranger.answers(401, "GET", "/api/computer", nil)
	stranger.answers(401, "GET", "/api/computer", nil, "Cookie", "bothy-browser-"+other+"="+s.ConnectToken)
	exec := g.session("box", `{"kind":"exec"}`)
	nobody := &guestOfPages{caller: g.caller, t: t, box: g.box, page: browser(t, g.house)}
	for what, token := range map[string]string{"another kind": exec.ConnectToken, "a key": g.house.Key, "none": ""} {
		t.Run(what, func(t *testing.T) {
			nobody := *nobody
			nobody.t = t
			nobody.answers(401, "GET", "/api/computer", nil, "Cookie", "bothy-browser-"+g.box+"="+token)
			nobody.answers(401, "GET", "?access_token="+token, nil)
		})
	}
	if resp, _ := fetch(t, g.page, "GET", g.house.URL+"/c/..%2f..%2fetc/api/computer"); resp.StatusCode != 404 {
		t.Errorf("no id: %s", resp.Status)
	}
}

// TestAPageTellsWhenItsComputerWasSaved, and not on which node it is.
func TestAPageTellsWhenItsComputerWasSaved(t *testing.T) {
	g := openPages(t)
	g.enter("browser")
	if seen := g.answers(200, "GET", "/api/computer", nil); !strings.Contains(seen, `"saved_at":null,"saved_whole":false`) {
		t.Errorf("before any save: %s", seen)
	}
	save := state.Save{Name: "one", Store: "bucket", MadeAt: time.Date(2026, 3, 30, 12, 0, 0, 0, time.UTC)}
	if _, err := g.house.Node.Apply(t.Context(), state.SaveDisk{Computer: state.ComputerID(g.box), Epoch: 1, Save: save}); err != nil {
		t.Fatal(err)
	}
	seen := g.answers(200, "GET", "/api/computer", nil)
	if !strings.Contains(seen, `"saved_at":"2026-03-30T12:00:00Z","saved_whole":false`) || strings.Contains(seen, string(g.house.Node.Self())) {
		t.Errorf("after it: %s", seen)
	}
}

func TestACookieIsSecureBehindHTTPS(t *testing.T) {
	g := openPages(t, doortest.With(func(o *httpapi.Options) { o.PublicURL = "https://bothy.example" }))
	s := g.session("box", `{"kind":"browser"}`)
	if resp, _ := fetch(t, g.page, "GET", g.at("?access_token="+s.ConnectToken)); !resp.Cookies()[0].Secure {
		t.Errorf("the cookie is %v", resp.Cookies()[0])
	}
	cookie := []string{"Cookie", "bothy-browser-" + g.box + "=" + s.ConnectToken}
	g.answers(204, "POST", "/api/directory?path=a", nil, append(cookie, "Origin", "https://bothy.example")...)
	g.answers(403, "POST", "/api/directory?path=b", nil, append(cookie, "Origin", "https://evil.example")...)
}

func TestOtherPagesDoNothingHere(t *testing.T) {
	g := openPages(t)
	g.enter("browser")
	for _, from := range [][]string{{"Origin", "http://evil.example"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "null"}} {
		g.answers(403, "PUT", "/api/file?path=a", strings.NewReader("x"), from...)
		g.answers(403, "DELETE", "/api/file?path=a", nil, from...)
		g.answers(403, "POST", "/api/directory?path=a", nil, from...)
		g.answers(403, "POST", "/api/move?path=a&to=b", nil, from...)
		g.answers(403, "POST", "/api/processes/1/signal?signal=9", nil, from...)
		if from[0] != "Origin" {
			continue // a browser always says from where it opens a WebSocket
		}
		for _, path := range []string{"/api/terminal", "/desktop/socket"} {
			if _, err := g.dial(path, from...); err == nil || !strings.Contains(err.Error(), "403") {
				t.Errorf("%s from %v: %v", path, from, err)
			}
		}
	}
	g.answers(204, "POST", "/api/directory?path=a", nil, "Sec-Fetch-Site", "same-origin")
	resp, _ := fetch(t, g.page, "GET", g.at("/api/computer"), "Origin", "http://evil.example")
	if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("pages of %s may read", got)
	}
	// Who came from another site is shown the page once more, by our own.
	nobody := browser(t, g.house)
	resp, _ = fetch(t, nobody, "GET", g.at(""), "Sec-Fetch-Site", "cross-site")
	if again, _ := fetch(t, nobody, "GET", g.at(""), "Sec-Fetch-Site", "same-origin"); resp.Header.Get("Refresh") != "0" || again.Header.Get("Refresh") != "" {
		t.Errorf("refresh %q, then %q", resp.Header.Get("Refresh"), again.Header.Get("Refresh"))
	}
}

func TestAssetsAreNothingElse(t *testing.T) {
	h := doortest.Open(t)
	for _, name := range []string{"README", ".gitignore", "computer.html", "..%2fdoc.go", "none.js"} {
		if resp, _ := fetch(t, browser(t, h), "GET", h.URL+"/c/assets/"+name); resp.StatusCode != 404 {
			t.Errorf("%s: %s", name, resp.Status)
		}
	}
}

func TestSocketsAreBounded(t *testing.T) {
	g := openPages(t)
	g.display()
	g.enter("vnc")
	var open []*websocket.Conn
	for range console.MaxSockets {
		ws := g.socket("/desktop/socket")
		g.echoes(ws)
		open = append(open, ws)
	}
	if _, err := g.dial("/desktop/socket"); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("one more: %v", err)
	}
	if err := open[0].Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(patience)
	for {
		if _, err := g.dial("/desktop/socket"); err == nil {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("its place is not given back: %v", err)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func TestPortsOfThePage(t *testing.T) {
	g := openPages(t)
	s := g.enter("browser")
	port, _ := app(t)
	at := g.published(port, "private")
	number := strconv.Itoa(int(port))
	if got := g.answers(200, "GET", "/api/ports", nil); !strings.Contains(got, at) || !strings.Contains(got, `"private"`) {
		t.Errorf("%s", got)
	}
	resp, _ := fetch(t, g.page, "GET", g.at("/api/ports/"+number))
	if to := resp.Header.Get("Location"); resp.StatusCode != 303 || to != at+"?access_token="+s.ConnectToken {
		t.Errorf("%s to %q", resp.Status, to)
	}
	g.answers(404, "GET", "/api/ports/9", nil)
	g.answers(400, "GET", "/api/ports/99999", nil)
}
