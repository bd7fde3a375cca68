package httpapi_test

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/coder/websocket"

	"github.com/bothy-computer/bothy/runtime/guest/process"
)

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
