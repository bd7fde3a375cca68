package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dialled is a guest and a client that knows nothing of Connect.
type dialled struct {
	*http.Client
	workdir string
}

func serve(t testing.TB) dialled {
	t.Helper()
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	workdir := t.TempDir()
	s := New(Options{User: "root", Workdir: workdir, Log: slog.New(slog.DiscardHandler)})
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", ln.Addr().String())
	}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := s.Close(time.Second); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return dialled{&http.Client{Transport: transport}, workdir}
}

// post sends a body and returns the answer, open.
func (d dialled) post(t testing.TB, path, kind, body string, header ...string) *http.Response {
	t.Helper()
	return d.send(t, http.MethodPost, path, kind, body, header...)
}

func (d dialled) send(t testing.TB, method, path, kind, body string, header ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://guest"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := d.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

// text is the whole answer.
func text(t testing.TB, res *http.Response) string {
	t.Helper()
	all, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

// event is one process event in JSON.
type event struct {
	Event struct {
		Start *struct{ PID int }
		Data  *struct{ Stdout, Stderr, PTY []byte }
		End   *struct {
			ExitCode      int
			Exited        bool
			Status, Error string
		}
		Keepalive *struct{}
	}
	Error *struct{ Code, Message string }
}

// bareEvents reads lines until the end of the answer.
func bareEvents(t testing.TB, res *http.Response) (all []event) {
	t.Helper()
	scan := bufio.NewScanner(res.Body)
	for scan.Scan() {
		var e event
		if err := json.Unmarshal(scan.Bytes(), &e); err != nil {
			t.Fatalf("%q: %v", scan.Text(), err)
		}
		all = append(all, e)
	}
	if err := scan.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// framed reads Connect's envelopes until the one that ends the stream.
func framed(t testing.TB, res *http.Response) (all []event, end event) {
	t.Helper()
	for {
		var prefix [envelopeBytes]byte
		if _, err := io.ReadFull(res.Body, prefix[:]); err != nil {
			t.Fatalf("after %d events: %v", len(all), err)
		}
		message := make([]byte, binary.BigEndian.Uint32(prefix[1:]))
		if _, err := io.ReadFull(res.Body, message); err != nil {
			t.Fatal(err)
		}
		var e event
		if err := json.Unmarshal(message, &e); err != nil {
			t.Fatalf("%q: %v", message, err)
		}
		if prefix[0] == flagEnd {
			return all, e
		}
		all = append(all, e)
	}
}

func output(events []event) (stdout string) {
	for _, e := range events {
		if e.Event.Data != nil {
			stdout += string(e.Event.Data.Stdout) + string(e.Event.Data.PTY)
		}
	}
	return stdout
}

const (
	startPath   = "/process.Process/Start"
	connectPath = "/process.Process/Connect"
	streamJSON  = "application/connect+json"
	plainJSON   = "application/json"
)

func TestStartTakesEveryForm(t *testing.T) {
	d := serve(t)
	config := `{"process":{"cmd":"/bin/sh","args":["-c","echo $A; exit 3"],"envs":{"A":"on"}},"stdin":false}`
	command := `{"command":["sh","-c","echo $A; exit 3"],"env":{"A":"on"},"unknown":1}`
	for name, tt := range map[string]struct{ kind, body string }{
		"bare config":      {plainJSON, config},
		"bare command":     {plainJSON, command},
		"bare charset":     {"application/json; charset=utf-8", command},
		"enveloped":        {streamJSON, string(envelope([]byte(config)))},
		"enveloped, short": {streamJSON, string(envelope([]byte(command)))},
	} {
		t.Run(name, func(t *testing.T) {
			res := d.post(t, startPath, tt.kind, tt.body)
			var events []event
			if tt.kind == streamJSON {
				events, _ = framed(t, res)
			} else {
				events = bareEvents(t, res)
			}
			if len(events) != 3 || events[0].Event.Start == nil || output(events) != "on\n" {
				t.Fatalf("got %d events, output %q", len(events), output(events))
			}
			if end := events[2].Event.End; end == nil || end.ExitCode != 3 || !end.Exited || end.Status != "exit status 3" || end.Error != end.Status {
				t.Errorf("the end is %+v", end)
			}
		})
	}
}

func TestBareFailuresHaveAStatus(t *testing.T) {
	d := serve(t)
	for name, tt := range map[string]struct {
		path, body string
		want       int
	}{
		"no JSON":       {startPath, `{`, 400},
		"nothing":       {startPath, `{}`, 400},
		"empty body":    {startPath, ``, 400},
		"empty command": {startPath, `{"command":[]}`, 400},
		"ill-typed":     {startPath, `{"command":"ls"}`, 400},
		"no such file":  {startPath, `{"command":["/no/such"]}`, 400},
		"no such dir":   {startPath, `{"command":["ls"],"cwd":"/no/such"}`, 400},
		"no such user":  {startPath, `{"command":["ls"],"user":"nobody-here"}`, 401},
		"unknown pid":   {connectPath, `{"process":{"pid":1}}`, 404},
		"no selector":   {connectPath, `{}`, 501},
		"too large":     {startPath, `{"command":["` + strings.Repeat("x", maxMessageBytes) + `"]}`, 400},
	} {
		t.Run(name, func(t *testing.T) {
			res := d.post(t, tt.path, plainJSON, tt.body)
			var failure struct{ Code, Message string }
			if err := json.Unmarshal([]byte(text(t, res)), &failure); err != nil || failure.Code == "" {
				t.Errorf("no failure in the body: %+v, %v", failure, err)
			}
			if res.StatusCode != tt.want {
				t.Errorf("got %d %+v, want %d", res.StatusCode, failure, tt.want)
			}
		})
	}
}

func TestCommandsRunAsTheUserTheyName(t *testing.T) {
	d := serve(t)
	events := bareEvents(t, d.post(t, startPath, plainJSON, `{"command":["id","-un"],"user":"nobody","cwd":"/"}`))
	if output(events) != "nobody\n" {
		t.Errorf("got %q", output(events))
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("daemon:"))
	body := `{"process":{"cmd":"sh","args":["-c","echo $USER $LOGNAME $HOME $(id -u)"],"cwd":"/"}}`
	events, _ = framed(t, d.post(t, startPath, streamJSON, string(envelope([]byte(body))), "Authorization", basic))
	if output(events) != "daemon daemon /usr/sbin 1\n" {
		t.Errorf("got %q", output(events))
	}
}

// Whatever the pieces in which Connect writes, the lines are the same.
func FuzzLines(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x02{}\x02\x00\x00\x00\x02{}"), uint8(3))
	f.Add([]byte("\x00\x00\x00\x00\x02{}\x02\x00\x00\x00\x1d"+`{"error":{"code":"not_found"}}`), uint8(1))
	f.Add([]byte("\x00\xff\xff\xff\xff{}"), uint8(2))
	f.Fuzz(func(t *testing.T, stream []byte, step uint8) {
		whole, pieces := &recorder{header: http.Header{}}, &recorder{header: http.Header{}}
		a := &lines{to: whole, control: http.NewResponseController(whole)}
		_, errA := a.Write(stream)
		b := &lines{to: pieces, control: http.NewResponseController(pieces)}
		var errB error
		for rest := stream; len(rest) > 0 && errB == nil; {
			n := min(int(step)+1, len(rest))
			_, errB = b.Write(rest[:n])
			rest = rest[n:]
		}
		if (errA == nil) != (errB == nil) || (errA == nil && (whole.status != pieces.status || whole.String() != pieces.String())) {
			t.Errorf("at once: %d %q %v; in pieces: %d %q %v", whole.status, whole, errA, pieces.status, pieces, errB)
		}
	})
}

type recorder struct {
	bytes.Buffer
	header http.Header
	status int
}

func (r *recorder) Header() http.Header    { return r.header }
func (r *recorder) WriteHeader(status int) { r.status = status }

func FuzzCodec(f *testing.F) {
	for _, seed := range []string{
		`{"command":["ls","-la"],"env":{"A":"b"},"pty":{"cols":80,"rows":24}}`, `{"signal":"TERM","process":{"pid":3}}`,
		`{"process":{"cmd":"x"}}`, `{"command":[1]}`, `{"signal":{}}`, `[`, `null`, `{"pty":{"cols":-1},"command":["a"]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, rewrite := range []func([]byte) ([]byte, error){expandCommand, numberSignal} {
			out, err := rewrite(data)
			if err == nil && json.Valid(data) && !json.Valid(out) {
				t.Errorf("%q became %q", data, out)
			}
		}
	})
}
