package actors

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

func TestArchivesThroughAnyNode(t *testing.T) {
	houses, _ := fleet(t)
	c := houses[0].running(t)
	if _, err := houses[0].Computers.Stop(t.Context(), houses[0].caller, c.ID); err != nil {
		t.Fatal(err)
	}
	houses[0].puts(t, c.ID, "d/a", bytes.Repeat([]byte("a"), 3*streamPiece))
	houses[0].puts(t, c.ID, "d/e/b", []byte("b"))
	for i, h := range houses {
		for _, format := range []workspace.Format{workspace.Tar, workspace.TarGz, workspace.Zip} {
			archive, err := h.Computers.Pack(t.Context(), h.caller, c.ID, "d", format)
			if err != nil {
				t.Fatal(err)
			}
			other := houses[(i+1)%3]
			into := "to/" + string(format)
			done, err := other.Computers.Unpack(t.Context(), h.caller, c.ID, into, archive)
			if err := errors.Join(err, archive.Close()); err != nil || done.Files != 2 || done.Directories != 1 || done.Bytes != 3*streamPiece+1 {
				t.Fatalf("%+v, %v", done, err)
			}
			other.reads(t, c.ID, into+"/e/b", "b")
			h.files(t, c.ID, FileOp{Verb: workspace.Remove, Path: "to", Recursive: true})
		}
		// An archive that nobody reads to its end holds nothing up.
		archive, err := h.Computers.Pack(t.Context(), h.caller, c.ID, ".", workspace.Tar)
		if err == nil {
			_, err = archive.Read(make([]byte, 1))
		}
		if err := errors.Join(err, archive.Close()); err != nil {
			t.Fatal(err)
		}
		_, err = h.Computers.Pack(t.Context(), h.caller, c.ID, "gone", workspace.Tar)
		isFault(t, err, fault.NotFound, CodeNoFile, "")
		_, err = h.Computers.Pack(t.Context(), Caller{Account: "acct_other"}, c.ID, ".", workspace.Tar)
		isFault(t, err, fault.NotFound, "", "")
		_, err = h.Computers.Unpack(t.Context(), h.caller, c.ID, "../d", strings.NewReader(""))
		isFault(t, err, fault.Invalid, "", "path")
		_, err = h.Computers.Unpack(t.Context(), h.caller, c.ID, ".", strings.NewReader("no archive"))
		isFault(t, err, fault.Invalid, "", "")
		gone := errors.New("the client went away")
		if _, err = h.Computers.Unpack(t.Context(), h.caller, c.ID, ".", iotest.ErrReader(gone)); !errors.Is(err, gone) {
			t.Fatal(err)
		}
	}
	// A sender that went away does not wait for the owner to tidy up.
	waitFor(t, func() bool {
		left, err := os.ReadDir(houses[0].workspaceOf(t, c.ID))
		if err != nil {
			t.Fatal(err)
		}
		return len(left) == 1
	})
}

func TestAnArchiveOfNothing(t *testing.T) {
	houses, _ := fleet(t)
	env := houses[0].restless(t, 0)
	for _, h := range houses[:2] {
		archive, err := h.Computers.Pack(t.Context(), h.caller, env.Computer, ".", workspace.Tar)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(archive); err != nil || !strings.HasPrefix(string(b), "./") {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
		if err := archive.Close(); err != nil {
			t.Fatal(err)
		}
		_, err = h.Computers.Pack(t.Context(), h.caller, env.Computer, "d", workspace.Tar)
		isFault(t, err, fault.NotFound, CodeNoFile, "")
	}
	if c := houses[0].computer(t, env.Computer); c.Node != "" {
		t.Fatalf("looking gave it to %s", c.Node)
	}
}
