package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bothy-computer/bothy/bench/bare"
	"github.com/bothy-computer/bothy/bench/house"
	"github.com/bothy-computer/bothy/bench/measure"
	"github.com/bothy-computer/bothy/httpapi/wire"
	"github.com/bothy-computer/bothy/runtime/warden/cgroup"
)

// rest is how long everything is left alone before memory is read.
const rest = 5 * time.Second

// idle reads memory where nothing happens: of a node and its warden, and what
// each computer that only waits adds to them and to the machine.
func (b *bench) idle(ctx context.Context) error {
	t := measure.NewTable("idle memory, in MiB", "what", "resident", "its own", "cgroup", "of the machine", "ratio")
	n := b.count(50)
	peer, err := b.bareIdle(ctx, t, n)
	if err != nil {
		return err
	}
	err = b.in(ctx, house.Shape{Nodes: 1, Memory: smallMemory}, func(h *house.House) error { return b.idles(ctx, h, t, n, peer) })
	t.Note("ratio: of cgroup memory, which holds what the kernel keeps for the processes too")
	t.Note("each of %d computers: growth of what is there, divided by their number", n)
	t.Note("resident counts pages shared with other processes too; its own is what its end would give back; of the machine is what MemAvailable fell by, which others on this machine move too")
	return errors.Join(err, t.Write(b.out))
}

// bareIdle is what containers that sleep cost; it returns the bytes in the
// cgroup of each.
func (b *bench) bareIdle(ctx context.Context, t *measure.Table, n int) (each int64, err error) {
	err = b.inRunc(func(r *bare.Runc) (err error) {
		before, err := measure.Available()
		if err != nil {
			return err
		}
		defer func() {
			for i := range n {
				err = errors.Join(err, r.Remove(ctx, fmt.Sprint("idle-", i)))
			}
		}()
		for i := range n {
			if err := r.Start(ctx, fmt.Sprint("idle-", i), "/bin/sleep", "3600"); err != nil {
				return err
			}
		}
		if err := pause(ctx, rest); err != nil {
			return err
		}
		after, err := measure.Available()
		if err != nil {
			return err
		}
		tree, err := cgroup.Detect()
		if err != nil {
			return err
		}
		var held int64
		for i := range n {
			m, err := tree.Group(r.Group(fmt.Sprint("idle-", i))).Memory()
			if err != nil {
				return err
			}
			held += m
		}
		each = held / int64(n)
		t.Line("runc with sleep, each", "", "", measure.MiB(each), measure.MiB((before-after)/int64(n)), "1 (peer)")
		return nil
	})
	return each, err
}

// idleHouse is the memory of a house of one node at a moment.
type idleHouse struct {
	node, warden    measure.Usage
	groups, machine int64 // bytes in cgroups, bytes available
	guest           int64 // bytes resident in all computers
}

func lookAt(ctx context.Context, n *house.Node) (i idleHouse, err error) {
	if err := pause(ctx, rest); err != nil {
		return i, err
	}
	pid, err := n.WardenPID(ctx)
	if err != nil {
		return i, err
	}
	var errs [4]error
	i.node, errs[0] = measure.UsageOf(n.PID())
	i.warden, errs[1] = measure.UsageOf(pid)
	i.machine, errs[2] = measure.Available()
	group, err := n.Group()
	if err != nil {
		return i, err
	}
	errs[3] = i.readGroups(group)
	return i, errors.Join(errs[:]...)
}

func (i *idleHouse) readGroups(group cgroup.Group) error {
	names, err := group.Children()
	if err != nil {
		return err
	}
	for _, name := range names {
		held, err := group.Child(name).Memory()
		if err != nil {
			return err
		}
		pids, err := group.Child(name).Processes()
		if err != nil {
			return err
		}
		for _, pid := range pids {
			u, err := measure.UsageOf(pid)
			if err != nil {
				return err
			}
			i.guest += u.RSS
		}
		i.groups += held
	}
	return nil
}

func (b *bench) idles(ctx context.Context, h *house.House, t *measure.Table, n int, peer int64) error {
	// The first computer makes what all share.
	if err := newComputersOf(ctx, h, 1); err != nil {
		return err
	}
	before, err := lookAt(ctx, h.Nodes[0])
	if err != nil {
		return err
	}
	t.Line("node", measure.MiB(before.node.RSS), measure.MiB(before.node.Own), "", "", "")
	t.Line("warden", measure.MiB(before.warden.RSS), measure.MiB(before.warden.Own), "", "", "")
	if err := newComputersOf(ctx, h, n); err != nil {
		return err
	}
	after, err := lookAt(ctx, h.Nodes[0])
	if err != nil {
		return err
	}
	each := func(a, b int64) string { return measure.MiB((a - b) / int64(n)) }
	t.Line("computer, each: its guest and cgroup", each(after.guest, before.guest), "", each(after.groups, before.groups),
		each(before.machine, after.machine), measure.Ratio(float64(after.groups-before.groups)/float64(n), float64(peer)))
	t.Line("  for it in the node", each(after.node.RSS, before.node.RSS), each(after.node.Own, before.node.Own), "", "", "")
	t.Line("  for it in the warden", each(after.warden.RSS, before.warden.RSS), each(after.warden.Own, before.warden.Own), "", "", "")
	allIn := after.groups + after.node.RSS + after.warden.RSS - before.groups - before.node.RSS - before.warden.RSS
	t.Line("computer, all in: cgroup, node and warden", "", "", measure.MiB(allIn/int64(n)), "", measure.Ratio(float64(allIn)/float64(n), float64(peer)))
	return nil
}

func newComputersOf(ctx context.Context, h *house.House, n int) error {
	for range n {
		env, err := h.Client(0).Environments().Create(ctx, wire.WriteEnvironment{Name: wire.Some("bench")})
		if err != nil {
			return fmt.Errorf("make an environment: %w", err)
		}
		if err := runTrue(ctx, h.Client(0), env.ComputerID); err != nil {
			return fmt.Errorf("run the first command: %w", err)
		}
	}
	return nil
}
