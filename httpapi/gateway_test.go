package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/coder/websocket"

	"github.com/bothy-computer/bothy/httpapi"
	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/runtime/guest/process"
	"github.com/bothy-computer/bothy/runtime/guest/process/processconnect"
)

// accessSession is a session as its client reads it.
type accessSession struct {
	ID           string
	ComputerID   string `json:"computer_id"`
	Kind         string
	State        string
	AccessURL    string `json:"access_url"`
	ConnectURL   string `json:"connect_url"`
	ConnectToken string `json:"connect_token"`
}

// session opens an access session of a computer.
func (c *caller) session(computer, body string) accessSession {
	c.t.Helper()
	var r struct{ Session accessSession }
	c.do("POST", "/v1/computers/"+computer+"/access-sessions", body).is(201).into(&r)
	return r.Session
}

// bearing adds a token to each call.
type bearing struct {
	token string
	next  http.RoundTripper
}

func (b bearing) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(r)
}

// processes are clients of an exec session in each of Connect's wire forms.
func processes(t *testing.T, at, token string) map[string]processconnect.ProcessClient {
	t.Helper()
	one, two := &http.Transport{}, &http.Transport{Protocols: new(http.Protocols)}
	two.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(func() { one.CloseIdleConnections(); two.CloseIdleConnections() })
	made := func(way http.RoundTripper, o ...connect.ClientOption) processconnect.ProcessClient {
		return processconnect.NewProcessClient(&http.Client{Transport: bearing{token, way}}, at, o...)
	}
	return map[string]processconnect.ProcessClient{
		"Connect JSON":        made(one, connect.WithProtoJSON()),
		"Connect protobuf":    made(one),
		"Connect over HTTP/2": made(two),
		"gRPC":                made(two, connect.WithGRPC()),
		"gRPC-Web":            made(one, connect.WithGRPCWeb()),
	}
}

// shell is a request to run a script.
func shell(script string) *connect.Request[process.StartRequest] {
	off := false
	return connect.NewRequest(&process.StartRequest{Process: &process.ProcessConfig{Cmd: "/bin/sh", Args: []string{"-c", script}}, Stdin: &off})
}

// output reads a process's stream to its end.
func output(stream *connect.ServerStreamForClient[process.StartResponse]) (stdout string, code int32, err error) {
	defer stream.Close()
	code = -1
	for stream.Receive() {
		e := stream.Msg().GetEvent()
		stdout += string(e.GetData().GetStdout())
		if e.GetEnd() != nil {
			code = e.GetEnd().ExitCode
		}
	}
	return stdout, code, stream.Err()
}

func TestAnExecSessionRunsProcessesInEveryWireForm(t *testing.T) {
	h := doortest.Open(t)
	h.Guest()
	c := as(t, h, h.Key)
	box := c.running(`{"handle":"box"}`).Computer
	s := c.session("box", `{"kind":"exec","ttl_seconds":600}`)
	if s.State != "active" || s.ComputerID != box.ID || !strings.HasPrefix(s.ConnectURL, h.URL) {
		t.Fatalf("%+v", s)
	}
	for name, client := range processes(t, s.ConnectURL, s.ConnectToken) {
		t.Run(name, func(t *testing.T) {
			stream, err := client.Start(t.Context(), shell("echo out; exit 3"))
			if err != nil {
				t.Fatal(err)
			}
			if out, code, err := output(stream); err != nil || out != "out\n" || code != 3 {
				t.Fatalf("%q, %d, %v", out, code, err)
			}
			if _, err := client.List(t.Context(), connect.NewRequest(&process.ListRequest{})); err != nil {
				t.Fatal(err)
			}
			_, err = client.SendSignal(t.Context(), connect.NewRequest(&process.SendSignalRequest{Signal: 15,
				Process: &process.ProcessSelector{Selector: &process.ProcessSelector_Pid{Pid: 1 << 30}}}))
			if connect.CodeOf(err) != connect.CodeNotFound {
				t.Fatalf("a process that is not there: %v", err)
			}
		})
	}
	plain := as(t, h, "")
	for _, way := range [][]string{{"", "Authorization", "Bearer " + s.ConnectToken}, {"?access_token=" + s.ConnectToken}} {
		resp := plain.open("POST", "/process.Process/Start"+way[0], `{"command":["echo","bare"]}`, way[1:]...)
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || !strings.Contains(string(b), `"stdout":"YmFyZQo="`) {
			t.Fatalf("%s: %s, %v", resp.Status, b, err)
		}
	}
}

