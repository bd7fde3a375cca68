package actors

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

// puts writes a file that must be written.
func (h *house) puts(t *testing.T, id state.ComputerID, name string, content []byte) FileInfo {
	t.Helper()
	info, err := h.Computers.PutFile(t.Context(), h.caller, id, bytes.NewReader(content), func() (Place, error) { return Place{Path: name}, nil })
	if err != nil {
		t.Fatalf("put %s: %v", name, err)
	}
	return info
}

func (h *house) opens(t *testing.T, id state.ComputerID, name string) *FileReader {
	t.Helper()
	f, err := h.Computers.OpenFile(t.Context(), h.caller, id, name)
	if err != nil {
		t.Fatalf("open %s: %v", name, err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestContentsThroughAnyNode(t *testing.T) {
	houses, between := fleet(t)
	c := houses[0].running(t)
	if _, err := houses[0].Computers.Stop(t.Context(), houses[0].caller, c.ID); err != nil {
		t.Fatal(err)
	}
	content := make([]byte, 5*firstPiece+7)
	random := rand.NewChaCha8([32]byte{})
	random.Read(content)
	for i, h := range houses {
		name := fmt.Sprintf("deep/%d", i)
		info := h.puts(t, c.ID, "/workspace/"+name, content)
		if info.Path != name || info.SizeBytes != int64(len(content)) || info.Stamp == "" || info.Modified.IsZero() {
			t.Fatalf("%+v", info)
		}
		for _, other := range houses {
			f := other.opens(t, c.ID, name)
			if f.Info != info {
				t.Fatalf("%+v, not %+v", f.Info, info)
			}
			if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, content) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			if err := iotest.TestReader(other.opens(t, c.ID, name), content); err != nil {
				t.Fatal(err)
			}
		}
	}
	if between.hops == 0 {
		t.Fatal("no node asked another")
	}
	if got := houses[1].files(t, c.ID, FileOp{Verb: workspace.List}); len(got.Entries) != 1 {
		t.Fatalf("%+v", got)
	}
	if houses[0].computer(t, c.ID).Phase != state.Stopped {
		t.Fatal("files started it")
	}
}

func TestContentsThatDoNotBecomeWhole(t *testing.T) {
	houses, _ := fleet(t)
	c := houses[0].running(t)
	root := houses[0].workspaceOf(t, c.ID)
	gone := errors.New("the client went away")
	for _, h := range houses[:2] {
		for name, tt := range map[string]struct {
			content io.Reader
			place   Place
			refuse  error
			want    error
			says    string
		}{
			"a content that breaks off": {content: io.MultiReader(strings.NewReader("half"), iotest.ErrReader(gone)), want: gone},
			"no place":                  {content: strings.NewReader("x"), refuse: gone, want: gone},
			"a place outside":           {content: strings.NewReader("x"), place: Place{Path: "../x"}, says: `".."`},
			"the workspace itself":      {content: strings.NewReader("x"), place: Place{Path: "."}, says: "workspace itself"},
		} {
			t.Run(name, func(t *testing.T) {
				_, err := h.Computers.PutFile(t.Context(), h.caller, c.ID, tt.content, func() (Place, error) { return tt.place, tt.refuse })
				if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
					t.Fatal(err)
				}
			})
		}
	}
	if left, err := os.ReadDir(root); err != nil || len(left) != 0 {
		t.Fatalf("%v, %v", left, err)
	}
}

func TestAFileThatChangesIsNotMixed(t *testing.T) {
	houses, _ := fleet(t)
	c := houses[0].running(t)
	for _, h := range houses[:2] {
		h.puts(t, c.ID, "f", bytes.Repeat([]byte("a"), 2*firstPiece))
		f := h.opens(t, c.ID, "f")
		if _, err := io.CopyN(io.Discard, f, firstPiece); err != nil {
			t.Fatal(err)
		}
		houses[0].puts(t, c.ID, "f", bytes.Repeat([]byte("b"), 2*firstPiece))
		_, err := f.Read(make([]byte, 1))
		isFault(t, err, fault.Conflict, "", "")
	}
}

func TestContentsAreRefused(t *testing.T) {
	houses, _ := fleet(t)
	one, two := houses[0], houses[1]
	env := one.restless(t, 0)
	_, err := two.Computers.OpenFile(t.Context(), two.caller, env.Computer, "f")
	isFault(t, err, fault.NotFound, CodeNoFile, "")
	if c := one.computer(t, env.Computer); c.Node != "" {
		t.Fatalf("looking gave it to %s", c.Node)
	}
	// The first file has the disk made, and starts nothing.
	two.puts(t, env.Computer, "f", []byte("early"))
	if did := one.did(env.Computer) + two.did(env.Computer); !strings.HasPrefix(did, "create") || strings.Contains(did, "start") {
		t.Fatalf("it did %q", did)
	}
	for _, h := range houses[:2] {
		_, err := h.Computers.OpenFile(t.Context(), Caller{Account: "acct_other"}, env.Computer, "f")
		isFault(t, err, fault.NotFound, "", "")
		_, err = h.Computers.PutFile(t.Context(), Caller{Account: "acct_other"}, env.Computer, strings.NewReader("x"), nil)
		isFault(t, err, fault.NotFound, "", "")
		_, err = h.Computers.OpenFile(t.Context(), h.caller, env.Computer, ".")
		isFault(t, err, fault.Invalid, "", "")
	}
}

// TestWhoMayNotActTakesNoContent: a lease that ends in the middle ends it.
func TestWhoMayNotActTakesNoContent(t *testing.T) {
	houses, _ := fleet(t)
	one, two := houses[0], houses[1]
	c := one.running(t)
	one.puts(t, c.ID, "f", bytes.Repeat([]byte("a"), 2*firstPiece))
	f := one.opens(t, c.ID, "f")
	if _, err := f.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	expired := false
	_, err := one.Computers.PutFile(t.Context(), one.caller, c.ID, strings.NewReader("late"), func() (Place, error) {
		expired = true
		return Place{Path: "late"}, one.node.Expire(two.node)
	})
	if !expired {
		t.Fatal(err)
	}
	isFault(t, err, fault.Unavailable, "", "")
	waitFor(t, func() bool { // what was lent ends a moment after the lease
		_, err = f.Read(make([]byte, 1))
		return err != nil
	})
	isFault(t, err, fault.Unavailable, "", "")
	if left, err := os.ReadDir(one.workspaceOf(t, c.ID)); err != nil || len(left) != 1 {
		t.Fatalf("%v, %v", left, err)
	}
}

func TestAContentHasABound(t *testing.T) {
	s := &source{from: strings.NewReader("xy"), most: MaxFileBytes, read: MaxFileBytes - 1}
	_, err := io.ReadAll(s)
	isFault(t, err, fault.TooLarge, "", "")
	if failed := s.end(); !errors.Is(failed, err) {
		t.Fatal(failed)
	}
}
