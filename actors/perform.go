package actors

import (
	"context"
	"errors"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
)

// perform does one action aside, in the epoch the decision was made in.
func (c *computer) perform(what action) {
	c.busy = true
	record := c.record
	if what == give {
		fact, how := c.fact, c.parting.part
		c.cell.do(func(ctx context.Context) any {
			return did{action: give, epoch: record.Epoch, err: c.deps.give(ctx, record, fact, how)}
		})
		return
	}
	c.cell.do(func(ctx context.Context) any {
		begun := c.deps.now()
		done, err := c.deps.perform(ctx, what, record)
		if what == start && err == nil {
			c.deps.metrics.create.WithLabelValues(done.tier).Observe(c.deps.now().Sub(begun).Seconds())
		}
		return did{action: what, epoch: record.Epoch, lost: done.lost, err: err}
	})
}

// started tells of a start; of other actions it is the zero value.
type started struct {
	tier string // how the computer was had: new, restored or restarted
	lost string // see grant
}

// startedOf says how a computer was had that is being started.
func startedOf(c state.Computer, self state.NodeID, before runtime.Status, now time.Time) started {
	o := started{tier: "restarted", lost: lostBy(c, self, before, now)}
	switch {
	case before.Fresh:
		o.tier = "new"
	case unstarted(before):
		o.tier = "restored"
	}
	return o
}

// perform acts on the machine. The lease is asked first; the driver refuses an
// epoch older than it has seen; so a node that was cut off does nothing late.
func (d *ownership) perform(ctx context.Context, what action, c state.Computer) (started, error) {
	if err := d.held(); err != nil {
		return started{}, err
	}
	if what == start {
		return d.start(ctx, c)
	}
	return started{}, d.act(ctx, what, c)
}

func (d *ownership) act(ctx context.Context, what action, c state.Computer) error {
	id, epoch := runtime.ID(c.ID), runtime.Epoch(c.Epoch)
	switch what {
	case create:
		return d.create(ctx, c)
	case egress:
		return d.setEgress(ctx, c)
	case resize:
		return d.resize(ctx, c)
	case snap:
		return d.snap(ctx, c)
	case thaw:
		t, ok := d.driver.(runtime.Thawer)
		if !ok {
			return fault.New(fault.Unsupported, "this driver cannot thaw a computer")
		}
		return t.Thaw(ctx, epoch, id)
	case stop:
		if err := d.meter.last(ctx, c); err != nil {
			d.log.Warn("meter a computer before its stop", "computer", string(c.ID), "err", err)
		}
		return d.driver.Stop(ctx, epoch, id, stopGrace)
	case setAside:
		return d.setAside(ctx, c)
	case adopt:
		return d.adopt(ctx, c)
	case remove:
		return d.driver.Remove(ctx, epoch, id)
	case forget:
		_, err := d.cluster.Apply(ctx, state.SetPhase{Computer: c.ID, Epoch: c.Epoch, Phase: state.Deleted})
		return err
	}
	return fault.New(fault.Internal, "no such action: %s", what)
}

// create makes the disk: as it was saved, as a snapshot, which brings its own
// image, or empty.
func (d *ownership) create(ctx context.Context, c state.Computer) (err error) {
	if c.Saved.Name != "" || c.Sent.Name != "" {
		return d.restore(ctx, c)
	}
	spec := specOf(c)
	if spec.From, spec.Saved, err = d.sourceOf(c); err != nil {
		return err
	}
	if spec.From.Name != "" || spec.Saved.Name != "" {
		spec.Image = ""
	}
	return d.withImage(ctx, c, func() error { return d.driver.Create(ctx, runtime.Epoch(c.Epoch), spec) })
}

// start reserves the first minutes and starts the computer. The record follows
// the fact, so that whoever waits does not wait for the log too.
func (d *ownership) start(ctx context.Context, c state.Computer) (started, error) {
	if err := d.meter.reserve(ctx, c); err != nil {
		return started{}, err
	}
	before, err := d.driver.Inspect(ctx, runtime.ID(c.ID))
	if err != nil {
		return started{}, err
	}
	if err := d.write(ctx, c.ID); err != nil {
		return started{}, err
	}
	if err := d.rebase(ctx, c, before); err != nil {
		return started{}, err
	}
	if d.egressDiffers(before, c) {
		if err := d.setEgress(ctx, c); err != nil {
			return started{}, err
		}
	}
	if err := d.driver.Start(ctx, runtime.Epoch(c.Epoch), runtime.ID(c.ID)); err != nil {
		return started{}, err
	}
	return startedOf(c, d.cluster.Self(), before, d.now()), nil
}