func TestAnExecSessionLetsNobodyElseIn(t *testing.T) {
	h := doortest.Open(t)
	h.Guest()
	c := as(t, h, h.Key)
	c.running(`{"handle":"box"}`)
	page := c.session("box", `{"kind":"browser"}`)
	exec := c.session("box", `{"kind":"exec"}`)
	c.do("DELETE", "/v1/computers/box/access-sessions/"+exec.ID, nil).is(204)
	c.do("DELETE", "/v1/computers/box/access-sessions/"+exec.ID, nil).is(204)
	var again struct{ Session accessSession }
	if c.do("GET", "/v1/computers/box/access-sessions/"+exec.ID, nil).is(200).into(&again); again.Session.State != "revoked" || again.Session.ConnectToken != "" {
		t.Fatalf("%+v", again)
	}
	for what, token := range map[string]string{"none": "", "unknown": "bxs_" + strings.Repeat("x", 43), "of a browser": page.ConnectToken,
		"revoked": exec.ConnectToken, "an API key": h.Key, "endless": strings.Repeat("x", 4096)} {
		for name, client := range processes(t, h.URL, token) {
			stream, err := client.Start(t.Context(), shell("echo no"))
			if err == nil {
				_, _, err = output(stream)
			}
			if connect.CodeOf(err) != connect.CodeUnauthenticated {
				t.Errorf("token %s, %s: %v", what, name, err)
			}
		}
	}
	open := c.session("box", `{"kind":"exec"}`)
	reach := as(t, h, open.ConnectToken)
	for path, status := range map[string]int{"/process.Process/Nope": 501, "/process.Process/../init": 501, "/process.Process//": 501,
		"/filesystem.Filesystem/Stat": 404, "/init": 404, "/files": 404, "/envs": 404} {
		resp := reach.open("POST", path, `{}`)
		resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("%s is %s", path, resp.Status)
		}
	}
	other := as(t, h, func() string { _, key := h.NewAccount("other", 0); return key }())
	other.do("GET", "/v1/computers/box/access-sessions/"+open.ID, nil).fails(404, "not_found", "")
	other.do("POST", "/v1/computers/box/access-sessions", `{"kind":"exec"}`).fails(404, "not_found", "")
	c.do("POST", "/v1/computers/box/access-sessions", `{"kind":"exec","ttl_seconds":59}`).fails(400, "invalid_request", "ttl_seconds must be from 60 to 86400")
	c.do("POST", "/v1/computers/box/access-sessions", `{"kind":"phone"}`).fails(400, "invalid_request", "kind must be")
	var stop asked
	c.do("POST", "/v1/computers/box/actions/stop", nil).is(202).into(&stop)
	c.ended(stop)
	c.do("POST", "/v1/computers/box/access-sessions", `{"kind":"exec"}`).fails(409, "computer_not_running", "start it first")
}

func TestRevokingASessionCutsItsStreams(t *testing.T) {
	h := doortest.Open(t)
	h.Guest()
	c := as(t, h, h.Key)
	c.running(`{"handle":"box"}`)
	for name := range processes(t, h.URL, "") {
		t.Run(name, func(t *testing.T) {
			s := c.session("box", `{"kind":"exec"}`)
			client := processes(t, h.Another().URL, s.ConnectToken)[name]
			bounded, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			stream, err := client.Start(bounded, shell("echo on; sleep 60"))
			if err != nil {
				t.Fatal(err)
			}
			defer stream.Close()
			for stream.Receive() && stream.Msg().GetEvent().GetData() == nil {
			}
			c.do("DELETE", "/v1/computers/box/access-sessions/"+s.ID, nil).is(204)
			for stream.Receive() {
			}
			if err := stream.Err(); err == nil || bounded.Err() != nil {
				t.Fatalf("%v, %v", err, bounded.Err())
			}
		})
	}
}

// A node that stops does not wait for what would go on for ever, and lets the
// rest end.
func TestDrainingCutsWhatDoesNotEnd(t *testing.T) {
	h := doortest.Open(t)
	h.Guest()
	c := as(t, h, h.Key)
	c.running(`{"handle":"box"}`)
	s := c.session("box", `{"kind":"exec"}`)
	port, _ := app(t)
	at := c.published(port, "public")
	conn := socket(t, browser(t, h), at)
	var ended []func() error
	for _, client := range processes(t, h.URL, s.ConnectToken) {
		stream, err := client.Start(t.Context(), shell("echo on; sleep 60"))
		if err != nil || !stream.Receive() {
			t.Fatal(err, stream.Err())
		}
		ended = append(ended, func() error {
			defer stream.Close()
			for stream.Receive() {
			}
			return stream.Err()
		})
	}
	bounded, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := h.Server.Drain(bounded); err != nil {
		t.Fatalf("it waits for streams: %v", err)
	}
	for _, end := range ended {
		if end() == nil {
			t.Error("a stream that was cut looks like one that ended")
		}
	}
	if _, _, err := conn.Read(bounded); err == nil || bounded.Err() != nil {
		t.Errorf("the WebSocket goes on: %v", err)
	}
}

