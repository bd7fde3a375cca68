package volume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// DefaultSizeBytes is how large a pool begins.
	DefaultSizeBytes = 4 << 30
	// DefaultGrowBytes is by how much a pool grows at a time.
	DefaultGrowBytes = 4 << 30
	// DiskReserveBytes of the disk under a pool are never taken for it: the
	// node's log and store live there too.
	DiskReserveBytes = 2 << 30
	// LowWaterBytes is how little free room makes Create and snapshots refuse. In pools
	// smaller than lowWaterShare times that, it is that share of the pool.
	LowWaterBytes = 512 << 20
	lowWaterShare = 8
	// watchInterval is how often a pool looks whether it should grow: no
	// kernel tells when room gets short.
	watchInterval = 250 * time.Millisecond
	// sweepInterval is how long the quota group of a volume that is gone may stay.
	sweepInterval = 5 * time.Second
)

// Options say where a pool is and how large.
type Options struct {
	// Dir is the pool's own directory; two open pools never share one.
	Dir string
	// SizeBytes is the size at first; 0 means DefaultSizeBytes. Where the disk
	// has less room, the pool begins smaller.
	SizeBytes int64
	// GrowBytes is added, as long as the disk has room, when less than two of it
	// are free, or half of it while there is no volume or the disk has no room for
	// four; 0 means DefaultGrowBytes.
	GrowBytes int64
	Log       *slog.Logger
}

// Pool holds the volumes of a node. Its methods may be called from any
// goroutine.
type Pool struct {
	opts    Options
	backing backing
	ground  ground
	reason  string
	log     *slog.Logger

	growth  growth
	removed chan struct{}
	stop    context.CancelFunc
	done    chan struct{}
}

// ground is what volumes are made of. dir is a volume's own directory.
type ground interface {
	create(dir string) error
	limit(dir string, bytes int64) error
	usage(dir string) (int64, error)
	settle(dir string) error
	state(dir string) (State, error)
	// flush may use half, a name in the pool, and leaves nothing there.
	flush(dir, half string) error
	snapshot(from, to string, readOnly bool) error
	remove(dir string) error
	sweep(volumes []string) error
}

