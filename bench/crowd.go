package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/bothy-computer/bothy/bench/house"
	"github.com/bothy-computer/bothy/bench/measure"
)

const (
	// crowded is how many computers wait while others are made.
	crowded = 200
	// rush is how many are made at once among them.
	rush = 50
)

// crowd makes computers one after another until many wait, then many at once,
// through the Agent Computer dialect.
func (b *bench) crowd(ctx context.Context) error {
	t := measure.Latencies(fmt.Sprintf("%d computers idle, %d made at once", crowded, rush))
	err := b.in(ctx, house.Shape{Nodes: 1, Memory: smallMemory}, func(h *house.House) error { return b.crowds(ctx, h, t) })
	t.Note("ratios: to the first %d, made one after another on an empty node", rush)
	return errors.Join(err, t.Write(b.out))
}

func (b *bench) crowds(ctx context.Context, h *house.House, t *measure.Table) error {
	node := h.Nodes[0]
	a := agents{h, node}
	begun := func() error {
		id, err := a.running(ctx)
		if err == nil {
			err = a.exec(ctx, id)
		}
		return err
	}
	if err := begun(); err != nil { // makes what all share
		return err
	}
	before, err := lookAt(ctx, node)
	if err != nil {
		return err
	}
	var early, late measure.Samples
	for i := range crowded {
		into := &late
		if i < rush {
			into = &early
		}
		_ = into.Time(begun)
	}
	after, err := lookAt(ctx, node)
	if err != nil {
		return err
	}
	at, took := measure.AtOnce(rush, func(int) error { return begun() })
	t.Compare(fmt.Sprintf("create to first command, the first %d", rush), &early, nil)
	t.Compare(fmt.Sprintf("the next %d", crowded-rush), &late, &early)
	t.Compare(fmt.Sprintf("%d at once, beside %d that wait", rush, crowded), at, &early)
	t.Note("the %d at once were all done after %s ms", rush, measure.MS(took))
	allIn := after.groups + after.node.RSS + after.warden.RSS - before.groups - before.node.RSS - before.warden.RSS
	t.Note("memory of each that waits, all in: %s MiB; the node is %s MiB resident", measure.MiB(allIn/crowded), measure.MiB(after.node.RSS))
	return errors.Join(early.FirstFailure(), late.FirstFailure(), at.FirstFailure())
}
