package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/idmap"
	"github.com/bothy-computer/bothy/runtime/image"
	"github.com/bothy-computer/bothy/runtime/meter"
	"github.com/bothy-computer/bothy/runtime/network"
	"github.com/bothy-computer/bothy/runtime/volume"
	"github.com/bothy-computer/bothy/runtime/warden"
	"github.com/bothy-computer/bothy/runtime/warden/cgroup"
)

var (
	_ runtime.Driver     = (*Driver)(nil)
	_ runtime.Execer     = (*Driver)(nil)
	_ runtime.Guester    = (*Driver)(nil)
	_ runtime.Dialer     = (*Driver)(nil)
	_ runtime.Listener   = (*Driver)(nil)
	_ runtime.Shelver    = (*Driver)(nil)
	_ runtime.Thawer     = (*Driver)(nil)
	_ runtime.Networker  = (*Driver)(nil)
	_ runtime.Resizer    = (*Driver)(nil)
	_ runtime.Rebaser    = (*Driver)(nil)
	_ runtime.Pauser     = (*Driver)(nil)
	_ runtime.Displayer  = (*Driver)(nil)
	_ runtime.Meterer    = (*Driver)(nil)
	_ runtime.Imager     = (*Driver)(nil)
	_ runtime.Workspacer = (*Driver)(nil)
	_ runtime.Sizer      = (*Driver)(nil)

	_ runtime.Snapshotter = (*Driver)(nil)
	_ runtime.Saver       = (*Driver)(nil)
	_ runtime.Mover       = (*Driver)(nil)
	_ runtime.Distributor = (*Driver)(nil)

	_ runtime.ImageSweeper = (*Driver)(nil)
)

// Images is what computers are made of; image.Store is one.
type Images interface {
	imageExchange
	Resolve(ctx context.Context, name string) (digest string, err error)
	Layers(ctx context.Context, digest string) ([]image.Layer, error)
	List(ctx context.Context) ([]image.Info, error)
	Info(ctx context.Context, digest string) (image.Info, error)
	Commit(ctx context.Context, c image.Change) (digest string, err error)
	// Use keeps an image from being swept until release.
	Use(ctx context.Context, digest string) (release func(), err error)
	Sweep(ctx context.Context, keep image.Sweeping) (int, error)
	Remove(ctx context.Context, name string) error
}

// imageExchange is how images come and go.
type imageExchange interface {
	Describe(ctx context.Context, digest string) (image.Manifest, error)
	WriteLayer(ctx context.Context, id string, offset int64, to io.Writer) error
	Fetch(ctx context.Context, digest string, from runtime.ImageSource) error
	Name(ctx context.Context, name, digest string) error
	// Makes reports whether a name is one that the store makes an image for.
	Makes(name string) bool
	Import(ctx context.Context, from io.Reader) (runtime.Brought, error)
	Pull(ctx context.Context, p runtime.Pull) (runtime.Brought, error)
	Export(ctx context.Context, digest, name string, to io.Writer) error
}

// Options say where computers live and what they stand on. All fields but
// those of the second group are required.
type Options struct {
	Dir    string // this node's own; every directory above it must be o+x
	NodeID string // the node's uuid, which names its cgroup and its links
	Images Images
	Pool   *volume.Pool
	Warden *warden.Client
	Log    *slog.Logger

	Warm      int              // blank computers kept ready, at most MaxWarm; 0 for none
	WarmImage string           // of this image; "" means "host"
	GuestPath string           // path of the guest's static binary; "" means the embedded one
	RangeDir  string           // where the nodes of this machine share out user ids; "" means idmap.DefaultDir
	Servers   []netip.AddrPort // name servers asked for computers; none means the machine's own
	Saves     Saves            // nil: disks are on this machine alone
	Inbox     Inbox            // nil: none comes from other machines
	Metrics   Registerer       // nil for none
	Now       func() time.Time // nil means time.Now
}

// Driver runs computers with runc. Make one with Open.
type Driver struct {
	Options
	runc    string // path of the binary
	guest   string // path of the unpacked guest
	tree    cgroup.Tree
	group   cgroup.Group // of this node
	net     *network.Network
	book    *meter.Book
	guests  *guests
	io      *throttle // nil where the disk cannot be throttled
	locks   locks
	warm    *warm
	metrics *metrics
	mend    []string // what this machine lacks
	stuck   chan struct{}
	reached func(step string) // tells a test how far a call is; nil elsewhere

	life  context.Context
	end   context.CancelFunc
	aside sync.WaitGroup
}