// Open opens the pool in opts.Dir and makes it if there is none. A pool that
// an ended process has left mounted is taken up as it is. A pool on btrfs that
// cannot be mounted is an error, never an empty pool.
func Open(opts Options) (*Pool, error) {
	if opts.SizeBytes <= 0 {
		opts.SizeBytes = DefaultSizeBytes
	}
	if opts.GrowBytes <= 0 {
		opts.GrowBytes = DefaultGrowBytes
	}
	if err := os.MkdirAll(opts.Dir, 0o711); err != nil {
		return nil, fmt.Errorf("open the volume pool: %w", err)
	}
	// The mount table knows only the real path.
	dir, err := filepath.EvalSymlinks(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the volume pool: %w", err)
	}
	if opts.Dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("open the volume pool: %w", err)
	}
	p := &Pool{
		opts:    opts,
		backing: backing{image: filepath.Join(opts.Dir, "pool.img"), mount: filepath.Join(opts.Dir, "pool")},
		log:     opts.Log,
		removed: make(chan struct{}, 1),
		done:    make(chan struct{}),
	}
	if err := p.prepare(); err != nil {
		return nil, fmt.Errorf("open the volume pool: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go p.watch(ctx)
	return p, nil
}

// prepare decides what the volumes stand on.
func (p *Pool) prepare() error {
	if err := os.MkdirAll(p.backing.mount, 0o711); err != nil {
		return err
	}
	if reason := p.whyPlain(); reason != "" {
		p.ground, p.reason = directories{}, reason
	} else {
		if err := p.backing.attach(); err != nil {
			return err
		}
		if err := p.backing.fit(); err != nil {
			return err
		}
		sub, err := newSubvolumes(p.backing.mount)
		if err != nil {
			p.reason = err.Error()
		}
		p.ground = sub
	}
	if p.reason != "" {
		p.log.Warn("no hard storage quotas", "dir", p.opts.Dir, "reason", p.reason)
	}
	for _, dir := range []struct {
		path string
		mode os.FileMode
	}{
		// Computers reach their volume through these, as users of their own.
		{p.backing.mount, 0o711}, {p.computers(), 0o711},
		{p.snapshots(), 0o700},
	} {
		if err := os.MkdirAll(dir.path, dir.mode); err != nil {
			return err
		}
		if err := os.Chmod(dir.path, dir.mode); err != nil {
			return err
		}
	}
	return errors.Join(p.clearHalf(), p.sweep())
}

// whyPlain makes the loop file if there is none yet, and reports why it could
// not, or "" when there is one. Volumes that are in plain directories already
// keep the pool so.
func (p *Pool) whyPlain() string {
	if p.backing.exists() {
		return ""
	}
	if begun, err := p.List(); err != nil || len(begun) > 0 {
		return "the volumes here were begun without btrfs, as plain directories"
	}
	size := min(p.opts.SizeBytes, p.diskRoom())
	if size < minPoolBytes {
		return fmt.Sprintf("the disk has no room for a pool of %d MiB beside the %d MiB kept free", minPoolBytes>>20, DiskReserveBytes>>20)
	}
	err := p.backing.make(context.Background(), size)
	if err == nil {
		err = p.backing.attach()
		if err == nil {
			return ""
		}
		err = errors.Join(err, os.Remove(p.backing.image)) // nothing is in it yet
	}
	return err.Error()
}

// Quota reports whether the pool holds volumes to their quotas.
func (p *Pool) Quota() bool { return p.reason == "" }

// Reason says why there are no quotas, for people to read; "" when there are.
func (p *Pool) Reason() string { return p.reason }

// Free reports how many bytes new data can take and how many there are in
// all, with what the pool can still grow by.
func (p *Pool) Free() (free, total int64) {
	free, total = room(p.backing.mount)
	if _, plain := p.ground.(directories); plain {
		return max(0, free-DiskReserveBytes), total
	}
	more := p.diskRoom() / p.opts.GrowBytes * p.opts.GrowBytes
	return free + more, total + more
}

// Close ends the pool's own work and leaves it mounted, for the computers
// that run on.
func (p *Pool) Close() error {
	p.stop()
	<-p.done
	return nil
}

// Unmount closes the pool and takes its mount away. It waits for whoever
// still uses the mount, as long as ctx lasts. The data stay.
func (p *Pool) Unmount(ctx context.Context) error {
	if err := p.Close(); err != nil {
		return err
	}
	return p.backing.detach(ctx)
}

func (p *Pool) watch(ctx context.Context) {
	defer close(p.done)
	watch, sweep := time.NewTicker(watchInterval), time.NewTicker(sweepInterval)
	defer watch.Stop()
	defer sweep.Stop()
	var grown, swept error // as they ended last: what is the same is said once
	for {
		select {
		case <-ctx.Done():
			return
		case <-watch.C:
			p.complain("the volume pool does not grow", &grown, p.stayAhead())
		case <-sweep.C:
			p.complain("the volume pool is not swept", &swept, p.sweepRemoved())
		}
	}
}

func (p *Pool) complain(what string, last *error, err error) {
	if err != nil && (*last == nil || err.Error() != (*last).Error()) {
		p.log.Error(what, "dir", p.opts.Dir, "err", err)
	}
	*last = err
}

// sweepRemoved removes the quota groups of volumes that are gone.
func (p *Pool) sweepRemoved() error {
	select {
	case <-p.removed:
		return p.sweep()
	default:
		return nil
	}
}

// diskRoom is how much of the disk the pool may still take.
func (p *Pool) diskRoom() int64 {
	free, _ := room(p.opts.Dir)
	return max(0, free-DiskReserveBytes)
}

// room reports the free and total bytes of the file system at path, both 0
// when it does not answer, which callers take as full.
func room(path string) (free, total int64) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, 0
	}
	return int64(st.Bavail) * st.Bsize, int64(st.Blocks) * st.Bsize
}

func (p *Pool) computers() string { return filepath.Join(p.backing.mount, "computers") }
func (p *Pool) snapshots() string { return filepath.Join(p.backing.mount, "snapshots") }