// rebase puts the computer of an environment onto the image that was built for
// it since its last start.
func (d *ownership) rebase(ctx context.Context, c state.Computer, before runtime.Status) error {
	r, ok := d.driver.(runtime.Rebaser)
	if !ok || c.Environment == "" || before.Spec.Image == c.Image || before.Phase == runtime.Running || before.Phase == runtime.Frozen {
		return nil
	}
	return d.withImage(ctx, c, func() error { return r.Rebase(ctx, runtime.Epoch(c.Epoch), runtime.ID(c.ID), c.Image) })
}

// resize gives a computer the size that is asked for and records that, or why
// it cannot have it. One that this machine does not hold is made in that size.
func (d *ownership) resize(ctx context.Context, c state.Computer) error {
	done := state.Resized{Computer: c.ID, Epoch: c.Epoch}
	r, ok := d.driver.(runtime.Resizer)
	if !ok {
		done.Error = "this node's computers keep the size they were made in"
	} else if err := r.Resize(ctx, runtime.Epoch(c.Epoch), runtime.ID(c.ID), resourcesOf(*c.Resize)); err != nil && !errors.Is(err, runtime.ErrNotFound) {
		if errors.Is(err, runtime.ErrStaleEpoch) || ctx.Err() != nil {
			return err
		}
		d.log.Warn("resize computer", "computer", string(c.ID), "err", err)
		done.Error = faultText(translate(err))
	}
	_, err := d.cluster.Apply(ctx, done)
	return err
}

func resourcesOf(s state.Size) runtime.Resources {
	return runtime.Resources{MemoryBytes: s.MemoryBytes, MilliCPU: s.MilliCPU, StorageBytes: s.DiskBytes}
}

// specOf is a record as a driver is told it.
func specOf(c state.Computer) runtime.Spec {
	return runtime.Spec{
		ID: runtime.ID(c.ID), Image: c.Image, Hostname: hostname(c), Egress: egressOf(c),
		Resources: resourcesOf(c.Size()),
	}
}

// maxHostname is what Linux and DNS take for one label.
const maxHostname = 63

// hostname is the computer's handle, or its name as a legal host name, or its id.
func hostname(c state.Computer) string {
	if c.Handle != "" {
		return c.Handle
	}
	var b []byte
	for _, r := range c.Name {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b = append(b, byte(r))
		case r >= 'A' && r <= 'Z':
			b = append(b, byte(r-'A'+'a'))
		case len(b) > 0 && b[len(b)-1] != '-':
			b = append(b, '-')
		}
		if len(b) == maxHostname {
			break
		}
	}
	for len(b) > 0 && b[len(b)-1] == '-' {
		b = b[:len(b)-1]
	}
	if len(b) == 0 {
		return string(c.ID)
	}
	return string(b)
}

// kindOfRuntime says what a driver's failure means to a caller.
var kindOfRuntime = []struct {
	err  error
	kind fault.Kind
}{
	{runtime.ErrNotFound, fault.NotFound},
	{runtime.ErrStaleEpoch, fault.Moved},
	{runtime.ErrNotRunning, fault.Conflict},
	{runtime.ErrNoImage, fault.Invalid},
	{runtime.ErrFull, fault.Full},
	{runtime.ErrUnready, fault.Unavailable},
	{runtime.ErrUnsupported, fault.Unsupported},
	{runtime.ErrInvalid, fault.Invalid},
	{runtime.ErrAstray, fault.Unavailable},
	{runtime.ErrRefused, fault.Unavailable},
	{runtime.ErrNoSnapshot, fault.NotFound},
	{runtime.ErrOtherImage, fault.Conflict},
	{runtime.ErrOtherHost, fault.Conflict},
	{runtime.ErrNoSave, fault.NotFound},
	{runtime.ErrNoStore, fault.Unavailable},
	{runtime.ErrNoInbox, fault.Unavailable},
}

// translate turns a driver's error into a fault, the text kept. One that it
// does not know is Internal.
func translate(err error) error {
	var known *fault.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	for _, k := range kindOfRuntime {
		if errors.Is(err, k.err) {
			return fault.New(k.kind, "%w", err)
		}
	}
	return err
}
