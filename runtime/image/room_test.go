package image

import (
	"errors"
	"io"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/bothy-computer/bothy/runtime"
)

// TestImagesLeaveTheDisksReserve has the disk be full from some look on, early
// and late in what each way to an image writes.
func TestImagesLeaveTheDisksReserve(t *testing.T) {
	p, to, _, layered, _ := twoStores(t)
	dir := writeLayout(t, twoLayers(t))
	host, err := to.Resolve(t.Context(), Host)
	if err != nil {
		t.Fatal(err)
	}
	var looks, most atomic.Int64
	to.disk = func() int64 {
		if looks.Add(1) > most.Load() {
			return reserveBytes - 1
		}
		return 2 * reserveBytes
	}
	for name, bring := range map[string]func() error{
		"an import": func() error { _, err := importPath(t, to, "x", dir); return err },
		"a fetch":   func() error { return to.Fetch(t.Context(), layered, p) },
		"a commit": func() error {
			_, err := to.Commit(t.Context(), Change{Parent: host, Trees: []Tree{{Path: upperTree(t), At: "."}}, IDs: upperIDs})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int64{0, 1, 3} {
				looks.Store(0)
				most.Store(n)
				if err := bring(); !errors.Is(err, runtime.ErrFull) || errors.Is(err, runtime.ErrInvalid) {
					t.Errorf("after %d looks: %v", n, err)
				}
				expectNothingUnfinished(t, to)
			}
			if placed, err := filepath.Glob(filepath.Join(to.dir, "*", "*", "root")); err != nil || len(placed) > 1 { // the host's
				t.Errorf("placed: %v, %v", placed, err)
			}
		})
	}
}

// TestALargeFileIsLookedAfter: its room is not asked for only once.
func TestALargeFileIsLookedAfter(t *testing.T) {
	looks := 0
	r := &roomy{to: io.Discard, room: func() error {
		if looks++; looks > 2 {
			return runtime.ErrFull
		}
		return nil
	}}
	n, err := io.Copy(r, io.LimitReader(zeros{}, 1<<40))
	if !errors.Is(err, runtime.ErrFull) || n < roomEvery || n > 3*roomEvery {
		t.Errorf("%d bytes, %v", n, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
