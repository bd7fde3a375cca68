package httpapi_test

import (
	"bytes"
	"context"
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

	"github.com/coder/websocket"

	"github.com/bothy-computer/bothy/httpapi"
	"github.com/bothy-computer/bothy/httpapi/doortest"
)

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
			const down = 2 // nothing listens there on any machine
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
