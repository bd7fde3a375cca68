package fake

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/bothy-computer/bothy/runtime"
)

// reserve takes memory for a running computer, or runtime.ErrFull.
func (d *Driver) reserve(id runtime.ID, bytes int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if all := d.opts.Room.MemoryBytes; all > 0 && d.takenBytes()-d.memory[id]+bytes > all {
		return fmt.Errorf("%w: %d bytes of memory are asked for, %d are free", runtime.ErrFull, bytes, all-d.takenBytes())
	}
	d.memory[id] = bytes
	return nil
}

func (d *Driver) release(id runtime.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.memory, id)
}

// takenBytes is what running computers hold; the caller holds mu.
func (d *Driver) takenBytes() (sum int64) {
	for _, bytes := range d.memory {
		sum += bytes
	}
	return sum
}

// Capacity implements runtime.Sizer.
func (d *Driver) Capacity(ctx context.Context) (runtime.Capacity, error) {
	var room runtime.Capacity
	err := d.call(ctx, Call{Op: Capacity}, func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		room = d.opts.Room
		room.Images = slices.Clone(room.Images)
		room.MemoryFree = max(0, room.MemoryBytes-d.takenBytes())
		room.StorageFree = room.StorageBytes
		return nil
	})
	return room, err
}

// ListImages implements runtime.Imager: those of the room, and those that
// were made here or brought.
func (d *Driver) ListImages(context.Context) ([]runtime.Image, error) {
	var all []runtime.Image
	d.mu.Lock()
	for name, digest := range d.images {
		if name != digest {
			all = append(all, runtime.Image{Name: name, Digest: digest, State: "active"})
		}
	}
	d.mu.Unlock()
	for _, name := range d.opts.Room.Images {
		all = append(all, runtime.Image{Name: name, Digest: "sha256:" + name, State: "active", BuiltIn: true})
	}
	return all, nil
}

// Usage implements runtime.Meterer. A fake computer uses what SetUsage says.
func (d *Driver) Usage(ctx context.Context, id runtime.ID) (runtime.Usage, error) {
	var usage runtime.Usage
	err := d.look(ctx, Call{Op: Usage, ID: id}, func(c *computer) error {
		usage = c.usage
		return nil
	})
	return usage, err
}

// SetUsage says what Usage answers from now on.
func (d *Driver) SetUsage(id runtime.ID, usage runtime.Usage) error {
	c, err := d.lock(id)
	if err != nil {
		return err
	}
	defer c.mu.Unlock()
	c.usage = usage
	return nil
}

// Egress tells which connections a computer may open to the outside.
func (d *Driver) Egress(id runtime.ID) (runtime.Egress, error) {
	c, err := d.lock(id)
	if err != nil {
		return runtime.Egress{}, err
	}
	defer c.mu.Unlock()
	return c.spec.Egress, nil
}

// Workspace implements runtime.Workspacer: a real directory, owned by the
// user of the test.
func (d *Driver) Workspace(ctx context.Context, epoch runtime.Epoch, id runtime.ID) (runtime.WorkspaceRoot, error) {
	var root runtime.WorkspaceRoot
	err := d.change(ctx, Call{Op: Workspace, ID: id, Epoch: epoch}, func(*computer) error {
		if d.opts.Dir == "" {
			return fmt.Errorf("%w: the fake driver was made without a directory", runtime.ErrUnsupported)
		}
		root = runtime.WorkspaceRoot{Path: d.workspace(id), UID: os.Getuid(), GID: os.Getgid()}
		return nil
	})
	return root, err
}
