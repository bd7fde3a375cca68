package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	goruntime "runtime"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

const (
	// MaxWarm bounds the blank computers of a node.
	MaxWarm = 4
	// refillPause is the least time between two blank starts, so that warming
	// up never takes the machine from those who work.
	refillPause = 100 * time.Millisecond
	// refillLook is how often the stock is looked at without a reason.
	refillLook = 5 * time.Second
	// refillRetry is the pause after a blank start that failed.
	refillRetry = 30 * time.Second
	// pressureShare of the machine's memory must be available for blanks.
	pressureShare = 8
)

// warm is the stock of blank computers: started, claimed by nobody, and never
// told anything by anybody.
type warm struct {
	kick chan struct{} // a blank was taken

	mu      sync.Mutex
	ready   []blank
	claimed int64
	missed  int64
}

type blank struct {
	id runtime.ID
	record
}

func newWarm() *warm { return &warm{kick: make(chan struct{}, 1)} }

// Stock is what there is of blank computers.
type Stock struct {
	Ready   int   // now
	Claimed int64 // creates that found one, since the driver was opened
	Missed  int64 // creates that found none
}

// Stock reports the warm computers.
func (d *Driver) Stock() Stock {
	w := d.warm
	w.mu.Lock()
	defer w.mu.Unlock()
	return Stock{Ready: len(w.ready), Claimed: w.claimed, Missed: w.missed}
}

// take hands out a blank computer of an image. Nobody else gets it.
func (w *warm) take(digest string) (blank, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := slices.IndexFunc(w.ready, func(b blank) bool { return b.Image == digest })
	if at < 0 {
		w.missed++
		return blank{}, false
	}
	b := w.ready[at]
	w.ready = slices.Delete(w.ready, at, at+1)
	w.claimed++
	select {
	case w.kick <- struct{}{}:
	default:
	}
	return b, true
}

func (w *warm) put(b blank) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ready = append(w.ready, b)
}

func (w *warm) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.ready)
}

// claim makes a blank computer into the one of spec; false when there is none
// that would do. The caller holds the lock of spec.ID.
func (d *Driver) claim(ctx context.Context, epoch runtime.Epoch, spec runtime.Spec, digest string) (bool, error) {
	if d.Warm == 0 {
		return false, nil
	}
	b, ok := d.warm.take(digest)
	if !ok {
		return false, nil
	}
	r := b.record
	r.Spec, r.Epoch = spec, epoch
	err := d.adopt(ctx, b, r)
	if err == nil {
		return true, nil
	}
	d.Log.Warn("warm computer not usable", "computer", string(spec.ID), "err", err)
	undo := context.WithoutCancel(ctx)
	if err := errors.Join(d.discard(undo, b.id, b.record), d.discard(undo, spec.ID, r)); err != nil {
		return false, fmt.Errorf("create %s: %w", spec.ID, err)
	}
	return false, ctx.Err() // a cold one can still be made
}

// adopt renames what a blank has and gives it its own limits and name. Its
// record is written last: until then the directory is nobody's.
func (d *Driver) adopt(ctx context.Context, b blank, r record) error {
	f, err := d.look(b.id, b.record)
	if err != nil {
		return err
	}
	if f.pid == 0 {
		return runtime.ErrNotRunning
	}
	if f.frozen {
		if err := d.Warden.Thaw(ctx, b.Container); err != nil {
			return err
		}
	}
	id := r.Spec.ID
	if err := rename(d.path(b.id, rootDir), r.Spec.Hostname, r.Range); err != nil {
		return err
	}
	if err := setHostname(f.pid, r.Spec.Hostname); err != nil {
		return err
	}
	want := r.Spec.Resources
	if err := d.cgroup(r).SetLimits(limitsOf(want)); err != nil {
		return err
	}
	d.guests.forget(b.id)
	if err := d.Pool.Rename(ctx, string(b.id), string(id)); err != nil {
		return err
	}
	if want.StorageBytes != b.Spec.Resources.StorageBytes {
		if err := d.Pool.SetQuota(ctx, string(id), want.StorageBytes); err != nil {
			return err
		}
	}
	if err := os.Rename(d.path(b.id), d.path(id)); err != nil {
		return err
	}
	return d.save(id, r)
}