// app is a program in a computer: it listens on a port of this machine.
func app(t *testing.T) (port int, seen chan http.Header) {
	t.Helper()
	seen = make(chan http.Header, 16)
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		for {
			kind, b, err := conn.Read(context.Background())
			if err != nil || conn.Write(context.Background(), kind, b) != nil {
				return
			}
		}
	})
	mux.HandleFunc("/upper", func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex()
		_ = control.Flush()
		b := make([]byte, 1<<10)
		for {
			n, err := r.Body.Read(b)
			_, _ = w.Write(bytes.ToUpper(b[:n]))
			_ = control.Flush()
			if err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/forever", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		h := r.Header.Clone()
		h.Set("Seen-Url", r.URL.String())
		h.Set("Seen-Host", r.Host)
		seen <- h
		w.Header().Set("Set-Cookie", "own=1; Path=/")
		fmt.Fprint(w, "hello")
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.Listener.Addr().(*net.TCPAddr).Port, seen
}

// published publishes a port and returns its URL.
func (c *caller) published(port int, visibility string) string {
	c.t.Helper()
	var r struct {
		Port struct {
			State     string
			PublicURL string `json:"public_url"`
		}
	}
	c.do("POST", "/v1/computers/box/ports", fmt.Sprintf(`{"port":%d,"visibility":%q}`, port, visibility)).is(202).into(&r)
	if r.Port.State != "ready" {
		c.t.Fatalf("%+v", r)
	}
	return r.Port.PublicURL
}

// browser reaches every host at the house.
func browser(t *testing.T, h *doortest.House) *http.Client {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, strings.TrimPrefix(h.URL, "http://"))
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func fetch(t *testing.T, client *http.Client, method, at string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func TestPublishedPorts(t *testing.T) {
	for form, domain := range map[string]string{"by host": "bothy.test", "by path": ""} {
		t.Run(form, func(t *testing.T) {
			h := doortest.Open(t, doortest.With(func(o *httpapi.Options) { o.Domain = domain }))
			h.Guest()
			c := as(t, h, h.Key)
			c.running(`{"handle":"box"}`)
			port, seen := app(t)
			at := c.published(port, "public")
			client := browser(t, h)
			resp, body := fetch(t, client, "GET", at+"a%2Fb?x=1&access_token=bxs_x", "X-Api-Key", "ak_secret", "Cookie", "own=1; agentcomputer_access_session=bxs_1", "X-Forwarded-For", "6.6.6.6")
			got := <-seen
			if resp.StatusCode != 200 || body != "hello" || got.Get("Seen-Url") != "/a%2Fb?x=1" || got.Get("Cookie") != "own=1" || got.Get("X-Api-Key") != "" ||
				got.Get("X-Forwarded-For") != "127.0.0.1" || got.Get("X-Forwarded-Host") != got.Get("Seen-Host") || got.Get("X-Forwarded-Proto") != "http" {
				t.Fatalf("%s %q, the program saw %v", resp.Status, body, got)
			}
			policy := resp.Header.Get("Content-Security-Policy")
			if sandboxed := strings.Contains(policy, "sandbox") && !strings.Contains(policy, "allow-same-origin"); sandboxed != (domain == "") {
				t.Errorf("policy %q", policy)
			}
			traffic(t, client, at)
			unpublished(t, c, client, at, port)
			down := freePort(t)
			resp, body = fetch(t, client, "GET", c.published(down, "public"))
			if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || strings.Count(body, "\n") != 1 {
				t.Errorf("nothing listens: %s %q", resp.Status, body)
			}
			for _, wrong := range []string{strings.Replace(at, "box", "box2", 1), strings.Replace(at, fmt.Sprint(port), "1", 1), strings.Replace(at, fmt.Sprint(port), "0", 1)} {
				if resp, body := fetch(t, client, "GET", wrong); resp.StatusCode != 404 || body != "Nothing is published here.\n" {
					t.Errorf("%s: %s %q", wrong, resp.Status, body)
				}
			}
		})
	}
}

// traffic goes both ways at once, over HTTP and WebSockets.
func traffic(t *testing.T, client *http.Client, at string) {
	t.Helper()
	in, out := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), "POST", at+"upper", in)
	if err != nil {
		t.Fatal(err)
	}
	go io.WriteString(out, "one")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	for _, piece := range []string{"ONE", "TWO"} {
		got := make([]byte, 3)
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != piece {
			t.Fatalf("%q, %v", got, err)
		}
		if piece == "ONE" {
			io.WriteString(out, "two")
		}
	}
	out.Close()
	resp.Body.Close()
	conn := socket(t, client, at)
	for _, text := range []string{"a", strings.Repeat("b", 20_000)} {
		if err := conn.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := conn.Read(t.Context()); err != nil || string(got) != text {
			t.Fatalf("%.20q, %v", got, err)
		}
	}
	conn.CloseNow()
}

