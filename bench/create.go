package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/bothy-computer/bothy/bench/bare"
	"github.com/bothy-computer/bothy/bench/house"
	"github.com/bothy-computer/bothy/bench/measure"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	// burst is how many computers are asked for at once.
	burst = 100
	// goneLook and goneTime bound the wait for a removed computer.
	goneLook = 10 * time.Millisecond
	goneTime = time.Minute
	// warmStock is how many blank computers a node keeps in the warm runs.
	warmStock = 4
	// smallMemory is the memory of computers of scenarios, small so that many
	// fit where their limits are summed.
	smallMemory = 128 << 20
	stockMetric = "bothy_warm_computers"
)

// create measures from the request for an environment to the end of the first
// command in its computer, through the API.
func (b *bench) create(ctx context.Context) error {
	t := measure.Latencies("create to first command done")
	n := b.count(40)
	one, many, err := b.bareCreates(ctx, t, n)
	if err != nil {
		return err
	}
	for _, stock := range []int{0, warmStock} {
		err := b.in(ctx, house.Shape{Nodes: 1, Warm: stock, Memory: smallMemory}, func(h *house.House) error {
			return b.creates(ctx, h, t, n, stock, one, many)
		})
		if err != nil {
			return errors.Join(err, t.Write(b.out))
		}
	}
	t.Note("ratios: to runc run in the same arrangement; its bundle has the same namespaces and limits, and neither overlay, workspace, network nor record")
	return t.Write(b.out)
}

func (b *bench) bareCreates(ctx context.Context, t *measure.Table, n int) (one, many *measure.Samples, err error) {
	one = &measure.Samples{}
	err = b.inRunc(func(r *bare.Runc) error {
		for i := range n {
			id := fmt.Sprint("one-", i)
			if err := one.Time(func() error { return r.Run(ctx, id, "/bin/true") }); err != nil {
				return err
			}
		}
		many, _ = measure.AtOnce(burst, func(i int) error { return r.Run(ctx, fmt.Sprint("many-", i), "/bin/true") })
		return nil
	})
	t.Compare("runc run, one after another", one, nil)
	if many != nil {
		t.Compare(fmt.Sprintf("runc run, %d at once", burst), many, nil)
	}
	return one, many, err
}

// inRunc runs do with the OCI runtime alone, and removes it.
func (b *bench) inRunc(do func(r *bare.Runc) error) error {
	dir, remove, err := b.scratch()
	if err != nil {
		return err
	}
	r, err := bare.OpenRunc(dir + "/runc")
	if err != nil {
		return errors.Join(err, remove())
	}
	return errors.Join(do(r), r.Close(), remove())
}

func (b *bench) creates(ctx context.Context, h *house.House, t *measure.Table, n, stock int, one, many *measure.Samples) error {
	tier := "cold"
	if stock > 0 {
		tier = fmt.Sprintf("warm (%d ready)", stock)
	}
	var all, record, first measure.Samples
	for range n {
		if err := h.Nodes[0].AwaitMetric(ctx, stockMetric, float64(stock)); err != nil {
			return err
		}
		env, err := created(ctx, h.Client(0), &all, &record, &first)
		if err != nil {
			return err
		}
		if err := gone(ctx, h.Client(0), env); err != nil {
			return err
		}
	}
	t.Compare(tier+", one after another", &all, one)
	t.Compare("  of it POST /v1/environments", &record, one)
	t.Compare("  of it the first command, which starts it", &first, one)
	if err := h.Nodes[0].AwaitMetric(ctx, stockMetric, float64(stock)); err != nil {
		return err
	}
	made := make([]wire.Environment, burst)
	s, took := measure.AtOnce(burst, func(i int) (err error) {
		made[i], err = created(ctx, h.Client(0), &measure.Samples{}, &measure.Samples{}, &measure.Samples{})
		return err
	})
	t.Compare(fmt.Sprintf("%s, %d at once", tier, burst), s, many)
	t.Note("%s, %d at once: all were done after %s", tier, burst, took.Round(time.Millisecond))
	for _, env := range made {
		if env.ID != "" {
			if err := gone(ctx, h.Client(0), env); err != nil {
				return err
			}
		}
	}
	return nil
}

// created makes an environment and runs a command in its computer.
func created(ctx context.Context, c *client.Client, all, record, first *measure.Samples) (env wire.Environment, err error) {
	err = all.Time(func() error {
		if err := record.Time(func() (err error) {
			env, err = c.Environments().Create(ctx, wire.WriteEnvironment{Name: wire.Some("bench")})
			return err
		}); err != nil {
			return err
		}
		return first.Time(func() error { return runTrue(ctx, c, env.ComputerID) })
	})
	return env, err
}

// runTrue runs true in a computer.
func runTrue(ctx context.Context, c *client.Client, computer string) error {
	exit, err := c.Computers().Exec(ctx, computer, wire.Exec{Argv: []string{"/bin/true"}, Dir: "/"}, nil, io.Discard, io.Discard)
	if err == nil && exit.Code != 0 {
		err = fmt.Errorf("true ended with %d", exit.Code)
	}
	return err
}

// gone removes an environment and waits until its computer is away.
func gone(ctx context.Context, c *client.Client, env wire.Environment) error {
	ctx, cancel := context.WithTimeout(ctx, goneTime)
	defer cancel()
	if err := c.Environments().Delete(ctx, env.ID, true); err != nil {
		return fmt.Errorf("remove an environment: %w", err)
	}
	for {
		_, err := c.Computers().Get(ctx, env.ComputerID)
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		if err := errors.Join(err, pause(ctx, goneLook)); err != nil {
			return fmt.Errorf("wait for a computer's end: %w", err)
		}
	}
}
