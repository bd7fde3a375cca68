package clustertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster"
	"github.com/bothy-computer/bothy/cluster/state"
)

// credit adds one micro-dollar: a counter that shows what is lost or done twice.
func credit(charge string) state.Command {
	return state.AddCredit{Account: Account, Charge: state.ChargeID(charge), Amount: 1}
}

// balance reads the counter.
func balance(t testing.TB, n *Node) int64 {
	t.Helper()
	v, err := n.Read(within(t, Patience))
	must(t, err)
	defer v.Close()
	a, err := v.Account(Account, time.Now())
	must(t, err)
	return int64(a.Balance)
}

// crowd is many writers, each through one node, which count what became of
// what they wrote.
type crowd struct {
	acked, unclear, refused atomic.Int64
	lastAck                 atomic.Int64 // UnixNano
	stop                    chan struct{}
	work                    sync.WaitGroup
}

func (c *Nodes) crowd(writers int, through func(i int) *Node) *crowd {
	w := &crowd{stop: make(chan struct{})}
	for i := range writers {
		n := through(i)
		apply := n.Cluster // stays the same when the node is closed
		w.work.Go(func() {
			for k := 0; ; k++ {
				select {
				case <-w.stop:
					return
				default:
				}
				w.write(apply, fmt.Sprintf("rec_%d_%d", i, k))
			}
		})
	}
	return w
}

func (w *crowd) write(through *cluster.Cluster, charge string) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	_, err := through.Apply(ctx, credit(charge))
	switch {
	case err == nil:
		w.acked.Add(1)
		w.lastAck.Store(time.Now().UnixNano())
	case errors.Is(err, cluster.ErrUnclear):
		w.unclear.Add(1)
	default:
		w.refused.Add(1)
		time.Sleep(time.Millisecond) // a closed node refuses at once
	}
}

func (w *crowd) end() {
	close(w.stop)
	w.work.Wait()
}

// TestLeaderKilledUnderWriters kills the leader under 50 writers: nothing
// acknowledged is lost, nothing is applied twice, and writes go on in time.
func TestLeaderKilledUnderWriters(t *testing.T) {
	c := New(t, 3, Options{})
	c.Voters(0, 3)
	w := c.crowd(50, func(i int) *Node { return c.Node(i % 3) })
	c.Eventually("writers are at work", func() bool { return w.acked.Load() > 500 })
	leader := c.Leader()
	c.Isolate(leader) // from here on it can acknowledge nothing new
	killed := time.Now()
	took := c.Within(3*time.Second, "writes go on within 3 s", func() bool { return w.lastAck.Load() > killed.Add(100*time.Millisecond).UnixNano() })
	c.Kill(leader)
	t.Logf("writes went on %v after the leader was killed; %d acknowledged before", took, w.acked.Load())
	more := w.acked.Load() + 500
	c.Eventually("writers are at work again", func() bool { return w.acked.Load() > more })
	w.end()
	survivor := c.Node(c.Follower(leader))
	got, acked, unclear := balance(t, survivor), w.acked.Load(), w.unclear.Load()
	if got < acked || got > acked+unclear {
		t.Fatalf("the counter is %d with %d acknowledged and %d unclear", got, acked, unclear)
	}
	t.Logf("counter %d, acknowledged %d, unclear %d, refused %d", got, acked, unclear, w.refused.Load())
	c.Start(leader)
	c.WaitReady(leader)
	if again := balance(t, c.Node(leader)); again != got {
		t.Fatalf("the restarted node counts %d, not %d", again, got)
	}
}

// TestWritersAcrossManyLeaders cuts leaders off one after another. Every writer
// is told what became of its write, and the counter agrees.
func TestWritersAcrossManyLeaders(t *testing.T) {
	timing := Timing()
	timing.Patience = Patience
	timing.Renew, timing.Act, timing.Freeze, timing.Hold, timing.Expire = time.Second, 6*time.Second, 7*time.Second, 8*time.Second, 9*time.Second
	c := New(t, 3, Options{Timing: &timing})
	c.Voters(0, 3)
	w := c.crowd(20, func(i int) *Node { return c.Node(i % 3) })
	for range 3 {
		more := w.acked.Load() + 300
		c.Eventually("writers are at work", func() bool { return w.acked.Load() > more })
		old := c.Leader()
		c.Isolate(old)
		c.Leader(old)
		more = w.acked.Load() + 300
		c.Eventually("writers are at work without the old leader", func() bool { return w.acked.Load() > more })
		c.Heal()
	}
	w.end()
	for i := range 3 {
		if got := balance(t, c.Node(i)); got < w.acked.Load() || got > w.acked.Load()+w.unclear.Load() {
			t.Fatalf("node %d counts %d with %d acknowledged and %d unclear", i, got, w.acked.Load(), w.unclear.Load())
		}
	}
	t.Logf("acknowledged %d, unclear %d, refused %d", w.acked.Load(), w.unclear.Load(), w.refused.Load())
}
