package fake

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/runtime"
)

// computer is one computer's records. The machine's lock is never taken for
// long while mu is held, and mu is never awaited under the machine's lock.
type computer struct {
	id runtime.ID

	mu        sync.Mutex
	exists    bool
	epoch     runtime.Epoch
	phase     runtime.Phase
	spec      runtime.Spec
	pid       int
	startedAt time.Time
	fresh     bool
	bared     bool
	written   int // counts what may have written to the disk
	usage     runtime.Usage
	life      context.Context // done when the computer stops
	end       context.CancelFunc
}

// enter refuses an older epoch and remembers a newer one.
func (c *computer) enter(epoch runtime.Epoch) error {
	if epoch < c.epoch {
		return fmt.Errorf("%w: computer %s is in epoch %d, not %d", runtime.ErrStaleEpoch, c.id, c.epoch, epoch)
	}
	c.epoch = epoch
	return nil
}

func (c *computer) status() runtime.Status {
	return runtime.Status{
		ID: c.id, Epoch: c.epoch, Phase: c.phase, Spec: c.spec, PID: c.pid,
		StartedAt: c.startedAt, Image: imageOf(c.spec), Fresh: c.fresh, Bared: c.bared,
	}
}

// lockOrMake returns the computer's records, locked. A record that Remove has
// taken out meanwhile is not used again.
func (d *Driver) lockOrMake(id runtime.ID) *computer {
	for {
		d.mu.Lock()
		c := d.computers[id]
		if c == nil {
			c = &computer{id: id}
			d.computers[id] = c
		}
		d.mu.Unlock()
		c.mu.Lock()
		if d.current(c) {
			return c
		}
		c.mu.Unlock()
	}
}

func (d *Driver) current(c *computer) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.computers[c.id] == c
}

// lock returns the computer's records, locked, or runtime.ErrNotFound.
func (d *Driver) lock(id runtime.ID) (*computer, error) {
	d.mu.Lock()
	c := d.computers[id]
	d.mu.Unlock()
	if c != nil {
		c.mu.Lock()
		if c.exists {
			return c, nil
		}
		c.mu.Unlock()
	}
	return nil, fmt.Errorf("%w: %s", runtime.ErrNotFound, id)
}

func (d *Driver) all() []*computer {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.SortedFunc(maps.Values(d.computers), func(a, b *computer) int { return cmp.Compare(a.id, b.id) })
}

// call follows the script and notes what came of it.
func (d *Driver) call(ctx context.Context, c Call, act func() error) error {
	rule := d.opts.Script.take(c.Op, c.ID)
	c.Node = d.opts.Node
	c.Err = rule.before(ctx)
	if c.Err == nil {
		c.Err = act()
	}
	if c.Err == nil {
		c.Err = rule.after()
	}
	d.opts.World.note(c)
	if c.Err != nil {
		return fmt.Errorf("%s %s: %w", c.Op, c.ID, c.Err)
	}
	return nil
}

// look acts on a computer's records without changing its epoch.
func (d *Driver) look(ctx context.Context, call Call, act func(*computer) error) error {
	return d.call(ctx, call, func() error {
		c, err := d.lock(call.ID)
		if err != nil {
			return err
		}
		defer c.mu.Unlock()
		return act(c)
	})
}

// change acts on a computer in an epoch.
func (d *Driver) change(ctx context.Context, call Call, act func(*computer) error) error {
	return d.look(ctx, call, func(c *computer) error {
		if err := c.enter(call.Epoch); err != nil {
			return err
		}
		if runs[call.Op] {
			d.opts.World.acted(d.opts.Node, call.ID, call.Epoch)
		}
		return act(c)
	})
}

// turn changes the phase and tells the world.
func (d *Driver) turn(c *computer, to runtime.Phase) {
	c.phase = to
	d.opts.World.moves(d.opts.Node, c.id, to == runtime.Running)
}

// halt ends a computer that runs. One that was never started stays created.
func (d *Driver) halt(c *computer) {
	if c.phase != runtime.Running && c.phase != runtime.Frozen {
		return
	}
	c.end()
	c.pid, c.startedAt = 0, time.Time{}
	d.release(c.id)
	d.turn(c, runtime.Stopped)
}

// Freeze is what the warden does when the node's lease has ended: every
// computer that runs stands still.
func (d *Driver) Freeze() {
	for _, c := range d.all() {
		c.mu.Lock()
		if c.exists && c.phase == runtime.Running {
			d.turn(c, runtime.Frozen)
			d.opts.World.note(Call{Node: d.opts.Node, Op: Freeze, ID: c.id, Epoch: c.epoch})
		}
		c.mu.Unlock()
	}
}

// Crash ends a computer as if its first process had died.
func (d *Driver) Crash(id runtime.ID) error {
	c, err := d.lock(id)
	if err != nil {
		return err
	}
	defer c.mu.Unlock()
	d.halt(c)
	d.opts.World.note(Call{Node: d.opts.Node, Op: Crash, ID: id, Epoch: c.epoch})
	return nil
}
