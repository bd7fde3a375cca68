package actors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/actors/actorstest"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/fake"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

// lines lets nodes of one test reach each other over HTTP by their ids.
type lines struct {
	mu   sync.Mutex
	hops int
	at   map[string]*url.URL
}

// RoundTrip implements http.RoundTripper.
func (l *lines) RoundTrip(r *http.Request) (*http.Response, error) {
	l.mu.Lock()
	to := l.at[r.URL.Host]
	l.hops++
	l.mu.Unlock()
	if to == nil {
		return nil, fmt.Errorf("no line to %s", r.URL.Host)
	}
	out := r.Clone(r.Context())
	out.Trailer = r.Trailer // is filled while the body is read
	out.URL.Scheme, out.URL.Host = to.Scheme, to.Host
	return http.DefaultTransport.RoundTrip(out)
}

// fleet is three nodes with lines between them.
func fleet(t *testing.T) ([]*house, *lines) {
	t.Helper()
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	records, world := actorstest.NewRecords(time.Now), fake.NewWorld()
	between := &lines{at: map[string]*url.URL{}}
	var houses []*house
	for _, name := range []string{"n1", "n2", "n3"} {
		h := openHouse(t, records, world, name, nil)
		server := httptest.NewServer(h.Handler())
		t.Cleanup(server.Close)
		at, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		between.at[string(h.node.Self())] = at
		way := &wire{client: &http.Client{Transport: between}}
		h.Computers.remote, h.Drains.remote = way, way
		houses = append(houses, h)
	}
	return houses, between
}

// files does an operation that must work.
func (h *house) files(t *testing.T, id state.ComputerID, op FileOp) FileResult {
	t.Helper()
	result, err := h.Computers.Files(t.Context(), h.caller, id, op)
	if err != nil {
		t.Fatalf("%s %s: %v", op.Verb, op.Path, err)
	}
	return result
}

func (h *house) reads(t *testing.T, id state.ComputerID, name, want string) {
	t.Helper()
	got := h.files(t, id, FileOp{Verb: workspace.ReadText, Path: name})
	if got.Content == nil || *got.Content != want {
		t.Fatalf("%s is %v, not %q", name, got.Content, want)
	}
}

func text(name, content string) FileOp {
	return FileOp{Verb: workspace.WriteText, Path: name, Content: content}
}

func isFault(t *testing.T, err error, kind fault.Kind, code, field string) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != kind || f.Code != code || f.Field != field {
		t.Errorf("%+v (%v); want %s, code %q, field %q", f, err, kind, code, field)
	}
}

func TestFilesThroughAnyNode(t *testing.T) {
	houses, between := fleet(t)
	owner := houses[0]
	c := owner.running(t)
	for i, h := range houses {
		name := fmt.Sprintf("from/%d.txt", i)
		h.files(t, c.ID, text("/home/node/workspace/"+name, "hello"))
		for _, other := range houses {
			other.reads(t, c.ID, name, "hello")
		}
	}
	var out strings.Builder
	if _, err := owner.Computers.Exec(t.Context(), owner.caller, c.ID, Command{Argv: []string{"cat", "from/2.txt"}, Stdout: &out}); err != nil || out.String() != "hello" {
		t.Fatalf("the computer reads %q, %v", out.String(), err)
	}
	far := houses[2]
	far.files(t, c.ID, FileOp{Verb: workspace.Mkdir, Path: "empty"})
	if between.hops == 0 {
		t.Fatal("no node asked another")
	}
	for _, tt := range []struct {
		op   FileOp
		want FileResult
	}{
		{FileOp{Verb: workspace.ReadRange, Path: "from/0.txt", Offset: 1, Length: 3}, FileResult{ContentBase64: []byte("ell")}},
		{FileOp{Verb: workspace.ReadRange, Path: "from/0.txt", Offset: 9}, FileResult{ContentBase64: []byte{}}},
		{FileOp{Verb: workspace.Grep, Pattern: "none"}, FileResult{Matches: []workspace.Match{}}},
		{FileOp{Verb: workspace.Exists, Path: "x"}, FileResult{Exists: new(bool)}},
		{FileOp{Verb: workspace.List, Path: "empty"}, FileResult{Entries: []workspace.Item{}}},
	} {
		near, got := asJSON(t, owner.files(t, c.ID, tt.op)), asJSON(t, far.files(t, c.ID, tt.op))
		if want := asJSON(t, tt.want); got != want || near != want {
			t.Errorf("%s: %s near, %s far; want %s", tt.op.Verb, near, got, want)
		}
	}
	for _, h := range houses {
		_, err := h.Computers.Files(t.Context(), h.caller, c.ID, FileOp{Verb: workspace.ReadText, Path: "gone"})
		isFault(t, err, fault.NotFound, CodeNoFile, "")
		_, err = h.Computers.Files(t.Context(), h.caller, c.ID, FileOp{Verb: workspace.Move, Path: "empty", To: "from"})
		isFault(t, err, fault.Conflict, CodeFileExists, "")
		_, err = h.Computers.Files(t.Context(), h.caller, c.ID, FileOp{Verb: workspace.Patch, Path: "from/0.txt", Edits: []workspace.Edit{{Find: "zz"}}})
		isFault(t, err, fault.Invalid, "", "edits[0].find")
		_, err = h.Computers.Files(t.Context(), h.caller, c.ID, FileOp{Verb: workspace.ReadText, Path: "/etc/passwd"})
		isFault(t, err, fault.Invalid, "", "path")
		_, err = h.Computers.Files(t.Context(), Caller{Account: "acct_other"}, c.ID, FileOp{Verb: workspace.List})
		isFault(t, err, fault.NotFound, "", "")
		_, err = h.Computers.Files(t.Context(), h.caller, "no-such-computer", FileOp{Verb: workspace.List})
		isFault(t, err, fault.NotFound, "", "")
	}
}

