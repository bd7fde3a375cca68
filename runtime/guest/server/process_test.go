package server

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/bothy-computer/bothy/runtime/guest/process"
)

// streamed reads the events of a bare stream one by one.
type streamed struct {
	t    *testing.T
	scan *bufio.Scanner
	pid  int
}

// begin starts a command and reads its start event.
func (d dialled) begin(t *testing.T, body string, header ...string) *streamed {
	t.Helper()
	return follow(t, d.post(t, startPath, plainJSON, body, header...))
}

func follow(t *testing.T, res *http.Response) *streamed {
	t.Helper()
	s := &streamed{t: t, scan: bufio.NewScanner(res.Body)}
	first := s.next()
	if first.Event.Start == nil {
		t.Fatalf("the first event is %+v", first)
	}
	s.pid = first.Event.Start.PID
	return s
}

func (s *streamed) next() event {
	s.t.Helper()
	if !s.scan.Scan() {
		s.t.Fatalf("no more events: %v", s.scan.Err())
	}
	var e event
	if err := json.Unmarshal(s.scan.Bytes(), &e); err != nil {
		s.t.Fatal(err)
	}
	return e
}

// until gathers output until it holds want.
func (s *streamed) until(want string) string {
	s.t.Helper()
	var got string
	for !strings.Contains(got, want) {
		e := s.next()
		if e.Event.Data == nil {
			s.t.Fatalf("%+v before %q; output so far %q", e, want, got)
		}
		got += string(e.Event.Data.Stdout) + string(e.Event.Data.PTY)
	}
	return got
}

// end reads the rest and returns its end.
func (s *streamed) end() (status string) {
	s.t.Helper()
	for {
		switch e := s.next(); {
		case e.Error != nil:
			return e.Error.Code
		case e.Event.End != nil:
			return e.Event.End.Status
		}
	}
}

// call makes a unary call and returns status and body.
func (d dialled) call(t *testing.T, method, body string) (int, string) {
	t.Helper()
	res := d.post(t, "/process.Process/"+method, plainJSON, body)
	return res.StatusCode, text(t, res)
}

func (d dialled) must(t *testing.T, method, body string) string {
	t.Helper()
	status, answer := d.call(t, method, body)
	if status != http.StatusOK {
		t.Fatalf("%s %s: %d %s", method, body, status, answer)
	}
	return answer
}

func TestInputReachesAProcess(t *testing.T) {
	d := serve(t)
	cat := d.begin(t, `{"command":["cat"],"tag":"my cat"}`)
	d.must(t, "SendInput", `{"process":{"tag":"my cat"},"input":{"stdin":"aGVsbG8K"}}`)
	cat.until("hello\n")
	d.must(t, "SendInput", fmt.Sprintf(`{"process":{"pid":%d},"input":{"stdin":"YWdhaW4K"}}`, cat.pid))
	cat.until("again\n")
	body := fmt.Sprintf(`{"process":{"pid":%d}}`, cat.pid)
	d.must(t, "CloseStdin", body)
	if got := cat.end(); got != "exit status 0" {
		t.Errorf("cat ended with %q", got)
	}
	d.must(t, "CloseStdin", body) // again is success
	if status, _ := d.call(t, "SendInput", `{"process":{"tag":"my cat"},"input":{"stdin":"eA=="}}`); status != 400 {
		t.Errorf("input for a process that ended: %d", status)
	}
}

func TestStreamInput(t *testing.T) {
	d := serve(t)
	cat := d.begin(t, `{"command":["cat"]}`)
	body := string(envelope(fmt.Appendf(nil, `{"start":{"process":{"pid":%d}}}`, cat.pid))) +
		string(envelope([]byte(`{"data":{"input":{"stdin":"b25l"}}}`))) +
		string(envelope([]byte(`{"keepalive":{}}`))) + string(envelope([]byte(`{"data":{"input":{"stdin":"dHdv"}}}`)))
	if _, end := framed(t, d.post(t, "/process.Process/StreamInput", streamJSON, body)); end.Error != nil {
		t.Fatalf("%+v", end.Error)
	}
	cat.until("onetwo")
	d.must(t, "CloseStdin", fmt.Sprintf(`{"process":{"pid":%d}}`, cat.pid))
	cat.end()
	data := string(envelope([]byte(`{"data":{"input":{"stdin":"b25l"}}}`)))
	if _, end := framed(t, d.post(t, "/process.Process/StreamInput", streamJSON, data)); end.Error == nil || end.Error.Code != "invalid_argument" {
		t.Errorf("data before start: %+v", end.Error)
	}
}

