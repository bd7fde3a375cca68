package blob_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/blob"
	"github.com/bothy-computer/bothy/runtime/idmap"
	"github.com/bothy-computer/bothy/runtime/snapshot"
	"github.com/bothy-computer/bothy/runtime/volume"
)

// diskGoesThere saves a disk into a store, changes it and saves it again,
// and makes it anew from another machine, which knows the store by its mark alone.
func diskGoesThere(t *testing.T, store, other blob.Store) {
	dir := t.TempDir()
	ids := idmap.Range{Host: 300_000, Size: idmap.RangeSize}
	open := func(store blob.Store, name string) *snapshot.Saver {
		t.Helper()
		s, err := snapshot.Open(t.Context(), snapshot.Options{Store: store, IDFile: filepath.Join(dir, name), Grace: time.Nanosecond})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	here, there := open(store, "here"), open(other, "there")
	if here.ID() != there.ID() {
		t.Errorf("the store is %s here and %s there", here.ID(), there.ID())
	}
	tree := filepath.Join(dir, "tree")
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), 5<<16)
	write := func(name string, data []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(tree, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	save := func(name, base string) runtime.Saved {
		t.Helper()
		time.Sleep(50 * time.Millisecond) // what is as young as a save is read again
		made, err := here.Save(t.Context(), runtime.Save{Computer: "c1", Name: name}, snapshot.Source{
			Path: tree, IDs: ids, Index: filepath.Join(dir, "index"), Image: "sha256:x", MadeAt: time.Now()}, base)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	write("big", big)
	write("small", []byte("one"))
	save("s1", "")
	write("small", []byte("two"))
	if made := save("s2", "s1"); made.Read != 3 || made.Sent == 0 {
		t.Errorf("the second save: %+v", made)
	}
	if err := here.Sweep(t.Context(), "c1", []string{"s2"}); err != nil {
		t.Fatal(err)
	}
	if _, err := there.Manifest(t.Context(), runtime.Save{Computer: "c1", Name: "s1"}); !errors.Is(err, runtime.ErrNoSave) {
		t.Errorf("swept: %v", err)
	}
	m, err := there.Manifest(t.Context(), runtime.Save{Computer: "c1", Name: "s2"})
	if err != nil {
		t.Fatal(err)
	}
	back := filepath.Join(dir, "back")
	if err := os.Mkdir(back, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := there.Restore(t.Context(), m, snapshot.Target{Path: back, IDs: ids, Settle: func(context.Context) (volume.State, error) { return volume.State{}, nil }}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{"big": big, "small": []byte("two")} {
		if got, err := os.ReadFile(filepath.Join(back, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s has %d bytes, %v", name, len(got), err)
		}
	}
	if err := there.Forget(t.Context(), "c1"); err != nil {
		t.Fatal(err)
	}
	if err := here.Computers(t.Context(), func(id runtime.ID) error { t.Errorf("left: %s", id); return nil }); err != nil {
		t.Fatal(err)
	}
}

func TestADiskGoesToADirectoryAndBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	diskGoesThere(t, blob.NewDir(dir), blob.NewDir(dir))
}
