package container

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/warden/cgroup"
)

// fact is what the kernel says of a computer.
type fact struct {
	pid    int // of the first process, 0 when there is none
	frozen bool
}

// cgroup is the computer's own group.
func (d *Driver) cgroup(r record) cgroup.Group { return d.group.Child(r.Container) }

// look asks the kernel. The pid file alone proves nothing, since numbers are
// used again; a living process of that number inside the computer's own cgroup
// that is the first of its namespace does.
func (d *Driver) look(id runtime.ID, r record) (fact, error) {
	data, err := os.ReadFile(d.path(id, pidFile))
	if errors.Is(err, os.ErrNotExist) {
		return fact{}, nil
	}
	if err != nil {
		return fact{}, fmt.Errorf("look at %s: %w", id, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid <= 1 {
		return fact{}, nil // cut short by a crash
	}
	group := d.cgroup(r)
	if !group.Contains(pid) || !isFirst(pid) {
		return fact{}, nil
	}
	frozen, err := group.Frozen()
	return fact{pid: pid, frozen: frozen}, err
}

// isFirst says whether a process lives and is pid 1 of its own namespace.
func isFirst(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	first := false
	for line := range bytes.Lines(data) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		fields := bytes.Fields(value)
		switch {
		case string(key) == "State" && len(fields) > 0 && (fields[0][0] == 'Z' || fields[0][0] == 'X'):
			return false
		case string(key) == "NSpid":
			first = len(fields) == 2 && string(fields[1]) == "1"
		}
	}
	return first
}

func (r record) phase(f fact) runtime.Phase {
	switch {
	case !r.Started:
		return runtime.Created // a warm one may already have a process
	case f.pid == 0:
		return runtime.Stopped
	case f.frozen:
		return runtime.Frozen
	}
	return runtime.Running
}

func (d *Driver) status(id runtime.ID, r record) (runtime.Status, error) {
	f, err := d.look(id, r)
	if err != nil {
		return runtime.Status{}, err
	}
	st := runtime.Status{
		ID: id, Epoch: r.Epoch, Phase: r.phase(f), Spec: r.Spec, Image: r.Image,
		Fresh: !r.Started && !r.Spec.Begun(), Bared: r.Bared,
	}
	if st.Phase == runtime.Running || st.Phase == runtime.Frozen {
		st.PID, st.StartedAt = f.pid, r.StartedAt
	}
	return st, nil
}

// Inspect implements runtime.Driver. It takes no lock: the record is replaced
// whole and the rest is asked of the kernel.
func (d *Driver) Inspect(_ context.Context, id runtime.ID) (runtime.Status, error) {
	r, err := d.load(id)
	if err != nil {
		return runtime.Status{}, err
	}
	if isBlank(id) {
		return runtime.Status{}, fmt.Errorf("%s: %w", id, runtime.ErrNotFound)
	}
	return d.status(id, r)
}

// List implements runtime.Driver. Blank computers are nobody's and not in it.
func (d *Driver) List(ctx context.Context) ([]runtime.Status, error) {
	ids, err := d.ids()
	if err != nil {
		return nil, err
	}
	var out []runtime.Status
	for _, id := range ids {
		if isBlank(id) {
			continue
		}
		st, err := d.Inspect(ctx, id)
		if errors.Is(err, runtime.ErrNotFound) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		out = append(out, st)
	}
	return out, nil
}

// ids are the names of all directories, blank and half-made ones included.
func (d *Driver) ids() ([]runtime.ID, error) {
	entries, err := os.ReadDir(d.computers())
	if err != nil {
		return nil, fmt.Errorf("list computers: %w", err)
	}
	var out []runtime.ID
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, runtime.ID(e.Name()))
		}
	}
	return out, nil
}

// rest makes sure that a computer does not run and that its layer is one of its
// image, as whoever works on that needs. A blank that became this computer and
// that nobody has started yet is ended for it; one that was started is
// runtime.ErrInvalid.
func (d *Driver) rest(ctx context.Context, id runtime.ID, r *record) error {
	f, err := d.look(id, *r)
	switch {
	case err != nil:
		return err
	case f.pid == 0:
		return d.bare(ctx, id, r)
	case r.Started:
		return fmt.Errorf("%w: it runs", runtime.ErrInvalid)
	}
	return d.dismantle(ctx, id, *r)
}