func TestSignalsHaveManyNames(t *testing.T) {
	d := serve(t)
	for name, want := range map[string]string{
		`"SIGNAL_SIGKILL"`: "signal: killed", `"SIGTERM"`: "signal: terminated", `"int"`: "signal: interrupt",
		`"HUP"`: "signal: hangup", `10`: "signal: user defined signal 1", `"12"`: "signal: user defined signal 2",
	} {
		p := d.begin(t, `{"command":["sleep","60"]}`)
		d.must(t, "SendSignal", fmt.Sprintf(`{"process":{"pid":%d},"signal":%s}`, p.pid, name))
		if got := p.end(); got != want {
			t.Errorf("%s: ended with %q, want %q", name, got, want)
		}
	}
	p := d.begin(t, `{"command":["sleep","60"]}`)
	for _, bad := range []string{`"NOPE"`, `0`, `65`, `-9`} {
		if status, body := d.call(t, "SendSignal", fmt.Sprintf(`{"process":{"pid":%d},"signal":%s}`, p.pid, bad)); status != 400 || !strings.Contains(body, "invalid_argument") {
			t.Errorf("%s: %d %s", bad, status, body)
		}
	}
	d.must(t, "SendSignal", fmt.Sprintf(`{"process":{"pid":%d},"signal":9}`, p.pid))
	p.end()
	if status, _ := d.call(t, "SendSignal", fmt.Sprintf(`{"process":{"pid":%d},"signal":9}`, p.pid)); status != 404 {
		t.Errorf("a signal to a process that ended: %d, want 404", status)
	}
}

func TestTerminal(t *testing.T) {
	d := serve(t)
	p := d.begin(t, `{"command":["sh","-c","stty size; read line; echo got $line; stty size; tty"],"pty":{"size":{"cols":90,"rows":30}}}`)
	p.until("30 90")
	d.must(t, "Update", fmt.Sprintf(`{"process":{"pid":%d},"pty":{"size":{"cols":100,"rows":40}}}`, p.pid))
	d.must(t, "SendInput", fmt.Sprintf(`{"process":{"pid":%d},"input":{"pty":"eWVzCg=="}}`, p.pid))
	out := p.until("/dev/pts/")
	if !strings.Contains(out, "got yes") || !strings.Contains(out, "40 100") {
		t.Errorf("the terminal shows %q", out)
	}
	if got := p.end(); got != "exit status 0" {
		t.Errorf("ended with %q", got)
	}
	p = d.begin(t, `{"command":["cat"],"pty":{"cols":80,"rows":24}}`)
	pid := fmt.Sprintf(`{"process":{"pid":%d}`, p.pid)
	for method, body := range map[string]string{"CloseStdin": pid + `}`, "SendInput": pid + `,"input":{"stdin":"eA=="}}`} {
		if status, text := d.call(t, method, body); status != 500 || !strings.Contains(text, `"internal"`) {
			t.Errorf("%s on a terminal: %d %s", method, status, text)
		}
	}
	d.must(t, "SendInput", pid+`,"input":{"pty":"BA=="}}`) // end of input, as typed
	if got := p.end(); got != "exit status 0" {
		t.Errorf("cat ended with %q", got)
	}
}

func TestAProcessOutlivesItsClient(t *testing.T) {
	d := serve(t)
	res := d.post(t, startPath, plainJSON, `{"command":["sh","-c","read x; echo $x; exit 5"],"tag":"outlives"}`)
	p := follow(t, res)
	res.Body.Close()
	list := d.must(t, "List", `{}`)
	if !strings.Contains(list, `"outlives"`) || !strings.Contains(list, fmt.Sprintf(`"pid":%d`, p.pid)) {
		t.Errorf("the list is %s", list)
	}
	again := follow(t, d.post(t, connectPath, plainJSON, `{"process":{"tag":"outlives"}}`))
	d.must(t, "SendInput", `{"process":{"tag":"outlives"},"input":{"stdin":"b24K"}}`)
	again.until("on\n")
	if got := again.end(); got != "exit status 5" || again.pid != p.pid {
		t.Errorf("ended with %q", got)
	}
	for _, selector := range []string{`{"tag":"outlives"}`, fmt.Sprintf(`{"pid":%d}`, p.pid)} {
		late := follow(t, d.post(t, connectPath, plainJSON, `{"process":`+selector+`}`))
		if got := late.end(); got != "exit status 5" {
			t.Errorf("a late listener by %s gets %q", selector, got)
		}
	}
	if list := d.must(t, "List", `{}`); list != "{}" {
		t.Errorf("an ended process is listed: %s", list)
	}
}

// TestATerminalIsRecalled leaves a terminal and comes back: what it showed
// meanwhile is there, once, and then what it shows now.
func TestATerminalIsRecalled(t *testing.T) {
	d := serve(t)
	p := d.begin(t, `{"command":["sh","-c","echo first; read line; echo then $line; cat"],"pty":{"size":{"cols":80,"rows":24}}}`)
	p.until("first")
	pid := fmt.Sprintf(`{"process":{"pid":%d}`, p.pid)
	d.must(t, "SendInput", pid+`,"input":{"pty":"eWVzCg=="}}`)
	p.until("then yes")

	again := follow(t, d.post(t, connectPath, plainJSON, pid+`}`, process.RecallHeader, "true"))
	var shown string
	for e := again.next(); e.Event.Keepalive == nil; e = again.next() {
		shown += string(e.Event.Data.PTY)
	}
	if strings.Count(shown, "first") != 1 || !strings.Contains(shown, "then yes") {
		t.Errorf("recalled: %q", shown)
	}
	d.must(t, "SendInput", pid+`,"input":{"pty":"bW9yZQo="}}`)
	if now := again.until("more"); strings.Contains(now, "first") {
		t.Errorf("told twice: %q", now)
	}
	d.must(t, "SendSignal", pid+`,"signal":"SIGNAL_SIGKILL"}`)
	again.end()
}

