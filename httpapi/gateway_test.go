package httpapi_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

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
		if policy := resp.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "sandbox;") {
			t.Errorf("a browser may show the answer: %q", policy)
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
