package container

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/meter"
)

// sampleEvery is how often all running computers are looked at for the meter.
// Between looks an amount of memory counts as held.
const sampleEvery = 10 * time.Second

// sampleWait bounds the wait for a computer that something is done to.
const sampleWait = 100 * time.Millisecond

// Usage implements runtime.Meterer.
func (d *Driver) Usage(ctx context.Context, id runtime.ID) (runtime.Usage, error) {
	release, err := d.locks.take(ctx, string(id))
	if err != nil {
		return runtime.Usage{}, err
	}
	defer release()
	r, err := d.load(id)
	if err != nil {
		return runtime.Usage{}, err
	}
	s, err := d.measure(id, r)
	if err != nil {
		return runtime.Usage{}, fmt.Errorf("measure %s: %w", id, err)
	}
	return d.book.Add(string(id), s), nil
}

// measure reads the counters as they are. They outlive the first process by a
// little; once they are gone they count as unchanged.
func (d *Driver) measure(id runtime.ID, r record) (meter.Sample, error) {
	last := d.book.Last(string(id))
	s := meter.Sample{At: d.Now(), Life: last.Life, CPU: last.CPU, EgressBytes: last.EgressBytes}
	var err error
	if s.StorageBytes, err = d.held(id, r); err != nil && !errors.Is(err, runtime.ErrNotFound) {
		return s, err
	}
	if !r.Started {
		return s, nil
	}
	group := d.cgroup(r)
	cpu, err := group.CPU()
	if err != nil {
		return s, gone(err)
	}
	memory, err := group.Memory()
	if err != nil {
		return s, gone(err)
	}
	sent, err := d.net.SentBytes(linkOf(r))
	s.Life, s.CPU, s.MemoryBytes, s.EgressBytes = r.StartedAt.Format(time.RFC3339Nano), cpu, memory, sent
	return s, err
}

func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// observe adds a last sample before counters go. A failure costs a few seconds
// of metering, not the act that it precedes.
func (d *Driver) observe(id runtime.ID, r record) {
	if !r.Started || isBlank(id) {
		return
	}
	s, err := d.measure(id, r)
	if err != nil {
		d.Log.Warn("usage not measured", "computer", string(id), "err", err)
		return
	}
	d.book.Add(string(id), s)
}

// sample keeps the book until the driver is closed.
func (d *Driver) sample() {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-d.life.Done():
			return
		case <-tick.C:
		}
		if err := d.sampleAll(d.life); err != nil && d.life.Err() == nil {
			d.Log.Error("meter computers", "err", err)
		}
	}
}

func (d *Driver) sampleAll(ctx context.Context) error {
	ids, err := d.ids()
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range ids {
		if isBlank(id) {
			continue
		}
		if err := d.sampleOne(ctx, id); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, d.book.Save())...)
}

// sampleOne leaves out a computer that is being started or stopped: the next
// look counts for both.
func (d *Driver) sampleOne(ctx context.Context, id runtime.ID) error {
	ctx, cancel := context.WithTimeout(ctx, sampleWait)
	defer cancel()
	_, err := d.Usage(ctx, id)
	if errors.Is(err, runtime.ErrNotFound) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}
