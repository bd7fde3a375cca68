package clustertest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/bothy-computer/bothy/cluster"
	"github.com/bothy-computer/bothy/cluster/state"
)

// A history is reads and writes of registers: the daily limits of accounts.

type registerInput struct {
	key   int
	write bool
	value int64
}

// registers is what every history must look like: each key a register, each
// read the last value written before it.
var registers = porcupine.Model{
	Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[int][]porcupine.Operation{}
		for _, op := range ops {
			k := op.Input.(registerInput).key
			byKey[k] = append(byKey[k], op)
		}
		var out [][]porcupine.Operation
		for _, ops := range byKey {
			out = append(out, ops)
		}
		return out
	},
	Init: func() any { return int64(0) },
	Step: func(st, input, output any) (bool, any) {
		in := input.(registerInput)
		if in.write {
			return true, in.value
		}
		return output.(int64) == st.(int64), st
	},
	DescribeOperation: func(input, output any) string {
		in := input.(registerInput)
		if in.write {
			return fmt.Sprintf("set %d to %d", in.key, in.value)
		}
		return fmt.Sprintf("get %d = %v", in.key, output)
	},
}

// recorder collects a history.
type recorder struct {
	mu    sync.Mutex
	begun time.Time
	ops   []porcupine.Operation
}

func (r *recorder) now() int64 { return int64(time.Since(r.begun)) }

// note keeps an operation. One whose end is unclear may take effect at any
// later time.
func (r *recorder) note(client int, in registerInput, call int64, out int64, unclear bool) {
	op := porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: r.now()}
	if unclear {
		op.Return = math.MaxInt64
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, op)
}

func account(key int) state.AccountID { return state.AccountID(fmt.Sprintf("acct_%d", key)) }

// write sets a register. What failed for certain leaves no trace.
func (r *recorder) write(through *cluster.Cluster, client, key int, value int64) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	v := state.MicroUSD(value)
	call := r.now()
	_, err := through.Apply(ctx, state.SetLimits{Account: account(key), SetDaily: true, Daily: &v})
	switch {
	case err == nil:
		r.note(client, registerInput{key, true, value}, call, 0, false)
	case errors.Is(err, cluster.ErrUnclear):
		r.note(client, registerInput{key, true, value}, call, 0, true)
	}
}

func (r *recorder) read(t *testing.T, through *cluster.Cluster, client, key int) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	call := r.now()
	v, err := through.Read(ctx)
	if err != nil {
		return // a read that fails says nothing
	}
	defer v.Close()
	a, err := v.Account(account(key), time.Now())
	if err != nil {
		t.Errorf("read account %d: %v", key, err)
		return
	}
	got := int64(0)
	if a.DailyLimit != nil {
		got = int64(*a.DailyLimit)
	}
	r.note(client, registerInput{key: key}, call, got, false)
}

// check has porcupine judge the history.
func (r *recorder) check(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	writes := 0
	for _, op := range r.ops {
		if op.Input.(registerInput).write {
			writes++
		}
	}
	if writes < 100 || len(r.ops)-writes < 100 {
		t.Fatalf("only %d writes and %d reads", writes, len(r.ops)-writes)
	}
	if got := porcupine.CheckOperationsTimeout(registers, r.ops, Patience); got != porcupine.Ok {
		t.Fatalf("the history of %d writes and %d reads is %s, not linearizable", writes, len(r.ops)-writes, got)
	}
	t.Logf("linearizable: %d writes and %d reads", writes, len(r.ops)-writes)
}

// TestHistoriesAreLinearizable reads and writes through all nodes while
// leaders are cut off, killed and brought back.
func TestHistoriesAreLinearizable(t *testing.T) {
	for name, nodes := range map[string]int{"three voters": 3, "a non-voter beside them": 4} {
		t.Run(name, func(t *testing.T) { history(t, nodes) })
	}
}

func history(t *testing.T, nodes int) {
	const keys, clients = 3, 8
	c := New(t, nodes, Options{})
	c.Voters(0, 3)
	for k := range keys {
		_, err := c.Node(0).Apply(within(t, Patience), state.CreateAccount{Account: state.Account{ID: account(k), Name: fmt.Sprint(k)}})
		must(t, err)
	}
	r := &recorder{begun: time.Now()}
	var current sync.Map // node number → *cluster.Cluster, while it runs
	for i := range nodes {
		current.Store(i, c.Node(i).Cluster)
	}
	stop := make(chan struct{})
	var work sync.WaitGroup
	for client := range clients {
		work.Go(func() { play(t, r, &current, client, nodes, keys, stop) })
	}
	for range 2 {
		disturb(t, c, &current)
	}
	close(stop)
	work.Wait()
	r.check(t)
}

// play is one client: it writes and reads through whatever node runs.
func play(t *testing.T, r *recorder, current *sync.Map, client, nodes, keys int, stop chan struct{}) {
	rng := rand.New(rand.NewPCG(uint64(client), 7))
	for n := int64(1); ; n++ {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(rng.IntN(4)) * time.Millisecond):
		}
		through, ok := current.Load(rng.IntN(nodes))
		if !ok {
			continue
		}
		if key := rng.IntN(keys); rng.IntN(3) == 0 {
			r.write(through.(*cluster.Cluster), client, key, int64(client)*1_000_000+n)
		} else {
			r.read(t, through.(*cluster.Cluster), client, key)
		}
	}
}

// disturb cuts the leader off from all other voters, then kills the next one
// and brings it back.
func disturb(t *testing.T, c *Nodes, current *sync.Map) {
	old := c.Leader()
	for i, n := range c.all() {
		// Who does not vote stays on the old leader's side: its answers must
		// not make the old leader believe that it still leads.
		if i != old && c.votes(old, n) {
			c.Links.CutBoth(c.Node(old).ID, n.ID)
		}
	}
	next := c.Leader(old)
	time.Sleep(300 * time.Millisecond) // clients go on reading from both sides
	c.Heal()
	current.Delete(next)
	c.Kill(next)
	c.Leader(next)
	c.Start(next)
	c.WaitReady(next)
	current.Store(next, c.Node(next).Cluster)
}