// Open takes up the directory: computers that run go on untouched, and what an
// earlier node left half-made is cleared away.
func Open(o Options) (*Driver, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	d := &Driver{Options: o, locks: locks{held: map[string]*lock{}}, stuck: make(chan struct{}, 1)}
	d.life, d.end = context.WithCancel(context.Background())
	for _, step := range []func() error{d.makeDirs, d.findMachine, d.openParts, d.recover} {
		if err := step(); err != nil {
			d.end()
			return nil, fmt.Errorf("open container driver: %w", err)
		}
	}
	d.aside.Go(d.sample)
	d.aside.Go(d.refill)
	d.aside.Go(d.releaseStuck)
	d.aside.Go(d.takeUpEgress)
	return d, nil
}

func (o *Options) check() error {
	if o.Dir == "" || o.NodeID == "" || o.Images == nil || o.Pool == nil || o.Warden == nil || o.Log == nil {
		return fmt.Errorf("open container driver: %w: a required option is missing", runtime.ErrInvalid)
	}
	if o.Warm < 0 || o.Warm > MaxWarm {
		return fmt.Errorf("open container driver: %w: warm is 0 to %d", runtime.ErrInvalid, MaxWarm)
	}
	if o.RangeDir == "" {
		o.RangeDir = idmap.DefaultDir
	}
	if o.WarmImage == "" {
		o.WarmImage = "host"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

func (d *Driver) findMachine() (err error) {
	if d.runc, err = exec.LookPath("runc"); err != nil {
		return fmt.Errorf("%w: runc is not installed (apt-get install runc)", runtime.ErrUnsupported)
	}
	if d.tree, err = cgroup.Detect(); err != nil {
		return err
	}
	d.group = warden.Group(d.tree, d.NodeID)
	d.io, err = findThrottle(d.Dir)
	if err != nil {
		d.mend = append(d.mend, "no disk bandwidth limits: "+err.Error())
	}
	return reachable(d.Dir)
}

func (d *Driver) openParts() (err error) {
	if d.guest, err = unpackGuest(d.Dir, d.GuestPath); err != nil {
		return err
	}
	if d.book, err = meter.Open(filepath.Join(d.Dir, "meter.json")); err != nil {
		return err
	}
	if d.guests, err = openGuests(d.computers()); err != nil {
		return err
	}
	d.net, err = network.Open(network.Options{Node: d.NodeID, Servers: d.Servers, Log: d.Log})
	d.warm = newWarm()
	d.metrics = newMetrics(d.Metrics, d)
	return err
}

// Close lets go of the directory and leaves computers running.
func (d *Driver) Close() error {
	d.end()
	d.aside.Wait()
	return errors.Join(d.book.Save(), d.guests.close(), d.net.Close())
}

// Banner is what an operator is told when a node starts.
type Banner struct {
	Can     []string // abilities, such as "exec"
	Missing []string // what this machine lacks, and how to mend it
}

// Abilities reports what computers of this machine can do.
func (d *Driver) Abilities() Banner {
	b := Banner{
		Can: []string{
			"runc in user namespaces", "limits by " + d.tree.String(), "exec", "pause", "resize", "egress", "meter",
		},
		Missing: d.mend,
	}
	if d.Pool.Quota() {
		b.Can = append(b.Can, "storage quota")
	} else {
		b.Missing = append(b.Missing, "no hard storage limits: the volume pool is not btrfs")
	}
	if err := d.Pool.CanSnapshot(); err == nil {
		b.Can = append(b.Can, "snapshots")
	} else {
		b.Missing = append(b.Missing, err.Error())
	}
	if d.Saves != nil {
		b.Can = append(b.Can, "saves in "+d.Saves.String())
	}
	if d.Warm > 0 {
		b.Can = append(b.Can, fmt.Sprintf("%d warm computers of %s", d.Warm, d.WarmImage))
	}
	return b
}

// reachable checks that a computer's root, who is nobody here, may walk to
// its own root directory.
func reachable(dir string) error {
	if strings.ContainsAny(dir, ":,\\") {
		return fmt.Errorf("%w: the data directory %s may not contain : , or \\, which overlay mounts take as marks", runtime.ErrUnsupported, dir)
	}
	for dir = filepath.Clean(dir); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o001 == 0 {
			return fmt.Errorf("%w: %s must be passable for computers: chmod o+x %s", runtime.ErrUnsupported, dir, dir)
		}
		if dir == "/" {
			return nil
		}
	}
}