func socket(t *testing.T, client *http.Client, at string) *websocket.Conn {
	t.Helper()
	dialer := *client
	dialer.Timeout = 0
	conn, _, err := websocket.Dial(t.Context(), at+"echo", &websocket.DialOptions{HTTPClient: &dialer})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseNow() })
	return conn
}

// unpublished holds a stream and a WebSocket that unpublishing cuts.
func unpublished(t *testing.T, c *caller, client *http.Client, at string, port int) {
	t.Helper()
	conn := socket(t, client, at)
	resp, err := client.Get(at + "forever")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, len("data: 1\n\n"))); err != nil {
		t.Fatal(err)
	}
	c.do("DELETE", fmt.Sprintf("/v1/computers/box/ports/%d", port), nil).is(202)
	bounded, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, _, err := conn.Read(bounded); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the WebSocket goes on: %v", err)
	}
	if _, err := resp.Body.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a stream that was cut says %v", err)
	}
	if resp, _ := fetch(t, client, "GET", at); resp.StatusCode != 404 {
		t.Errorf("after it was unpublished: %s", resp.Status)
	}
	c.do("DELETE", fmt.Sprintf("/v1/computers/box/ports/%d", port), nil).fails(404, "not_found", "")
}

func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

func TestAPrivatePortNeedsASession(t *testing.T) {
	for form, domain := range map[string]string{"by host": "bothy.test", "by path": ""} {
		t.Run(form, func(t *testing.T) {
			h := doortest.Open(t, doortest.With(func(o *httpapi.Options) { o.Domain = domain }))
			h.Guest()
			c := as(t, h, h.Key)
			c.running(`{"handle":"box"}`)
			c.running(`{"handle":"other"}`)
			port, seen := app(t)
			at := c.published(port, "private")
			client := browser(t, h)
			session, exec, foreign := c.session("box", `{"kind":"browser"}`), c.session("box", `{"kind":"exec"}`), c.session("other", `{"kind":"browser"}`)
			for _, token := range []string{"", exec.ConnectToken, foreign.ConnectToken, h.Key} {
				if resp, _ := fetch(t, client, "GET", at, "Authorization", "Bearer "+token); resp.StatusCode != 401 {
					t.Errorf("token %q: %s", token, resp.Status)
				}
			}
			resp, _ := fetch(t, client, "GET", at+"page?a=1&access_token="+session.ConnectToken)
			to, err := resp.Location()
			if err != nil || resp.StatusCode != 303 || to.String() != at+"page?a=1" {
				t.Fatalf("%s to %v, %v", resp.Status, to, err)
			}
			cookie := resp.Cookies()[0]
			prefix, _ := url.Parse(at)
			if !cookie.HttpOnly || cookie.Domain != "" || cookie.Path != prefix.Path {
				t.Errorf("%+v", cookie)
			}
			if resp, body := fetch(t, client, "GET", to.String(), "Cookie", cookie.Name+"="+cookie.Value); resp.StatusCode != 200 || body != "hello" {
				t.Fatalf("%s %q", resp.Status, body)
			}
			if got := <-seen; got.Get("Cookie") != "" {
				t.Errorf("the computer is shown %v", got)
			}
			if resp, _ := fetch(t, client, "POST", at, "Authorization", "Bearer "+session.ConnectToken); resp.StatusCode != 200 {
				t.Errorf("%s", resp.Status)
			}
			if got := <-seen; got.Get("Authorization") != "" {
				t.Errorf("the computer is shown %v", got)
			}
			c.do("DELETE", "/v1/computers/box/access-sessions/"+session.ID, nil).is(204)
			if resp, _ := fetch(t, client, "GET", at, "Cookie", cookie.Name+"="+cookie.Value); resp.StatusCode != 401 {
				t.Errorf("a revoked session lets in: %s", resp.Status)
			}
		})
	}
}

