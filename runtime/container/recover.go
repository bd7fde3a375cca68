package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/idmap"
	"github.com/bothy-computer/bothy/runtime/warden"
)

// recover takes blank computers that still run into the stock and clears away
// what an earlier node was in the middle of. It never touches a computer that
// has a record of its own. Past the warden's deadline nothing frozen can be
// ended, so the clearing is then left to Sweep.
func (d *Driver) recover() error {
	if err := d.awaitQuiet(); err != nil {
		return err
	}
	if err := errors.Join(d.clearHalfShelved(), d.clearIndexes()); err != nil {
		return err
	}
	ids, err := d.ids()
	if err != nil {
		return err
	}
	st, err := d.Warden.Status(d.life)
	if err != nil {
		return err
	}
	if !d.letGoAll(d.life) {
		d.tellStuck()
	}
	for _, id := range ids {
		switch {
		case isBlank(id):
			err = d.keepBlank(id)
		case !st.Fenced:
			err = d.clearHalf(d.life, id)
		}
		if err != nil {
			d.Log.Warn("left for the next sweep", "computer", string(id), "err", err)
		}
	}
	return d.recoverVolumes()
}

// clearHalf removes a directory whose create or claim never ended.
func (d *Driver) clearHalf(ctx context.Context, id runtime.ID) error {
	release, err := d.locks.take(ctx, string(id))
	if err != nil {
		return err
	}
	defer release()
	r, err := d.load(id)
	switch {
	case errors.Is(err, runtime.ErrNotFound):
		return d.clear(ctx, id)
	case err == nil && r.Spec.ID != id:
		return d.discard(ctx, id, r)
	}
	return err
}

// awaitQuiet waits for what an earlier node still had the warden run, such as
// half of a start.
func (d *Driver) awaitQuiet() error {
	for deadline := d.Now().Add(runcTime); ; {
		st, err := d.Warden.Status(d.life)
		if err != nil || st.Running == 0 {
			return err
		}
		if d.Now().After(deadline) {
			return fmt.Errorf("the warden is busy with %d commands of an earlier node", st.Running)
		}
		time.Sleep(lookEvery)
	}
}

// keepBlank takes a blank into the stock if it runs. More than are wanted are
// given back by refill.
func (d *Driver) keepBlank(id runtime.ID) error {
	r, err := d.load(id)
	if errors.Is(err, runtime.ErrNotFound) {
		return d.clear(d.life, id)
	}
	if err != nil {
		return err
	}
	f, err := d.look(id, r)
	if err != nil {
		return err
	}
	if _, ok := d.Pool.Path(string(id)); !ok || f.pid == 0 {
		return d.discard(d.life, id, r)
	}
	d.warm.put(blank{id: id, record: r})
	return nil
}

// recoverVolumes removes blank volumes whose directory is gone.
func (d *Driver) recoverVolumes() error {
	volumes, err := d.Pool.List()
	if err != nil {
		return err
	}
	for _, name := range volumes {
		if !isBlank(runtime.ID(name)) {
			continue
		}
		if _, err := os.Stat(d.path(runtime.ID(name))); errors.Is(err, os.ErrNotExist) {
			if err := d.Pool.Remove(d.life, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// Sweep removes what carries this node's uuid and belongs to no computer that
// known says yes to: computers that were never wholly made, computers not known,
// then containers, cgroups, links and id ranges that have no computer at all. It reports the computers it removed.
// Blank computers are left.
func (d *Driver) Sweep(ctx context.Context, known func(runtime.ID) bool) ([]runtime.ID, error) {
	ids, err := d.ids()
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if isBlank(id) {
			continue
		}
		if err := d.clearHalf(ctx, id); err != nil {
			return nil, fmt.Errorf("sweep: %w", err)
		}
	}
	all, err := d.List(ctx)
	if err != nil {
		return nil, err
	}
	var removed []runtime.ID
	for _, st := range all {
		if known(st.ID) {
			continue
		}
		if err := d.Remove(ctx, st.Epoch, st.ID); err != nil {
			return removed, fmt.Errorf("sweep: %w", err)
		}
		removed = append(removed, st.ID)
	}
	if err := d.sweepOrphans(ctx); err != nil {
		return removed, fmt.Errorf("sweep: %w", err)
	}
	return removed, nil
}

// sweepOrphans compares by name what the machine has with what directories
// claim. The lists of the machine are read first: whatever is made meanwhile
// has its directory already.
func (d *Driver) sweepOrphans(ctx context.Context) error {
	groups, err := d.group.Children()
	if err != nil {
		return err
	}
	ranges, err := idmap.List(d.RangeDir)
	if err != nil {
		return err
	}
	ids, err := d.ids()
	if err != nil {
		return err
	}
	owned := map[string]bool{}
	for _, id := range ids {
		owned[string(id)] = true // half-made ones too
		if r, err := d.load(id); err == nil {
			owned[r.Container] = true
		}
	}
	var errs []error
	for _, name := range groups {
		if !owned[name] {
			errs = append(errs, d.sweepContainer(ctx, name))
		}
	}
	for name := range ranges {
		container, ours := strings.CutPrefix(name, d.NodeID+".")
		if ours && !owned[container] {
			errs = append(errs, idmap.Release(d.RangeDir, name))
		}
	}
	return errors.Join(append(errs, d.sweepLinks())...)
}

// sweepLinks reads the records only once it is asked, after the links.
func (d *Driver) sweepLinks() error {
	links := sync.OnceValues(func() (map[int]bool, error) {
		ids, err := d.ids()
		used := map[int]bool{}
		for _, id := range ids {
			if r, err := d.load(id); err == nil {
				used[linkOf(r)] = true
			}
		}
		return used, err
	})
	return d.net.Sweep(func(index int) bool {
		used, err := links()
		return err != nil || used[index]
	})
}

func (d *Driver) sweepContainer(ctx context.Context, name string) error {
	group := d.group.Child(name)
	if err := group.Kill(ctx); err != nil {
		return err
	}
	// Its exit code says that there was nothing to delete, which is as well.
	_, err := d.Warden.Run(ctx, warden.Command{
		Argv: []string{d.runc, "--root", d.runcRoot(), "delete", "--force", name}, Timeout: runcTime,
	})
	return errors.Join(err, group.Remove())
}
