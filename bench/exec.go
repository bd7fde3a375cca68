package main

import (
	"context"
	"errors"
	"fmt"
	osexec "os/exec"

	"github.com/bothy-computer/bothy/bench/bare"
	"github.com/bothy-computer/bothy/bench/house"
	"github.com/bothy-computer/bothy/bench/measure"
	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// exec times `true` in a running computer, at its owner and through another
// node.
func (b *bench) exec(ctx context.Context) error {
	t := measure.Latencies("exec of true in a running computer")
	n := b.count(300)
	peer, err := b.bareExecs(ctx, t, n)
	if err != nil {
		return err
	}
	err = b.in(ctx, house.Shape{Nodes: 3, Memory: smallMemory}, func(h *house.House) error {
		if err := b.execs(ctx, h, t, n, peer); err != nil {
			return err
		}
		return b.agentExecs(ctx, h, t, n)
	})
	t.Note("ratios: to runc exec; of /v1/computers to a bare call of the guest's socket")
	return errors.Join(err, t.Write(b.out))
}

func (b *bench) bareExecs(ctx context.Context, t *measure.Table, n int) (*measure.Samples, error) {
	var spawn, echo, exec measure.Samples
	for range n {
		_ = spawn.Time(osexec.CommandContext(ctx, "/bin/true").Run)
	}
	if err := errors.Join(spawn.FirstFailure(), b.echoes(&echo, n)); err != nil {
		return nil, err
	}
	err := b.inRunc(func(r *bare.Runc) error {
		if err := r.Start(ctx, "one", "/bin/sleep", "3600"); err != nil {
			return err
		}
		for range n {
			if err := exec.Time(func() error { return r.Exec(ctx, "one", "/bin/true") }); err != nil {
				return errors.Join(err, r.Remove(ctx, "one"))
			}
		}
		return r.Remove(ctx, "one")
	})
	t.Compare("runc exec", &exec, nil)
	t.Compare("fork and exec on the machine itself", &spawn, &exec)
	t.Compare("HTTP echo over a unix socket", &echo, &exec)
	return &exec, err
}

func (b *bench) echoes(s *measure.Samples, n int) error {
	dir, remove, err := b.scratch()
	if err != nil {
		return err
	}
	e, err := bare.OpenEcho(dir)
	if err != nil {
		return errors.Join(err, remove())
	}
	for range n {
		_ = s.Time(func() error { return e.Call("{\"argv\":[\"/bin/true\"]}\n") })
	}
	return errors.Join(s.FirstFailure(), e.Close(), remove())
}

func (b *bench) execs(ctx context.Context, h *house.House, t *measure.Table, n int, peer *measure.Samples) error {
	env, err := h.Client(0).Environments().Create(ctx, wire.WriteEnvironment{Name: wire.Some("bench")})
	if err != nil {
		return fmt.Errorf("make an environment: %w", err)
	}
	if err := runTrue(ctx, h.Client(0), env.ComputerID); err != nil {
		return fmt.Errorf("run the first command: %w", err)
	}
	computer, err := h.Client(0).Computers().Get(ctx, env.ComputerID)
	if err != nil || computer.Node == nil {
		return fmt.Errorf("find the computer's owner: %w", errors.Join(err, errors.New("none")))
	}
	owner, others := h.Named(*computer.Node)
	leader, _, err := h.Leader(ctx)
	if err != nil {
		return err
	}
	t.Note("the owner is %s, the other node %s, the leader %s", owner.Name, others[0].Name, leader.Name)
	for _, way := range []struct {
		name   string
		client *client.Client
	}{{"POST /v1/admin/computers/:id/exec at the owner", h.ClientOf(owner)}, {"the same through another node", h.ClientOf(others[0])}} {
		var s measure.Samples
		for range n {
			_ = s.Time(func() error { return runTrue(ctx, way.client, env.ComputerID) })
		}
		t.Compare(way.name, &s, peer)
	}
	return gone(ctx, h.Client(0), env)
}