func TestPortsAreRefusedByField(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	c.running(`{"handle":"box"}`)
	for body, says := range map[string]string{`{}`: "port must be", `{"port":0}`: "port must be from 1 to 65535", `{"port":65536}`: "port must be",
		`{"port":1,"visibility":"secret"}`: "visibility must be", `{"port":1,"name":"` + strings.Repeat("x", 65) + `"}`: "name must be at most 64"} {
		c.do("POST", "/v1/computers/box/ports", body).fails(400, "invalid_request", says)
	}
	c.do("POST", "/v1/computers/box/ports", `{"port":8080,"name":"web"}`).is(202)
	c.do("POST", "/v1/computers/box/ports", `{"port":8080,"name":"api","visibility":"private"}`).is(202)
	var list struct {
		Ports []struct{ Name, Visibility string }
	}
	if c.do("GET", "/v1/computers/box/ports", nil).is(200).into(&list); len(list.Ports) != 1 || list.Ports[0].Name != "api" || list.Ports[0].Visibility != "private" {
		t.Fatalf("%+v", list)
	}
	c.do("DELETE", "/v1/computers/box/ports/x", nil).fails(404, "not_found", "")
}

func TestSharesLetInWithoutAKey(t *testing.T) {
	h := doortest.Open(t)
	h.Guest()
	c, nobody := as(t, h, h.Key), as(t, h, "")
	box := c.running(`{"handle":"box"}`).Computer
	var made struct {
		Share struct {
			ID  string
			URL string `json:"share_url"`
		}
	}
	c.do("POST", "/v1/computers/box/shares/links", nil).is(201).into(&made)
	token := made.Share.URL[strings.LastIndex(made.Share.URL, "/")+1:]
	nobody.do("GET", "/v1/shares/"+token, nil).is(200)
	var redeemed struct{ Session accessSession }
	nobody.do("POST", "/v1/shares/"+token+"/access-sessions", nil).is(201).into(&redeemed)
	if s := redeemed.Session; s.Kind != "browser" || s.ComputerID != box.ID {
		t.Fatalf("%+v", s)
	}
	nobody.do("POST", "/v1/shares/"+token+"/access-sessions", `{"kind":"vnc"}`).fails(403, "forbidden", "does not allow vnc")
	nobody.do("POST", "/v1/shares/"+token+"/access-sessions", `{"kind":"exec"}`).fails(403, "forbidden", "does not allow exec")
	client := browser(t, h)
	resp, body := fetch(t, client, "GET", made.Share.URL)
	if resp.StatusCode != 200 || !strings.Contains(body, "<form") {
		t.Fatalf("%s %s", resp.Status, body)
	}
	if resp, _ := fetch(t, client, "POST", made.Share.URL); resp.StatusCode != 303 || !strings.Contains(resp.Header.Get("Location"), "/c/"+box.ID+"?access_token=bxs_") {
		t.Fatalf("%s %v", resp.Status, resp.Header)
	}
	port, _ := app(t)
	at := c.published(port, "private")
	if resp, _ := fetch(t, client, "GET", at, "Authorization", "Bearer "+redeemed.Session.ConnectToken); resp.StatusCode != 200 {
		t.Fatalf("%s", resp.Status)
	}
	c.do("DELETE", "/v1/computers/box/shares/links/"+made.Share.ID, nil).is(204)
	c.do("DELETE", "/v1/computers/box/shares/links/"+made.Share.ID, nil).is(204)
	if resp, _ := fetch(t, client, "GET", at, "Authorization", "Bearer "+redeemed.Session.ConnectToken); resp.StatusCode != 401 {
		t.Fatalf("a session outlives its share: %s", resp.Status)
	}
	nobody.do("GET", "/v1/shares/"+token, nil).fails(404, "not_found", "Share not found")
	nobody.do("POST", "/v1/shares/"+token+"/access-sessions", nil).fails(404, "not_found", "Share not found")
	if resp, _ := fetch(t, client, "GET", made.Share.URL); resp.StatusCode != 404 {
		t.Errorf("%s", resp.Status)
	}
	var list json.RawMessage
	if c.do("GET", "/v1/computers/box/shares", nil).is(200).into(&list); string(list) != `{"shares":[]}` {
		t.Errorf("%s", list)
	}
	c.do("POST", "/v1/computers/box/shares/links", `{"allow_browser":false}`).fails(400, "invalid_request", "must allow")
	c.do("POST", "/v1/computers/box/shares/links", `{"expires_at":"2020-01-01T00:00:00Z"}`).fails(400, "invalid_request", "expires_at must be in the future")
}
