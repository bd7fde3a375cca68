package transport

import (
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// counter is the smallest of state machines: it counts entries.
type counter struct{ n atomic.Int64 }

func (c *counter) Apply(*raft.Log) any                 { return c.n.Add(1) }
func (c *counter) Snapshot() (raft.FSMSnapshot, error) { return nil, io.ErrUnexpectedEOF }
func (c *counter) Restore(r io.ReadCloser) error       { return r.Close() }

// raftNode is one voter over a node's RaftLayer.
type raftNode struct {
	*raft.Raft
	fsm   counter
	log   *raft.InmemStore
	trans *raft.NetworkTransport
}

func (n *raftNode) stop(t testing.TB) {
	must(t, n.Shutdown().Error())
	n.trans.CloseStreams()
	must(t, n.trans.Close())
}

func startRaft(t testing.TB, n *node, log *raft.InmemStore, boot *raft.Configuration) *raftNode {
	t.Helper()
	r := &raftNode{log: log}
	r.trans = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: n.RaftLayer(), MaxPool: 3, Timeout: time.Second, Logger: hclog.NewNullLogger(),
	})
	cfg := raft.DefaultConfig()
	cfg.LocalID, cfg.Logger = raft.ServerID(n.id), hclog.NewNullLogger()
	if boot != nil {
		must(t, raft.BootstrapCluster(cfg, log, log, raft.NewInmemSnapshotStore(), r.trans, *boot))
	}
	var err error
	r.Raft, err = raft.NewRaft(cfg, &r.fsm, log, log, raft.NewInmemSnapshotStore(), r.trans)
	must(t, err)
	return r
}

func TestRaftRunsOverTheLayer(t *testing.T) {
	c := newCluster(t, 3)
	var boot raft.Configuration
	for _, n := range c.nodes {
		boot.Servers = append(boot.Servers, raft.Server{ID: raft.ServerID(n.id), Address: raft.ServerAddress(n.id)})
	}
	rafts := make([]*raftNode, 3)
	for i, n := range c.nodes {
		rafts[i] = startRaft(t, n, raft.NewInmemStore(), &boot)
	}
	defer func() {
		for _, r := range rafts {
			r.stop(t)
		}
	}()
	leader := func() int {
		found := -1
		eventually(t, "one leads and writes", func() bool {
			for i, r := range rafts {
				if r.State() == raft.Leader && r.Apply([]byte("x"), time.Second).Error() == nil {
					found = i
				}
			}
			return found >= 0
		})
		return found
	}

	old := leader()
	for _, n := range c.nodes {
		if n.id != c.nodes[old].id {
			c.links.CutBoth(n.id, c.nodes[old].id)
		}
	}
	eventually(t, "the cut-off leader steps down", func() bool { return rafts[old].State() != raft.Leader })
	leader()
	c.links.Heal()
	next := leader()
	eventually(t, "all have applied the same", func() bool {
		want := rafts[next].fsm.n.Load()
		return rafts[0].fsm.n.Load() == want && rafts[1].fsm.n.Load() == want && rafts[2].fsm.n.Load() == want
	})

	// A follower comes back at another port: the same member, found there.
	i := (next + 1) % 3
	rafts[i].stop(t)
	must(t, c.nodes[i].Close())
	ident := c.nodes[i].ident
	moved := c.add(t, ident)
	rafts[i] = startRaft(t, moved, rafts[i].log, nil)
	leader()
	eventually(t, "the moved follower has applied all", func() bool {
		return rafts[i].fsm.n.Load() == rafts[(i+1)%3].fsm.n.Load()
	})
}

func TestRaftLayerAfterClose(t *testing.T) {
	c := newCluster(t, 2)
	a, b := c.nodes[0], c.nodes[1]
	must(t, b.RaftLayer().Close())
	if _, err := b.RaftLayer().Accept(); err == nil {
		t.Fatal("a closed layer accepts")
	}
	conn, err := a.RaftLayer().Dial(raft.ServerAddress(b.id), time.Second)
	must(t, err)
	defer conn.Close()
	must(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF && err == nil {
		t.Fatalf("the connection stays open: %v", err)
	}
	if _, err := a.RaftLayer().Dial("nobody", time.Second); err == nil {
		t.Fatal("dialled a node without an address")
	}
	if addr := a.RaftLayer().Addr().String(); addr != string(a.id) {
		t.Fatalf("raft's address is %q, not the uuid", addr)
	}
}
