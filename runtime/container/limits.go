package container

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/volume"
	"github.com/bothy-computer/bothy/runtime/warden/cgroup"
)

// What a computer gets when its spec does not say.
const (
	defaultMemoryBytes  = 2 << 30
	defaultMilliCPU     = 1000
	defaultStorageBytes = 10 << 30
	defaultPIDs         = 1024
)

// The least that a guest and a shell run in, and the most that makes sense.
const (
	minMemoryBytes  = 16 << 20
	minMilliCPU     = 10
	minStorageBytes = 1 << 20
	minPIDs         = 16
	maxPIDs         = 1 << 20
)

// maxHostname is what the kernel takes.
const maxHostname = 63

// checkSpec fills in defaults and refuses what cannot run.
func checkSpec(s *runtime.Spec) error {
	if err := checkID(s.ID); err != nil {
		return err
	}
	if isBlank(s.ID) {
		return fmt.Errorf("%w: ids that begin with %s are the driver's own", runtime.ErrInvalid, blankPrefix)
	}
	if s.Hostname == "" {
		s.Hostname = "computer"
	}
	legal := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.'
	}
	if len(s.Hostname) > maxHostname || strings.ContainsFunc(s.Hostname, func(c rune) bool { return !legal(c) }) {
		return fmt.Errorf("%w: %.80q is no host name", runtime.ErrInvalid, s.Hostname)
	}
	var err error
	if s.Egress, err = checkEgress(s.Egress); err != nil {
		return err
	}
	begins := 0
	for _, of := range []runtime.Source{s.From, runtime.Source(s.Saved), runtime.Source(s.Sent)} {
		if of != (runtime.Source{}) {
			begins++
			err = errors.Join(err, checkID(of.Computer), volume.CheckName(of.Name))
		}
	}
	switch {
	case begins > 1:
		err = fmt.Errorf("%w: a disk begins as a snapshot, as a save or as it was sent, as one of them", runtime.ErrInvalid)
	case s.Image == "" && !s.Begun():
		s.Image = "host"
	}
	if err != nil {
		return err
	}
	s.Resources, err = complete(s.Resources, runtime.Resources{
		MemoryBytes: defaultMemoryBytes, MilliCPU: defaultMilliCPU, StorageBytes: defaultStorageBytes, PIDs: defaultPIDs,
	})
	return err
}

// complete takes what r leaves open from base and checks the bounds.
func complete(r, base runtime.Resources) (runtime.Resources, error) {
	for _, f := range []struct {
		name       string
		value      *int64
		base       int64
		least, max int64
	}{
		{"memory", &r.MemoryBytes, base.MemoryBytes, minMemoryBytes, 1 << 50},
		{"cpu", &r.MilliCPU, base.MilliCPU, minMilliCPU, 1 << 30},
		{"storage", &r.StorageBytes, base.StorageBytes, minStorageBytes, 1 << 60},
		{"pids", &r.PIDs, base.PIDs, minPIDs, maxPIDs},
	} {
		if *f.value == 0 {
			*f.value = f.base
		}
		if *f.value < f.least || *f.value > f.max {
			return r, fmt.Errorf("%w: %s is %d, outside %d to %d", runtime.ErrInvalid, f.name, *f.value, f.least, f.max)
		}
	}
	return r, nil
}

// Resize implements runtime.Resizer. Zero fields stay as they are. A memory
// limit below what is in use fails, and the others are then left unchanged.
func (d *Driver) Resize(ctx context.Context, epoch runtime.Epoch, id runtime.ID, want runtime.Resources) error {
	r, release, err := d.admit(ctx, epoch, id)
	if err != nil {
		return err
	}
	defer release()
	if want, err = complete(want, r.Spec.Resources); err != nil {
		return err
	}
	if err := d.setLimits(ctx, id, r, want); err != nil {
		return fmt.Errorf("resize %s: %w", id, err)
	}
	r.Spec.Resources = want
	return d.save(id, r)
}

// setLimits applies limits to the volume and, while it runs, to the cgroup.
func (d *Driver) setLimits(ctx context.Context, id runtime.ID, r record, want runtime.Resources) error {
	f, err := d.look(id, r)
	if err != nil {
		return err
	}
	if f.pid != 0 {
		if err := d.cgroup(r).SetLimits(limitsOf(want)); err != nil {
			return err
		}
	}
	if want.StorageBytes == r.Spec.Resources.StorageBytes {
		return nil
	}
	return d.Pool.SetQuota(ctx, string(id), d.quota(r, want.StorageBytes))
}

func limitsOf(r runtime.Resources) cgroup.Limits {
	return cgroup.Limits{MemoryBytes: r.MemoryBytes, MilliCPU: r.MilliCPU, PIDs: r.PIDs}
}