func TestConnectTimeoutKills(t *testing.T) {
	d := serve(t)
	p := d.begin(t, `{"command":["sh","-c","sleep 60 & echo $!; wait"],"tag":"late"}`, "Connect-Timeout-Ms", "300")
	p.until("\n")
	if got := p.end(); got != "deadline_exceeded" {
		t.Errorf("the stream ended with %q", got)
	}
	if got := follow(t, d.post(t, connectPath, plainJSON, `{"process":{"tag":"late"}}`)).end(); got != "signal: killed" {
		t.Errorf("the process ended with %q", got)
	}
}

func TestKeepalive(t *testing.T) {
	d := serve(t)
	p := d.begin(t, `{"command":["sleep","60"]}`, "Keepalive-Ping-Interval", "1")
	begun := time.Now()
	if e := p.next(); e.Event.Keepalive == nil {
		t.Errorf("got %+v, want a keepalive", e)
	}
	if took := time.Since(begun); took < 500*time.Millisecond || took > 10*time.Second {
		t.Errorf("it came after %v", took)
	}
	d.must(t, "SendSignal", fmt.Sprintf(`{"process":{"pid":%d},"signal":"KILL"}`, p.pid))
	p.end()
}

// gRPC-Web is what some clients speak; the message is protobuf.
func TestGRPCWeb(t *testing.T) {
	d := serve(t)
	msg, err := proto.Marshal(&process.StartRequest{Process: &process.ProcessConfig{Cmd: "echo", Args: []string{"web"}}})
	if err != nil {
		t.Fatal(err)
	}
	res := d.post(t, startPath, "application/grpc-web+proto", string(envelope(msg)))
	var out string
	for {
		var prefix [envelopeBytes]byte
		if _, err := io.ReadFull(res.Body, prefix[:]); err != nil {
			t.Fatal(err)
		}
		frame := make([]byte, binary.BigEndian.Uint32(prefix[1:]))
		if _, err := io.ReadFull(res.Body, frame); err != nil {
			t.Fatal(err)
		}
		if prefix[0]&0x80 != 0 {
			if !bytes.Contains(bytes.ToLower(frame), []byte("grpc-status: 0")) {
				t.Errorf("the trailers are %q", frame)
			}
			break
		}
		var answer process.StartResponse
		if err := proto.Unmarshal(frame, &answer); err != nil {
			t.Fatal(err)
		}
		out += string(answer.GetEvent().GetData().GetStdout())
	}
	if out != "web\n" {
		t.Errorf("got %q", out)
	}
}

func TestInit(t *testing.T) {
	d := serve(t)
	dir := t.TempDir()
	body := fmt.Sprintf(`{"envVars":{"GREETING":"hi"},"defaultUser":"root","defaultWorkdir":%q,"accessToken":"not ours"}`, dir)
	for range 2 {
		if res := d.post(t, "/init", plainJSON, body); res.StatusCode != 204 {
			t.Fatalf("%d %s", res.StatusCode, text(t, res))
		}
	}
	if got := text(t, d.send(t, "GET", "/envs", "", "")); got != `{"GREETING":"hi"}`+"\n" {
		t.Errorf("envs are %s", got)
	}
	p := d.begin(t, `{"command":["sh","-c","echo $GREETING $(pwd)"]}`)
	p.until("hi " + dir + "\n")
	p.end()
	for _, bad := range []string{`{`, `{"envVars":{"A=B":"c"}}`, `{"defaultWorkdir":"here"}`, `{"hostname":"a b"}`} {
		if res := d.post(t, "/init", plainJSON, bad); res.StatusCode != 400 {
			t.Errorf("%s: %d", bad, res.StatusCode)
		}
	}
}

func TestLoad(t *testing.T) {
	d := serve(t)
	var got load
	if err := json.Unmarshal([]byte(text(t, d.send(t, "GET", "/metrics", "", ""))), &got); err != nil {
		t.Fatal(err)
	}
	if got.CPUCount < 1 || got.MemTotal == 0 || got.MemUsed > got.MemTotal || got.DiskTotal == 0 || got.DiskUsed > got.DiskTotal ||
		got.CPUUsedPct < 0 || got.CPUUsedPct > 100 || got.MemTotalMB != got.MemTotal>>20 || time.Since(time.Unix(got.TS, 0)) > time.Minute {
		t.Errorf("%+v", got)
	}
}
