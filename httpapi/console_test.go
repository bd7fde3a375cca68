package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/coder/websocket"

	"github.com/bothy-computer/bothy/httpapi"
	"github.com/bothy-computer/bothy/httpapi/console"
	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/guest/process"
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

func TestFilesOfThePage(t *testing.T) {
	g := openPages(t)
	g.enter("browser")
	content := bytes.Repeat([]byte("0123456789abcdef"), 100_000) // several pieces
	g.answers(204, "PUT", "/api/file?path=dir/a%20file", bytes.NewReader(content))
	if got := g.answers(200, "GET", "/api/file?path=dir/a%20file", nil); got != string(content) {
		t.Errorf("%d bytes came back", len(got))
	}
	if got := g.answers(206, "GET", "/api/file?path=dir/a%20file", nil, "Range", "bytes=1048570-1048585"); got != string(content[1048570:1048586]) {
		t.Errorf("a range is %q", got)
	}
	g.answers(416, "GET", "/api/file?path=dir/a%20file", nil, "Range", "bytes=99999999-")
	resp, _ := fetch(t, g.page, "GET", g.at("/api/file?path=dir/a%20file"))
	if resp.Header.Get("Content-Disposition") != `attachment; filename="a file"` || resp.Header.Get("Content-Type") != "application/octet-stream" ||
		!strings.Contains(resp.Header.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("headers %v", resp.Header)
	}
	g.answers(204, "PUT", "/api/file?path=empty", nil)
	g.answers(204, "PUT", "/api/file?path=dir/a%20file", strings.NewReader("shorter"))
	if got := g.answers(200, "GET", "/api/file?path=dir/a%20file", nil); got != "shorter" {
		t.Errorf("replaced by %q", got)
	}
	g.answers(409, "PUT", "/api/file?path=dir", strings.NewReader("x"))
	g.answers(400, "PUT", "/api/file?path=../out", strings.NewReader("x"))
	g.answers(400, "GET", "/api/file?path=dir", nil)
	g.answers(404, "GET", "/api/file?path=none", nil)
	g.answers(204, "POST", "/api/move?path=empty&to=moved", nil)
	if got := g.answers(200, "GET", "/api/files", nil); !strings.Contains(got, `"moved"`) || strings.Contains(got, "empty") || strings.Contains(got, ".upload") {
		t.Errorf("%s", got)
	}
	g.answers(400, "DELETE", "/api/file?path=dir", nil)
	g.answers(204, "DELETE", "/api/file?path=dir&recursive=true", nil)
	// It is there also while the computer is stopped.
	g.do("POST", "/v1/computers/box/actions/stop", nil).is(202)
	g.answers(200, "GET", "/api/file?path=moved", nil)
}

