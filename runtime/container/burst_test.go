package container

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/runtime"
)

// TestABurstOfComputers starts many at once, uses each, and removes all.
func TestABurstOfComputers(t *testing.T) {
	n := newNode(t, 2)
	const many = 24
	ids := make([]runtime.ID, many)
	var group sync.WaitGroup
	for i := range many {
		group.Go(func() {
			spec := n.spec()
			spec.Hostname = fmt.Sprintf("hut%d", i)
			ids[i] = spec.ID
			if err := n.Create(t.Context(), 1, spec); err != nil {
				t.Error(err)
				return
			}
			if err := n.Start(t.Context(), 1, spec.ID); err != nil {
				t.Error(err)
				return
			}
			var out strings.Builder
			exit, err := n.Exec(t.Context(), 1, spec.ID, runtime.Cmd{Argv: []string{"hostname"}, Stdout: &out})
			if err != nil || exit.Code != 0 || out.String() != spec.Hostname+"\n" {
				t.Errorf("%s: %+v %q %v", spec.Hostname, exit, out.String(), err)
			}
		})
	}
	group.Wait()
	for _, id := range ids {
		group.Go(func() {
			if err := n.Remove(t.Context(), 1, id); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, id := range ids {
		if left := traces(id); left != nil {
			t.Errorf("left: %v", left)
		}
	}
}

func TestExecCostsOneRoundTrip(t *testing.T) {
	n := newNode(t, 0)
	id := n.started(n.spec())
	var all []time.Duration
	for range 50 {
		begin := time.Now()
		if exit, err := n.Exec(t.Context(), 1, id, runtime.Cmd{Argv: []string{"/bin/true"}}); err != nil || exit.Code != 0 {
			t.Fatalf("%+v, %v", exit, err)
		}
		all = append(all, time.Since(begin))
	}
	slices.Sort(all)
	t.Logf("exec: p50 %v, p95 %v", all[25], all[47])
	used, err := n.Usage(t.Context(), id)
	if err != nil || used.MemoryBytes == 0 || used.CPU == 0 {
		t.Errorf("used %+v, %v", used, err)
	}
	t.Logf("the idle computer's cgroup holds %d KiB", used.MemoryBytes>>10)
	if all[25] > 500*time.Millisecond { // a new container for each would be no faster
		t.Error("far too slow")
	}
}

func TestPauseIsQuick(t *testing.T) {
	n := newNode(t, 0)
	id := n.started(n.spec())
	begin := time.Now()
	for range 10 {
		if err := n.Pause(t.Context(), 1, id); err != nil {
			t.Fatal(err)
		}
		if err := n.Resume(t.Context(), 1, id); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("pause and resume: %v", time.Since(begin)/10)
}

func TestADirectoryThatComputersCannotPassIsRefused(t *testing.T) {
	n := newNode(t, 0)
	n.leave()
	for dir, want := range map[string]string{
		filepath.Join(n.dir, "a,b"): "may not contain", n.dir + "/private/node": "chmod o+x",
	} {
		if err := mkdirPrivate(dir); err != nil {
			t.Fatal(err)
		}
		o := n.Options
		o.Dir = dir
		if d, err := Open(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", dir, err)
			if err == nil {
				_ = d.Close()
			}
		}
	}
	n.open(0)
}

// mkdirPrivate makes a directory below one that only its owner may pass.
func mkdirPrivate(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.Chmod(filepath.Dir(dir), map[bool]os.FileMode{true: 0o700, false: 0o711}[filepath.Base(filepath.Dir(dir)) == "private"])
}