// asJSON is an answer as a client sees it.
func asJSON(t *testing.T, result FileResult) string {
	t.Helper()
	b, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// did lists what was done to a computer, looking apart.
func (h *house) did(id state.ComputerID) string {
	var ops []string
	for _, call := range h.driver.World().Of(runtime.ID(id)) {
		switch call.Op {
		case fake.Inspect, fake.Workspace, fake.Usage:
		default:
			ops = append(ops, string(call.Op))
		}
	}
	return strings.Join(ops, " ")
}

func TestAComputerWithoutADisk(t *testing.T) {
	houses, _ := fleet(t)
	h, far := houses[0], houses[1]
	env := h.restless(t, 0)
	for _, from := range houses {
		if got := from.files(t, env.Computer, FileOp{Verb: workspace.List}); got.Entries == nil || len(got.Entries) != 0 {
			t.Fatalf("%+v", got)
		}
		_, err := from.Computers.Files(t.Context(), from.caller, env.Computer, FileOp{Verb: workspace.ReadBytes, Path: "a"})
		isFault(t, err, fault.NotFound, CodeNoFile, "")
	}
	if c := h.computer(t, env.Computer); c.Node != "" {
		t.Fatalf("looking gave it to %s", c.Node)
	}
	h.files(t, env.Computer, text("a/b", "early"))
	far.reads(t, env.Computer, "a/b", "early")
	if did := h.did(env.Computer); did != "create" {
		t.Fatalf("a write did %q", did)
	}
	waitFor(t, func() bool {
		c := h.computer(t, env.Computer)
		return c.DataNode == h.node.Self() && c.Phase == state.Stopped
	})
	// Nobody stopped it: its first use starts it, and what was written is there.
	var out strings.Builder
	exit, err := h.Computers.Exec(t.Context(), h.caller, env.Computer, Command{Argv: []string{"cat", "a/b"}, Stdout: &out})
	if err != nil || exit.Code != 0 || out.String() != "early" {
		t.Fatalf("%+v, %q, %v", exit, out.String(), err)
	}
	g, release, err := h.local.hold(t.Context(), env.Computer)
	if err != nil {
		t.Fatal(err)
	}
	if release(); g.lost != "" {
		t.Fatalf("nothing was lost, but it says %q", g.lost)
	}
}

func TestADiskThatCannotBeMadeFailsNobodyElse(t *testing.T) {
	h := open(t)
	env := h.restless(t, 0)
	h.driver.Script().Add(fake.Rule{Op: fake.Create, ID: runtime.ID(env.Computer), Err: runtime.ErrFull, Times: maxStartTries})
	_, err := h.Computers.Files(t.Context(), h.caller, env.Computer, text("a", "x"))
	isFault(t, err, fault.Full, "", "")
	if c := h.computer(t, env.Computer); c.Phase != state.Provisioning {
		t.Fatalf("it is %s", c.Phase)
	}
	h.files(t, env.Computer, text("a", "x"))
}

// TestADiskLaidForFilesIsStillStartedByItsFirstUse, though the record of it was
// refused at first.
func TestADiskLaidForFilesIsStillStartedByItsFirstUse(t *testing.T) {
	h := open(t)
	env := h.restless(t, 0)
	var refused atomic.Bool
	h.node.Fail = func(cmd state.Command) error {
		if _, ok := cmd.(state.SetPhase); ok && refused.CompareAndSwap(false, true) {
			return fault.New(fault.Unavailable, "no leader")
		}
		return nil
	}
	h.files(t, env.Computer, text("a", "x"))
	waitFor(t, refused.Load)
	waitFor(t, func() bool {
		if err := h.lookAt(env.Computer); err != nil {
			t.Fatal(err)
		}
		return h.computer(t, env.Computer).Phase == state.Stopped
	})
	if exit, err := h.Computers.Exec(t.Context(), h.caller, env.Computer, Command{Argv: []string{"cat", "a"}}); err != nil || exit.Code != 0 {
		t.Fatalf("%+v, %v", exit, err)
	}
}

func TestFilesOfAStoppedComputerStartNothing(t *testing.T) {
	houses, _ := fleet(t)
	h, far := houses[0], houses[2]
	c := h.running(t)
	h.files(t, c.ID, text("f", "1"))
	if _, err := h.Computers.Stop(t.Context(), h.caller, c.ID); err != nil {
		t.Fatal(err)
	}
	before := h.did(c.ID)
	far.reads(t, c.ID, "f", "1")
	far.files(t, c.ID, text("f", "2"))
	h.reads(t, c.ID, "f", "2")
	if after := h.did(c.ID); after != before || h.computer(t, c.ID).Phase != state.Stopped {
		t.Fatalf("after %q: %q", before, after)
	}
}

func TestFilesDoNotWakeWhatIsIdle(t *testing.T) {
	h := open(t)
	env := h.restless(t, 30*time.Millisecond)
	if _, err := h.Computers.Exec(t.Context(), h.caller, env.Computer, Command{Argv: []string{"true"}}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { c := h.computer(t, env.Computer); return c.Phase == state.Stopped && c.IdleStopped })
	before := h.did(env.Computer)
	h.files(t, env.Computer, text("f", "x"))
	h.reads(t, env.Computer, "f", "x")
	if after := h.did(env.Computer); after != before {
		t.Fatalf("after %q: %q", before, after)
	}
}

// TestWhoMayNotActTouchesNoFile: an owner whose lease or epoch is over refuses,
// by itself and for others.
func TestWhoMayNotActTouchesNoFile(t *testing.T) {
	houses, _ := fleet(t)
	one, two := houses[0], houses[1]
	c := one.running(t)
	one.files(t, c.ID, text("f", "kept"))
	if _, err := one.Computers.Stop(t.Context(), one.caller, c.ID); err != nil {
		t.Fatal(err)
	}
	// A newer owner acted on this machine's computer: the driver knows.
	if _, err := one.driver.Workspace(t.Context(), runtime.Epoch(c.Epoch+1), runtime.ID(c.ID)); err != nil {
		t.Fatal(err)
	}
	_, err := one.local.Files(t.Context(), c.Account, c.ID, text("f", "late"))
	isFault(t, err, fault.Moved, "", "")
	if err := one.node.Expire(two.node); err != nil {
		t.Fatal(err)
	}
	_, err = one.local.Files(t.Context(), c.Account, c.ID, text("f", "late"))
	isFault(t, err, fault.Unavailable, "", "")
	_, err = one.local.Files(t.Context(), c.Account, c.ID, FileOp{Verb: workspace.ReadText, Path: "f"})
	isFault(t, err, fault.Unavailable, "", "")
	root := filepath.Join(one.workspaceOf(t, c.ID), "f")
	if got, err := os.ReadFile(root); err != nil || string(got) != "kept" {
		t.Fatalf("%q, %v", got, err)
	}
}

func (h *house) workspaceOf(t *testing.T, id state.ComputerID) string {
	t.Helper()
	status, err := h.driver.Inspect(t.Context(), runtime.ID(id))
	if err != nil {
		t.Fatal(err)
	}
	root, err := h.driver.Workspace(t.Context(), status.Epoch, runtime.ID(id))
	if err != nil {
		t.Fatal(err)
	}
	return root.Path
}

func TestPatchesOfOneFileTakeTurns(t *testing.T) {
	h := open(t)
	c := h.running(t)
	h.files(t, c.ID, text("f", strings.Repeat("-", 10)))
	const writers, patches = 8, 20
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			for range patches {
				_, err := h.Computers.Files(t.Context(), h.caller, c.ID, FileOp{Verb: workspace.Patch, Path: []string{"f", "/workspace/f", "./f"}[i%3],
					Edits: []workspace.Edit{{Find: strings.Repeat("-", 10), Replace: "x" + strings.Repeat("-", 10)}}})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	h.reads(t, c.ID, "f", strings.Repeat("x", writers*patches)+strings.Repeat("-", 10))
}

func TestTheRoomForFilesIsBounded(t *testing.T) {
	r := newFileRoom(maxFileOps, maxFileOpsEach)
	var leaves []func()
	for range maxFileOpsEach {
		leave, err := r.enter("one")
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leave)
	}
	if _, err := r.enter("one"); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("one more: %v", err)
	}
	for i := range maxFileOps - maxFileOpsEach {
		leave, err := r.enter(state.ComputerID(fmt.Sprint("other ", i)))
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leave)
	}
	if _, err := r.enter("last"); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("one more in all: %v", err)
	}
	for _, leave := range leaves {
		leave()
		leave()
	}
	if r.all != 0 || len(r.each) != 0 {
		t.Fatalf("left %d, %v", r.all, r.each)
	}
}