// setHostname names a running computer from outside, on a thread that is
// thrown away because it cannot come back.
func setHostname(pid int, name string) error {
	done := make(chan error, 1)
	go func() {
		goruntime.LockOSThread()
		done <- func() error {
			ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/uts", pid))
			if err != nil {
				return err
			}
			defer ns.Close()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWUTS); err != nil {
				return fmt.Errorf("enter uts namespace: %w", err)
			}
			return unix.Sethostname([]byte(name))
		}()
	}()
	return <-done
}

// refill keeps the stock until the driver is closed.
func (d *Driver) refill() {
	if d.Warm == 0 && d.warm.count() == 0 {
		return
	}
	for pause := time.Duration(0); ; {
		select {
		case <-d.life.Done():
			return
		case <-time.After(pause):
		}
		made, err := d.refillOne(d.life)
		switch {
		case err != nil && d.life.Err() == nil:
			d.Log.Warn("warm computer not made", "err", err)
			pause = refillRetry
		case made:
			pause = refillPause
		default:
			pause = refillPause
			select {
			case <-d.life.Done():
				return
			case <-d.warm.kick:
			case <-time.After(refillLook):
			}
		}
	}
}

// refillOne makes a blank if one is missing and memory allows; under pressure
// it gives those there are back.
func (d *Driver) refillOne(ctx context.Context) (bool, error) {
	total, available, err := machineMemory()
	if err != nil {
		return false, err
	}
	if available < total/pressureShare {
		return false, d.trimWarm(ctx, 0)
	}
	if d.warm.count() >= d.Warm {
		return false, d.trimWarm(ctx, d.Warm)
	}
	digest, letGo, err := d.useImage(ctx, d.WarmImage)
	if err != nil {
		return false, err
	}
	defer letGo()
	b, err := d.makeBlank(ctx, digest)
	if err != nil {
		return false, err
	}
	d.warm.put(b)
	return true, nil
}

func (d *Driver) makeBlank(ctx context.Context, digest string) (blank, error) {
	id := runtime.ID(blankPrefix + uuid.NewString())
	spec := runtime.Spec{ID: id, Image: d.WarmImage, Hostname: "computer", Resources: runtime.Resources{
		MemoryBytes: defaultMemoryBytes, MilliCPU: defaultMilliCPU, StorageBytes: defaultStorageBytes, PIDs: defaultPIDs,
	}}
	r := record{Spec: spec, Container: string(id), Image: digest}
	// Not cut short by Close: a blank is whole or gone.
	ctx = context.WithoutCancel(ctx)
	err := d.make(ctx, &r, d.emptyDisk)
	if err == nil {
		err = d.boot(ctx, id, &r)
	}
	if err == nil {
		err = d.save(id, r)
	}
	if err != nil {
		return blank{}, errors.Join(err, d.discard(ctx, id, r))
	}
	return blank{id: id, record: r}, nil
}

// trimWarm removes blank computers until no more than keep are left.
func (d *Driver) trimWarm(ctx context.Context, keep int) error {
	for {
		b, ok := d.warm.spare(keep)
		if !ok {
			return nil
		}
		// Not cut short by Close: what is out of the stock must be gone.
		if err := d.discard(context.WithoutCancel(ctx), b.id, b.record); err != nil {
			d.warm.put(b)
			return err
		}
	}
}

// spare hands out the newest blank of more than keep.
func (w *warm) spare(keep int) (blank, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	last := len(w.ready) - 1
	if last < keep {
		return blank{}, false
	}
	b := w.ready[last]
	w.ready = w.ready[:last]
	return b, true
}
