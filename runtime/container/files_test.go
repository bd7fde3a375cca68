package container

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

// files opens a computer's workspace as the node does.
func (n *node) files(id runtime.ID) *workspace.FS {
	n.t.Helper()
	root, err := n.Workspace(n.t.Context(), n.epoch, id)
	if err != nil {
		n.t.Fatal(err)
	}
	w, err := workspace.Open(root)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { w.Close() })
	return w
}

// TestFilesBelongToTheComputersUser: what is written from outside, before the
// first start and later, is inside what node itself would have written.
func TestFilesBelongToTheComputersUser(t *testing.T) {
	n := newNode(t, 0)
	spec := n.spec()
	if err := n.Create(t.Context(), 1, spec); err != nil {
		t.Fatal(err)
	}
	do := func(op workspace.Op) workspace.Result {
		t.Helper()
		result, err := n.files(spec.ID).Do(t.Context(), op)
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	do(workspace.Op{Verb: workspace.WriteText, Path: "a/early", Content: "#!/bin/sh\necho early\n", Mode: 0o750})
	if err := n.Start(t.Context(), 1, spec.ID); err != nil {
		t.Fatal(err)
	}
	do(workspace.Op{Verb: workspace.WriteRange, Path: "b/late", ContentBase64: []byte("late\n")})
	do(workspace.Op{Verb: workspace.Mkdir, Path: "c"})
	says := func(want, script string) {
		t.Helper()
		if got := n.says(spec.ID, "", script); got != want {
			t.Errorf("%s says %q, not %q", script, got, want)
		}
	}
	says("node:node 755 a\nnode:node 750 a/early\nnode:node 755 b\nnode:node 644 b/late\nnode:node 755 c",
		"stat -c '%U:%G %a %n' a a/early b b/late c")
	says("early\nlate\nmore", "a/early; echo more >> b/late; cat b/late; cp b/late c/; umask 077; mkdir d; echo in > d/f")
	do(workspace.Op{Verb: workspace.Patch, Path: "d/f", Edits: []workspace.Edit{{Find: "in", Replace: "out"}}})
	says("out\n600 node", "cat d/f; stat -c '%a %U' d/f")
	if got := do(workspace.Op{Verb: workspace.Grep, Pattern: "more"}); len(got.Matches) != 2 {
		t.Errorf("%+v", got.Matches)
	}
	do(workspace.Op{Verb: workspace.Remove, Recursive: true})
	says("", "ls -A")
}

// TestAFullComputerKeepsItsFiles: what does not fit is refused as full, leaves
// nothing of itself, and the computer goes on.
func TestAFullComputerKeepsItsFiles(t *testing.T) {
	n := newNode(t, 0)
	id := n.started(n.spec())
	w := n.files(id)
	// Not to be compressed, and more than is left of 64 MiB after four.
	chunk := bytes.Repeat([]byte("0123456789abcdef"), workspace.MaxContentBytes/16)
	write := func(op workspace.Op) error { _, err := w.Do(t.Context(), op); return err }
	var err error
	for i := range 8 {
		if err = write(workspace.Op{Verb: workspace.WriteBytes, Path: "f" + strings.Repeat("x", i), ContentBase64: chunk}); err != nil {
			break
		}
	}
	if !errors.Is(err, runtime.ErrFull) {
		t.Fatalf("a full computer says %v", err)
	}
	before := n.says(id, "", "ls -A; stat -c '%a %U %s %n' *; cksum *")
	for name, op := range map[string]workspace.Op{
		"write":        {Verb: workspace.WriteBytes, Path: "new/file", ContentBase64: chunk},
		"replace":      {Verb: workspace.WriteBytes, Path: "f", ContentBase64: chunk},
		"overwrite":    {Verb: workspace.WriteRange, Path: "f", ContentBase64: bytes.ToUpper(chunk)},
		"write on":     {Verb: workspace.WriteRange, Path: "f", Offset: workspace.MaxContentBytes - 5, ContentBase64: chunk},
		"write across": {Verb: workspace.WriteRange, Path: "f", Offset: 8<<20 + 7, ContentBase64: bytes.ToUpper(chunk)},
		"write far":    {Verb: workspace.WriteRange, Path: "f", Offset: 1 << 30, ContentBase64: chunk},
	} {
		if err := write(op); !errors.Is(err, runtime.ErrFull) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The directory above a file may have been made, if there was room for that.
	if err := write(workspace.Op{Verb: workspace.Remove, Path: "new", Recursive: true}); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if after := n.says(id, "", "ls -A; stat -c '%a %U %s %n' *; cksum *"); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if err := write(workspace.Op{Verb: workspace.Remove, Path: "f"}); err != nil {
		t.Error(err)
	}
}
