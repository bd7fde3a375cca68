package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	guest "github.com/bothy-computer/bothy/runtime/guest/process"
	"github.com/bothy-computer/bothy/runtime/guest/process/processconnect"
)

// cutTime is how long what was revoked may go on, at any node.
const cutTime = 5 * time.Second

// gatewayHouse is three nodes and a computer, which is asked for at a node that
// does not own it.
type gatewayHouse struct {
	t     *testing.T
	nodes []*process
	far   *process
}

// TestTheGateway reaches into a computer through a node that does not own it.
func TestTheGateway(t *testing.T) {
	t.Parallel()
	h := &gatewayHouse{nodes: launch(t, "n1", "n2", "n3")}
	_, owner := h.nodes[0].makeComputer("box")
	for _, p := range h.nodes {
		if p.name != owner {
			h.far = p
		}
	}
	for _, part := range []struct {
		name string
		do   func(*gatewayHouse)
	}{
		{"wire forms", (*gatewayHouse).forms}, {"terminal", (*gatewayHouse).terminal}, {"input and signals", (*gatewayHouse).input},
		{"replay", (*gatewayHouse).replay}, {"revoking", (*gatewayHouse).revoking}, {"ports", (*gatewayHouse).ports},
	} {
		t.Run(part.name, func(t *testing.T) { part.do(&gatewayHouse{t, h.nodes, h.far}) })
	}
}

// wireSession is an access session on the wire.
type wireSession struct {
	Session struct {
		ID    string
		At    string `json:"connect_url"`
		Token string `json:"connect_token"`
	}
}

func (h *gatewayHouse) session(kind string) (s wireSession) {
	h.t.Helper()
	h.far.api(http.MethodPost, "/computers/box/access-sessions", map[string]string{"kind": kind}, http.StatusCreated, &s)
	return s
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

// clients speak to an exec session in each wire form.
func (h *gatewayHouse) clients(s wireSession) map[string]processconnect.ProcessClient {
	h.t.Helper()
	one, two := &http.Transport{}, &http.Transport{Protocols: new(http.Protocols)}
	two.Protocols.SetUnencryptedHTTP2(true)
	h.t.Cleanup(func() { one.CloseIdleConnections(); two.CloseIdleConnections() })
	made := func(way http.RoundTripper, o ...connect.ClientOption) processconnect.ProcessClient {
		return processconnect.NewProcessClient(&http.Client{Transport: bearing{s.Session.Token, way}}, s.Session.At, o...)
	}
	return map[string]processconnect.ProcessClient{"JSON": made(one, connect.WithProtoJSON()), "protobuf": made(one),
		"gRPC": made(two, connect.WithGRPC()), "gRPC-Web": made(one, connect.WithGRPCWeb())}
}

func (h *gatewayHouse) client() processconnect.ProcessClient {
	h.t.Helper()
	return h.clients(h.session("exec"))["protobuf"]
}

// running is a process and what it has printed so far.
type running struct {
	t      *testing.T
	stream *connect.ServerStreamForClient[guest.StartResponse]
	pid    *guest.ProcessSelector
	out    string
	end    *guest.ProcessEvent_EndEvent
}

func begin(t *testing.T, c processconnect.ProcessClient, req *guest.StartRequest) *running {
	t.Helper()
	stream, err := c.Start(t.Context(), connect.NewRequest(req))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stream.Close() }) // it may be over
	if !stream.Receive() || stream.Msg().GetEvent().GetStart() == nil {
		t.Fatalf("no start: %v, %v", stream.Msg(), stream.Err())
	}
	return &running{t: t, stream: stream, pid: &guest.ProcessSelector{Selector: &guest.ProcessSelector_Pid{Pid: stream.Msg().GetEvent().GetStart().GetPid()}}}
}

// until reads what the process prints, to a text or to its end.
func (r *running) until(text string) {
	r.t.Helper()
	for text == "" || !strings.Contains(r.out, text) {
		if !r.stream.Receive() {
			if text != "" || r.end == nil {
				r.t.Fatalf("it ended with %v, %v, having said %q", r.end, r.stream.Err(), r.out)
			}
			return
		}
		e := r.stream.Msg().GetEvent()
		r.out += string(e.GetData().GetStdout()) + string(e.GetData().GetPty())
		if e.GetEnd() != nil {
			r.end = e.GetEnd()
		}
	}
}

func script(text string) *guest.StartRequest {
	return &guest.StartRequest{Process: &guest.ProcessConfig{Cmd: "/bin/bash", Args: []string{"-c", text}}}
}

func (h *gatewayHouse) forms() {
	s := h.session("exec")
	for name, c := range h.clients(s) {
		h.t.Run(name, func(t *testing.T) {
			r := begin(t, c, script("echo $((6*7)); id -un; exit 3"))
			if r.until(""); r.out != "42\nnode\n" || r.end.ExitCode != 3 {
				t.Errorf("%q, %v", r.out, r.end)
			}
		})
	}
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, s.Session.At+"/process.Process/Start?user=root", strings.NewReader(`{"command":["id","-un"]}`))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := (&http.Client{Transport: bearing{s.Session.Token, http.DefaultTransport}}).Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err != nil || res.StatusCode != 200 || !strings.Contains(string(b), "cm9vdAo=") { // root
		h.t.Errorf("bare: %s, %s, %v", res.Status, b, err)
	}
}

