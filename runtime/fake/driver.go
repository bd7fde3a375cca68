package fake

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/runtime"
)

// Options is what a Driver is made of. The zero value is a machine without
// bounds, alone in its world.
type Options struct {
	Node   string  // its name in the World's history; "" is "node"
	World  *World  // nil is a new one
	Script *Script // nil is a new one
	// Dir holds the workspaces, such as t.TempDir(). "" means that there are
	// none: Workspace is runtime.ErrUnsupported.
	Dir string
	// Local lets commands really run on this machine; it needs Dir.
	Local bool
	// Room bounds the machine. Zero sizes are no bound; no Images is any.
	Room runtime.Capacity
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Driver is one machine. It may be used by many goroutines.
type Driver struct {
	opts Options

	mu        sync.Mutex
	computers map[runtime.ID]*computer
	memory    map[runtime.ID]int64 // bytes that running computers hold
	snapshots map[runtime.Source]snapshot
	saved     map[runtime.ID]mark // of computers, as they were last saved or restored here
	sent      map[runtime.Save]arrival
	images    map[string]string // digests by name and by themselves, besides those of Room: made here, or brought
	archives  map[string][]byte // of imported and pulled images, by digest
	holds     map[string]int    // of those, how many hold each
	pulls     PullFunc
	programs  map[string]bool // that are shelved
	nextPID   int
}

// New makes a machine without computers.
func New(opts Options) *Driver {
	if opts.Node == "" {
		opts.Node = "node"
	}
	if opts.World == nil {
		opts.World = NewWorld()
	}
	if opts.Script == nil {
		opts.Script = &Script{}
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Driver{opts: opts, computers: make(map[runtime.ID]*computer), memory: make(map[runtime.ID]int64),
		snapshots: make(map[runtime.Source]snapshot), saved: make(map[runtime.ID]mark), sent: make(map[runtime.Save]arrival), images: make(map[string]string),
		archives: make(map[string][]byte), holds: make(map[string]int), programs: make(map[string]bool), nextPID: 1000}
}

// World is where the driver's calls are noted.
func (d *Driver) World() *World { return d.opts.World }

// Script is what the driver follows.
func (d *Driver) Script() *Script { return d.opts.Script }

// Create implements runtime.Driver.
func (d *Driver) Create(ctx context.Context, epoch runtime.Epoch, spec runtime.Spec) error {
	return d.call(ctx, Call{Op: Create, ID: spec.ID, Epoch: epoch}, func() error {
		if err := d.admit(spec); err != nil {
			return err
		}
		var err error
		if spec.Egress, err = runtime.ParseEgress(spec.Egress.Allowed, spec.Egress.Allow, spec.Egress.Deny); err != nil {
			return err
		}
		c := d.lockOrMake(spec.ID)
		defer c.mu.Unlock()
		if err := c.enter(epoch); err != nil {
			return err
		}
		if c.exists {
			return nil
		}
		if err := d.begin(&spec); err != nil {
			return err
		}
		saved := spec.Restored() != (runtime.Save{})
		c.exists, c.phase, c.spec = true, runtime.Created, spec
		c.fresh = spec.From == (runtime.Source{}) && !saved
		c.bared = saved && imageOf(spec) != d.savedImage(spec)
		return nil
	})
}

// admit checks what a spec asks of this machine.
func (d *Driver) admit(spec runtime.Spec) error {
	if spec.ID == "" || strings.ContainsAny(string(spec.ID), "/\x00") || strings.HasPrefix(string(spec.ID), ".") {
		return fmt.Errorf("%w: %q is no computer's id", runtime.ErrInvalid, spec.ID)
	}
	if spec.From != (runtime.Source{}) && !snapshotNames.MatchString(spec.From.Name) {
		return fmt.Errorf("%w: %.40q names no snapshot", runtime.ErrInvalid, spec.From.Name)
	}
	begins := spec.From != (runtime.Source{})
	if of := spec.Restored(); of != (runtime.Save{}) {
		if begins || spec.Saved != (runtime.Save{}) && spec.Sent != (runtime.Save{}) || !snapshotNames.MatchString(of.Name) {
			return fmt.Errorf("%w: a disk begins as one snapshot or one save, by its name", runtime.ErrInvalid)
		}
		begins = true
	}
	if (spec.Image != "" || !begins) && !d.has(spec.Image) {
		return fmt.Errorf("%w: %s", runtime.ErrNoImage, spec.Image)
	}
	return nil
}

func (d *Driver) has(image string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	images := d.opts.Room.Images
	return len(images) == 0 || slices.Contains(images, image) || d.images[image] != ""
}

// AddImage has the machine hold one more image.
func (d *Driver) AddImage(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.images[name] = digestOf(name)
}

// Start implements runtime.Driver.
func (d *Driver) Start(ctx context.Context, epoch runtime.Epoch, id runtime.ID) error {
	return d.change(ctx, Call{Op: Start, ID: id, Epoch: epoch}, func(c *computer) error {
		if c.phase == runtime.Running || c.phase == runtime.Frozen {
			return nil
		}
		if err := d.reserve(id, c.spec.Resources.MemoryBytes); err != nil {
			return err
		}
		c.startedAt, c.fresh, c.pid = d.opts.Now(), false, d.pid()
		c.written++
		c.life, c.end = context.WithCancel(context.Background())
		d.turn(c, runtime.Running)
		return nil
	})
}

// Stop implements runtime.Driver. Commands in progress end as killed.
func (d *Driver) Stop(ctx context.Context, epoch runtime.Epoch, id runtime.ID, _ time.Duration) error {
	return d.change(ctx, Call{Op: Stop, ID: id, Epoch: epoch}, func(c *computer) error {
		d.halt(c)
		return nil
	})
}

// Remove implements runtime.Driver.
func (d *Driver) Remove(ctx context.Context, epoch runtime.Epoch, id runtime.ID) error {
	err := d.change(ctx, Call{Op: Remove, ID: id, Epoch: epoch}, func(c *computer) error {
		d.halt(c)
		if d.opts.Dir != "" {
			if err := os.RemoveAll(d.workspace(id)); err != nil {
				return fmt.Errorf("remove workspace: %w", err)
			}
		}
		c.exists = false
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.computers, id)
		return nil
	})
	if errors.Is(err, runtime.ErrNotFound) {
		return nil
	}
	return err
}

// Inspect implements runtime.Driver.
func (d *Driver) Inspect(ctx context.Context, id runtime.ID) (runtime.Status, error) {
	var status runtime.Status
	err := d.look(ctx, Call{Op: Inspect, ID: id}, func(c *computer) error {
		status = c.status()
		return nil
	})
	return status, err
}

// List implements runtime.Driver; the answer is sorted by id.
func (d *Driver) List(ctx context.Context) ([]runtime.Status, error) {
	var list []runtime.Status
	err := d.call(ctx, Call{Op: List}, func() error {
		for _, c := range d.all() {
			c.mu.Lock()
			if c.exists {
				list = append(list, c.status())
			}
			c.mu.Unlock()
		}
		return nil
	})
	return list, err
}

func (d *Driver) workspace(id runtime.ID) string { return filepath.Join(d.opts.Dir, string(id)) }

func (d *Driver) pid() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.nextPID++
	return d.nextPID
}
