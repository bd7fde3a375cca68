package clustertest

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster"
	"github.com/bothy-computer/bothy/cluster/transport/links"
)

// TestRestartAtEveryPointOfASnapshot copies the data directory at every point
// between two durable steps of a raft snapshot, as kill -9 would leave it, and
// starts a node from each copy.
func TestRestartAtEveryPointOfASnapshot(t *testing.T) {
	timing := Timing()
	timing.Renew, timing.Act, timing.Freeze, timing.Hold, timing.Expire = time.Minute, 2*time.Minute, 3*time.Minute, 4*time.Minute, 5*time.Minute
	copies := map[string]string{}
	var mu sync.Mutex
	at, dir := "", ""
	c := New(t, 1, Options{Timing: &timing, Node: func(_ int, o *cluster.Options) {
		o.SnapshotEntries, o.TrailingEntries = 8, 2
		dir = o.Identity.Dir()
		o.Crash = func(point string) error {
			mu.Lock()
			defer mu.Unlock()
			if at == "" {
				return nil
			}
			name := fmt.Sprintf("%s, %s", at, point)
			if copies[name] == "" {
				copies[name] = t.TempDir()
				must(t, os.CopyFS(copies[name], os.DirFS(dir)))
			}
			return nil
		}
	}})
	for round := range 3 { // the third removes the first
		for i := range 20 {
			_, err := c.Node(0).Apply(within(t, Patience), credit(fmt.Sprintf("rec_%d_%d", round, i)))
			must(t, err)
		}
		mu.Lock()
		at = fmt.Sprint("snapshot ", round+1)
		mu.Unlock()
		must(t, c.Node(0).Snapshot())
		mu.Lock()
		at = ""
		mu.Unlock()
	}
	if len(copies) < 3*7 {
		t.Fatalf("only %d points were reached: %v", len(copies), copies)
	}
	c.Stop(0)
	for name, dir := range copies {
		restartCopy(t, name, dir)
	}
}

// restartCopy starts a node from a copy and checks that nothing acknowledged
// before it is missing or doubled.
func restartCopy(t *testing.T, name, dir string) {
	t.Helper()
	var round int64
	_, err := fmt.Sscanf(name, "snapshot %d", &round)
	must(t, err)
	c := &Nodes{t: t, dir: filepath.Dir(dir), Links: links.New()}
	n := &Node{Name: "n1", Dir: dir}
	if err := c.open(n, nil); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	c.nodes = append(c.nodes, n)
	defer c.Stop(0)
	c.WaitReady(0)
	if got := balance(t, n); got != round*20 {
		t.Fatalf("%s: the counter is %d, not %d", name, got, round*20)
	}
	_, err = n.Apply(within(t, Patience), credit("after"))
	must(t, err)
	must(t, n.Snapshot())
}
