package httpapi_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/bothy-computer/bothy/httpapi/wire"
	"github.com/bothy-computer/bothy/runtime/guest/process"
)

// TestWhatIsDoneWithAComputerIsAudited runs commands and changes files by a key,
// by a session and on a page, and finds who did it, and nothing of what was in it.
func TestWhatIsDoneWithAComputerIsAudited(t *testing.T) {
	g := openPages(t)
	path := "/v1/computers/" + g.box
	g.do("POST", path+"/exec", `{"command":["echo","words-of-a-command"]}`).is(200)
	for _, op := range []string{
		`{"operation":"write_text","path":"notes.txt","content":"words-of-a-file"}`,
		`{"operation":"read_text","path":"notes.txt"}`, `{"operation":"list","path":""}`, `{"operation":"remove","path":"notes.txt"}`,
	} {
		g.do("POST", path+"/files/ops", op).is(200)
	}
	exec := g.session("box", `{"kind":"exec"}`)
	client := processes(t, exec.ConnectURL, exec.ConnectToken)["Connect protobuf"]
	stream, err := client.Start(t.Context(), connect.NewRequest(&process.StartRequest{Pty: &process.PTY{Size: &process.PTY_Size{Cols: 80, Rows: 24}},
		Process: &process.ProcessConfig{Cmd: "/bin/sh", Args: []string{"-c", "echo words-of-a-session; read x"}}}))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	page := g.enter("browser")
	g.answers(204, "PUT", "/api/file?path=page.txt", strings.NewReader("words-of-a-page"))
	found, err := client.List(t.Context(), connect.NewRequest(&process.ListRequest{}))
	if err != nil || len(found.Msg.Processes) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	g.until(g.socket("/api/terminal?pid="+pidText(found.Msg.Processes[0].Pid)), `"live":true`)
	g.display()
	g.echoes(g.socket("/desktop/socket"))
	as(t, g.house, g.house.AdminKey).do("POST", path+"/exec", `{"command":["true"]}`).is(404) // another account's: nothing was done

	want := []string{
		"desktop.open session/" + page.ID + " 1 by nobody else",
		"exec.run computer/" + g.box + " 1 by a key", "exec.run session/" + exec.ID + " 1 by nobody else",
		"file.delete computer/" + g.box + " 1 by a key: notes.txt", "file.read computer/" + g.box + " 1 by a key: notes.txt",
		"file.write computer/" + g.box + " 1 by a key: notes.txt", "file.write session/" + page.ID + " 1 by nobody else: page.txt", "terminal.open session/" + page.ID + " 1 by nobody else",
	}
	var said []string
	var raw string
	for deadline := time.Now().Add(patience); !slices.Equal(said, want) && time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		said, raw = g.uses()
	}
	if !slices.Equal(said, want) {
		t.Errorf("audited:\n%s\nwant:\n%s", strings.Join(said, "\n"), strings.Join(want, "\n"))
	}
	if strings.Contains(raw, "words-of") {
		t.Errorf("it says what was in it: %s", raw)
	}
}

// uses are the audit records of what was done with the computer, sorted, and as
// they came.
func (g *guestOfPages) uses() (said []string, raw string) {
	g.t.Helper()
	var page wire.AuditPage
	g.do("GET", "/v1/admin/audit?class=uses&limit=1000&resource="+g.box, nil).is(200).into(&page)
	for _, a := range page.Data {
		line := fmt.Sprintf("%s %s/%s %d by ", a.Action, a.Resource.Kind, a.Resource.ID, a.Count)
		if a.Actor.KeyID != nil {
			line += "a key"
		} else {
			line += "nobody else"
		}
		if a.Detail != nil {
			line += ": " + *a.Detail
		}
		said = append(said, line)
	}
	slices.Sort(said)
	b, err := json.Marshal(page)
	if err != nil {
		g.t.Fatal(err)
	}
	return said, string(b)
}