// TestAFullRoomReadsNothing of what another node sends.
func TestAFullRoomReadsNothing(t *testing.T) {
	h := open(t)
	c := h.running(t)
	for range maxFileOpsEach {
		leave, err := h.local.files.enter(c.ID)
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
	}
	body := strings.NewReader("an operation")
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, filesPath+string(c.Account)+"/"+string(c.ID), body)
	w := httptest.NewRecorder()
	h.Handler().ServeHTTP(w, r)
	isFault(t, refused(w.Result()), fault.Unavailable, "", "")
	if left := body.Len(); left != int(body.Size()) {
		t.Fatalf("%d bytes of %d are left", left, body.Size())
	}
}

func TestAnOperationEndsWithItsCaller(t *testing.T) {
	h := open(t)
	c := h.running(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := h.local.Files(ctx, c.Account, c.ID, text("f", "x"))
	if err == nil {
		t.Fatal("it was written")
	}
	if got := h.files(t, c.ID, FileOp{Verb: workspace.Exists, Path: "f"}); *got.Exists {
		t.Fatal("it was written")
	}
}

// TestWhoWaitsForAnotherChangeEndsWithItsCaller: the other one does not end.
func TestWhoWaitsForAnotherChangeEndsWithItsCaller(t *testing.T) {
	h := open(t)
	c := h.running(t)
	done, err := h.local.files.turn(t.Context(), c.ID, "f")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = h.Computers.Files(ctx, h.caller, c.ID, text("/workspace/f", "x"))
	isFault(t, err, fault.Unavailable, "", "")
	if got := h.files(t, c.ID, FileOp{Verb: workspace.Exists, Path: "f"}); *got.Exists {
		t.Fatal("it was written")
	}
	done()
	h.files(t, c.ID, text("f", "x"))
}

// FuzzServeFiles: what another node sends is refused or done, whatever it is.
func FuzzServeFiles(f *testing.F) {
	h := openHouse(f, actorstest.NewRecords(time.Now), fake.NewWorld(), "n1", nil)
	target := filesPath + "acct_admin/" + string(h.running(f).ID)
	handler := h.Handler()
	for _, op := range []FileOp{{Verb: workspace.List}, text("a", "b"), {Verb: "x"}} {
		body, err := state.Encode(op)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(string(body)))
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK && w.Header().Get(faultHeader) == "" {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	})
}