func (h *gatewayHouse) terminal() {
	c := h.client()
	r := begin(h.t, c, &guest.StartRequest{Process: &guest.ProcessConfig{Cmd: "/bin/bash", Args: []string{"--norc", "-i"}},
		Pty: &guest.PTY{Size: &guest.PTY_Size{Cols: 100, Rows: 30}}})
	say := func(text string) {
		h.t.Helper()
		if _, err := c.SendInput(h.t.Context(), connect.NewRequest(&guest.SendInputRequest{Process: r.pid,
			Input: &guest.ProcessInput{Input: &guest.ProcessInput_Pty{Pty: []byte(text)}}})); err != nil {
			h.t.Fatal(err)
		}
	}
	say("stty size\n")
	r.until("30 100")
	if _, err := c.Update(h.t.Context(), connect.NewRequest(&guest.UpdateRequest{Process: r.pid, Pty: &guest.PTY{Size: &guest.PTY_Size{Cols: 55, Rows: 11}}})); err != nil {
		h.t.Fatal(err)
	}
	say("stty size; exit\n")
	r.until("11 55")
	r.until("")
}

func (h *gatewayHouse) input() {
	s := h.session("exec")
	c := h.clients(s)["protobuf"]
	on := true
	cat := script("wc -c")
	cat.Stdin = &on
	r := begin(h.t, c, cat)
	in := c.StreamInput(h.t.Context())
	send := func(m *guest.StreamInputRequest) {
		h.t.Helper()
		if err := in.Send(m); err != nil {
			h.t.Fatal(err)
		}
	}
	send(&guest.StreamInputRequest{Event: &guest.StreamInputRequest_Start{Start: &guest.StreamInputRequest_StartEvent{Process: r.pid}}})
	for range 100 {
		send(&guest.StreamInputRequest{Event: &guest.StreamInputRequest_Data{Data: &guest.StreamInputRequest_DataEvent{
			Input: &guest.ProcessInput{Input: &guest.ProcessInput_Stdin{Stdin: make([]byte, 10_000)}}}}})
	}
	if _, err := in.CloseAndReceive(); err != nil {
		h.t.Fatal(err)
	}
	if _, err := c.CloseStdin(h.t.Context(), connect.NewRequest(&guest.CloseStdinRequest{Process: r.pid})); err != nil {
		h.t.Fatal(err)
	}
	if r.until(""); r.out != "1000000\n" {
		h.t.Errorf("%q", r.out)
	}
	for _, signal := range []string{`"SIGUSR1"`, `"usr1"`, `"SIGNAL_SIGUSR1"`, "10"} {
		r := begin(h.t, c, script("trap 'echo got it; exit 0' USR1; echo ready; while :; do sleep 0.05; done"))
		r.until("ready")
		body := fmt.Sprintf(`{"process":{"pid":%d},"signal":%s}`, r.pid.GetPid(), signal)
		res, err := http.Post(s.Session.At+"/process.Process/SendSignal?access_token="+s.Session.Token, "application/json", strings.NewReader(body))
		if err != nil {
			h.t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 200 {
			h.t.Fatalf("signal %s: %s", signal, res.Status)
		}
		r.until("")
		if !strings.Contains(r.out, "got it") {
			h.t.Errorf("signal %s: %q", signal, r.out)
		}
	}
}

// replay leaves a process and comes back to it through another node.
func (h *gatewayHouse) replay() {
	s := h.session("exec")
	c := h.clients(s)["JSON"]
	r := begin(h.t, c, script("echo one; while [ ! -e /tmp/go ]; do sleep 0.05; done; echo two; exit 4"))
	r.until("one")
	_ = r.stream.Close() // the client leaves
	other := s
	other.Session.At = h.nodes[0].url
	if h.nodes[0] == h.far {
		other.Session.At = h.nodes[1].url
	}
	stream, err := h.clients(other)["gRPC"].Connect(h.t.Context(), connect.NewRequest(&guest.ConnectRequest{Process: r.pid}))
	if err != nil {
		h.t.Fatal(err)
	}
	defer stream.Close()
	if !stream.Receive() || stream.Msg().GetEvent().GetStart().GetPid() != r.pid.GetPid() {
		h.t.Fatalf("%v, %v", stream.Msg(), stream.Err())
	}
	begin(h.t, c, script("touch /tmp/go")).until("")
	out, code := "", int32(-1)
	for stream.Receive() {
		out += string(stream.Msg().GetEvent().GetData().GetStdout())
		if end := stream.Msg().GetEvent().GetEnd(); end != nil {
			code = end.ExitCode
		}
	}
	if !strings.HasSuffix(out, "two\n") || code != 4 || stream.Err() != nil {
		h.t.Errorf("%q, %d, %v", out, code, stream.Err())
	}
}

func (h *gatewayHouse) revoking() {
	for _, form := range []string{"JSON", "protobuf", "gRPC", "gRPC-Web"} {
		s := h.session("exec")
		c := h.clients(s)[form]
		r := begin(h.t, c, script("echo on; sleep 30"))
		r.until("on")
		h.nodes[0].api(http.MethodDelete, "/computers/box/access-sessions/"+s.Session.ID, nil, http.StatusNoContent, nil)
		begun := time.Now()
		for r.stream.Receive() {
		}
		if r.stream.Err() == nil || time.Since(begun) > cutTime {
			h.t.Errorf("%s: cut after %s with %v", form, time.Since(begun), r.stream.Err())
		}
		if _, err := c.List(h.t.Context(), connect.NewRequest(&guest.ListRequest{})); connect.CodeOf(err) != connect.CodeUnauthenticated {
			h.t.Errorf("%s: a revoked token is answered with %v", form, err)
		}
	}
}
