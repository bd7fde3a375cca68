package container

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/warden"
)

const (
	// thawTries are made at once: a warden that dies is replaced at the next
	// word to it.
	thawTries = 3
	// retryThaw is how soon a thaw that failed so is tried again, and
	// maxRetryThaw how late: each wait is twice the one before.
	retryThaw    = 200 * time.Millisecond
	maxRetryThaw = 10 * time.Second
)

// standStill acts while the computer stands still, and reports for how long it
// did: 0 when it does not run or stood still before, which it then still does.
// A mark in its directory says meanwhile that nobody wished it to stand, so
// that it goes on even if this process does not.
//
// The caller holds the computer's lock.
func (d *Driver) standStill(id runtime.ID, r record, act func() error) (still time.Duration, err error) {
	f, err := d.look(id, r)
	if err != nil {
		return 0, err
	}
	if f.pid == 0 || f.frozen {
		return 0, act()
	}
	// Not synced: if the machine is lost, nothing is left to go on.
	if err := os.WriteFile(d.path(id, stillFile), nil, 0o600); err != nil {
		return 0, err
	}
	d.reach("marked")
	begun := time.Now()
	defer func() {
		thawErr := d.letGo(id, r)
		still = time.Since(begun)
		if thawErr != nil {
			err = errors.Join(err, thawErr)
			d.tellStuck()
		}
	}()
	// No caller's end cuts this short: a freeze that nobody waits for may come
	// after the thaw.
	if err := d.Warden.Freeze(context.Background(), r.Container); err != nil {
		return 0, err
	}
	d.reach("frozen")
	return 0, act()
}

// letGo ends what standStill began. Past the warden's deadline the computer
// stands still with all others, until it is thawed as they are.
func (d *Driver) letGo(id runtime.ID, r record) error {
	var err error
	for range thawTries {
		err = d.Warden.Thaw(context.Background(), r.Container)
		if err == nil || errors.Is(err, warden.ErrFenced) {
			return d.unmarkStill(id)
		}
	}
	return fmt.Errorf("let %s go on: %w", id, err)
}

// told is how a caller's freeze or thaw ended. From then on the computer stands or
// goes because somebody said so, or stands with all others; after another failure
// what a snapshot left standing is still let go.
func (d *Driver) told(id runtime.ID, err error) error {
	if err == nil || errors.Is(err, warden.ErrFenced) {
		return errors.Join(err, d.unmarkStill(id))
	}
	return err
}

func (d *Driver) unmarkStill(id runtime.ID) error {
	if err := os.Remove(d.path(id, stillFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (d *Driver) tellStuck() {
	select {
	case d.stuck <- struct{}{}:
	default:
	}
}

// releaseStuck lets computers go on whose thaw failed, until the driver is
// closed.
func (d *Driver) releaseStuck() {
	for {
		select {
		case <-d.life.Done():
			return
		case <-d.stuck:
		}
		wait := retryThaw
		for !d.letGoAll(d.life) {
			select {
			case <-d.life.Done():
				return
			case <-d.stuck: // one more, which need not wait as long
				wait = retryThaw
			case <-time.After(wait):
				wait = min(2*wait, maxRetryThaw)
			}
		}
	}
}

// letGoAll lets every computer go on that a snapshot left standing, and
// reports whether none is left.
func (d *Driver) letGoAll(ctx context.Context) bool {
	ids, err := d.ids()
	if err != nil {
		d.Log.Error("let computers go on", "err", err)
		return false
	}
	all := true
	for _, id := range ids {
		if err := d.letGoMarked(ctx, id); err != nil {
			d.Log.Error("a computer stands still after a snapshot", "computer", string(id), "err", err)
			all = false
		}
	}
	return all
}

func (d *Driver) letGoMarked(ctx context.Context, id runtime.ID) error {
	marked := func() bool {
		_, err := os.Lstat(d.path(id, stillFile))
		return err == nil
	}
	if !marked() {
		return nil
	}
	release, err := d.locks.take(ctx, string(id))
	if err != nil {
		return err
	}
	defer release()
	r, err := d.load(id)
	if errors.Is(err, runtime.ErrNotFound) || err == nil && !marked() {
		return nil // gone, or let go meanwhile
	}
	if err != nil {
		return err
	}
	return d.letGo(id, r)
}

func (d *Driver) reach(step string) {
	if d.reached != nil {
		d.reached(step)
	}
}