func TestADownloadIsCutWithItsSession(t *testing.T) {
	g := openPages(t)
	s := g.enter("browser")
	const size = 32 << 20 // more than lies in sockets
	g.answers(204, "PUT", "/api/file?path=long", bytes.NewReader(make([]byte, size)))
	req, err := http.NewRequestWithContext(t.Context(), "GET", g.at("/api/file?path=long"), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := g.page.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	g.do("DELETE", "/v1/computers/box/access-sessions/"+s.ID, nil).is(204)
	if n, err := io.Copy(io.Discard, resp.Body); err == nil || n == size {
		t.Errorf("%d bytes, %v", n, err)
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

func TestABrokenUploadLeavesWhatWasThere(t *testing.T) {
	g := openPages(t)
	s := g.enter("browser")
	g.answers(204, "PUT", "/api/file?path=kept", strings.NewReader("as it was"))
	conn, err := net.Dial("tcp", strings.TrimPrefix(g.house.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	head := "PUT /c/" + g.box + "/api/file?path=kept HTTP/1.1\r\nHost: x\r\nCookie: bothy-browser-" + g.box + "=" + s.ConnectToken + "\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nnew\r\n"
	if _, err := io.WriteString(conn, head); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(conn); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if got := g.answers(200, "GET", "/api/file?path=kept", nil); got != "as it was" {
		t.Errorf("%q", got)
	}
	if got := g.answers(200, "GET", "/api/files", nil); strings.Contains(got, ".upload") {
		t.Errorf("left behind: %s", got)
	}
}

// display plays the display of every computer: it says back what it hears.
func (g *guestOfPages) display() {
	script := g.house.Driver.Script()
	script.Show(5901)
	script.Listen(func(_ context.Context, _ runtime.ID, port uint16) (net.Conn, error) {
		if port != 5901 {
			return nil, runtime.ErrRefused
		}
		ours, theirs := net.Pipe()
		go func() { defer ours.Close(); _, _ = io.Copy(ours, ours) }()
		return theirs, nil
	})
}

func (g *guestOfPages) echoes(ws *websocket.Conn) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	if err := ws.Write(ctx, websocket.MessageBinary, []byte("RFB")); err != nil {
		g.t.Fatal(err)
	}
	if _, b, err := ws.Read(ctx); err != nil || string(b) != "RFB" {
		g.t.Fatalf("%q, %v", b, err)
	}
}

func TestADesktopIsCutWithItsSession(t *testing.T) {
	g := openPages(t)
	g.display()
	s := g.enter("vnc")
	g.answers(401, "GET", "/api/computer", nil)
	g.answers(401, "GET", "", nil)
	if _, err := g.dial("/api/terminal"); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("a terminal: %v", err)
	}
	ws := g.socket("/desktop/socket")
	g.echoes(ws)
	g.do("DELETE", "/v1/computers/box/access-sessions/"+s.ID, nil).is(204)
	if code := g.ends(ws); code != 4401 {
		t.Errorf("closed with %d", code)
	}
	if _, err := g.dial("/desktop/socket"); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("again: %v", err)
	}
	g.enter("browser") // which shows the desktop too
	g.echoes(g.socket("/desktop/socket"))
}

func TestAShareShowsTheDesktopOnlyIfItSaysSo(t *testing.T) {
	g := openPages(t)
	g.display()
	for allow, want := range map[string]websocket.StatusCode{"false": 4403, "true": -1} {
		var made struct {
			Share struct {
				URL string `json:"share_url"`
			}
		}
		g.do("POST", "/v1/computers/box/shares/links", `{"allow_browser":true,"allow_vnc":`+allow+`}`).is(201).into(&made)
		resp, _ := fetch(t, g.page, "POST", made.Share.URL)
		g.page = visitor(t, g.house)
		g.follow(resp.Header.Get("Location"))
		ws := g.socket("/desktop/socket")
		if want == -1 {
			g.echoes(ws)
		} else if code := g.ends(ws); code != want {
			t.Errorf("closed with %d, want %d", code, want)
		}
	}
}

func TestWhyThereIsNoDesktop(t *testing.T) {
	g := openPages(t)
	g.enter("vnc")
	if code := g.ends(g.socket("/desktop/socket")); code != 4501 {
		t.Errorf("no display: closed with %d", code)
	}
	g.display()
	ws := g.socket("/desktop/socket")
	g.echoes(ws)
	drained := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		drained <- g.house.Server.Drain(ctx)
	}()
	if code := g.ends(ws); code != websocket.StatusGoingAway {
		t.Errorf("drained: closed with %d", code)
	}
	if err := <-drained; err != nil {
		t.Error(err)
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

// TestATerminalIsComeBackTo attaches to a shell that goes on, sees what it
// showed, types, has it resized and ended.
func TestATerminalIsComeBackTo(t *testing.T) {
	g := openPages(t)
	exec := g.session("box", `{"kind":"exec"}`)
	client := processes(t, exec.ConnectURL, exec.ConnectToken)["Connect protobuf"]
	life, leave := context.WithCancel(t.Context())
	stream, err := client.Start(life, connect.NewRequest(&process.StartRequest{Pty: &process.PTY{Size: &process.PTY_Size{Cols: 80, Rows: 24}},
		Process: &process.ProcessConfig{Cmd: "/bin/sh", Args: []string{"-c", "echo before; while read x; do echo got $x; stty size; done"}}}))
	if err != nil {
		t.Fatal(err)
	}
	var shown string
	for !strings.Contains(shown, "before") && stream.Receive() {
		shown += string(stream.Msg().GetEvent().GetData().GetPty())
	}
	list := connect.NewRequest(&process.ListRequest{})
	found, err := client.List(t.Context(), list)
	if err != nil || len(found.Msg.Processes) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	leave()
	_ = stream.Close() // it was cut
	g.enter("browser")
	if got := g.answers(200, "GET", "/api/processes", nil); !strings.Contains(got, "echo before") {
		t.Errorf("%s", got)
	}
	ws := g.socket("/api/terminal?cols=90&rows=30&pid=" + pidText(found.Msg.Processes[0].Pid))
	g.until(ws, "before")
	g.until(ws, `"live":true`)
	g.write(ws, websocket.MessageBinary, "one\n")
	g.until(ws, "got one\r\n30 90")
	g.write(ws, websocket.MessageText, `{"cols":100,"rows":40}`)
	g.write(ws, websocket.MessageBinary, "two\n")
	g.until(ws, "got two\r\n40 100")
	g.answers(204, "POST", "/api/processes/"+pidText(found.Msg.Processes[0].Pid)+"/signal?signal=9", nil)
	g.until(ws, `"ended":"signal: killed"`)
	if code := g.ends(ws); code != websocket.StatusNormalClosure {
		t.Errorf("closed with %d", code)
	}
	if code := g.ends(g.socket("/api/terminal?pid=4000000")); code != 4404 {
		t.Errorf("no such shell: closed with %d", code)
	}
	g.answers(404, "POST", "/api/processes/4000000/signal?signal=9", nil)
	g.answers(400, "POST", "/api/processes/1/signal?signal=65", nil)
	g.answers(400, "GET", "/api/terminal?cols=1001", nil)
}

func pidText(pid uint32) string { return strconv.Itoa(int(pid)) }

func (g *guestOfPages) write(ws *websocket.Conn, kind websocket.MessageType, text string) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	if err := ws.Write(ctx, kind, []byte(text)); err != nil {
		g.t.Fatal(err)
	}
}

// until reads messages until they hold a text.
func (g *guestOfPages) until(ws *websocket.Conn, text string) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	var got string
	for !strings.Contains(got, text) {
		_, b, err := ws.Read(ctx)
		if err != nil {
			g.t.Fatalf("%v after %q, which lacks %q", err, got, text)
		}
		got += string(b)
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
