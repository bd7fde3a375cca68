package container

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/runtimetest"
)

// TestConformance runs the suite of all drivers against real containers, cold
// and with warm computers in stock.
func TestConformance(t *testing.T) {
	for name, warm := range map[string]int{"cold": 0, "warm": 2} {
		t.Run(name, func(t *testing.T) { conformance(t, warm) })
	}
}

func conformance(t *testing.T, warm int) {
	var mu sync.Mutex
	nodes := map[runtime.Driver]*node{}
	of := func(d runtime.Driver) *node {
		mu.Lock()
		defer mu.Unlock()
		return nodes[d]
	}
	keep := func(n *node) runtime.Driver {
		mu.Lock()
		defer mu.Unlock()
		nodes[n.Driver] = n
		return n.Driver
	}
	runtimetest.Suite{
		Open: func(t *testing.T) runtime.Driver {
			n := closedNode(t)
			n.store = filepath.Join(t.TempDir(), "store")
			n.open(warm)
			if warm > 0 {
				until(t, "a warm computer", func() bool { return n.Stock().Ready > 0 })
			}
			return keep(n)
		},
		Reopen: func(t *testing.T, d runtime.Driver) runtime.Driver {
			n := of(d)
			n.leave()
			n.open(warm)
			return keep(n)
		},
		Beside: func(t *testing.T, d runtime.Driver) runtime.Driver {
			n := closedNode(t)
			n.store = of(d).store
			n.open(0)
			return keep(n)
		},
		Leftovers: func(_ *testing.T, id runtime.ID) []string {
			var left []string
			for what, names := range machine() {
				for name := range names {
					if strings.Contains(name, string(id)) && !strings.Contains(name, "/comm") {
						left = append(left, what+" "+name)
					}
				}
			}
			return left
		},
		Spec: runtime.Spec{Image: "host", Hostname: "hut", Resources: runtime.Resources{
			MemoryBytes: 256 << 20, MilliCPU: 1000, StorageBytes: 64 << 20, PIDs: 128,
		}},
		OtherImage: otherImage, StandsStill: true,
		Users: []string{"root", "node"},
	}.Run(t)
}
