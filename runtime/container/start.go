package container

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/guest"
	"github.com/bothy-computer/bothy/runtime/warden"
)

const (
	// runcTime bounds one call of the OCI runtime.
	runcTime = 30 * time.Second
	// answerTime bounds how long a new guest may take to answer.
	answerTime = 15 * time.Second
	// maxComplaintBytes bounds what is quoted from a failed start's output.
	maxComplaintBytes = 2 << 10
)

// unpackGuest puts the guest where containers can bind it. Its name holds its
// content, so a newer node never changes what a running computer executes.
func unpackGuest(dir, from string) (string, error) {
	read := guest.Binary
	if from != "" {
		read = func() ([]byte, error) { return os.ReadFile(from) }
	}
	binary, err := read()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(binary)
	path := filepath.Join(dir, "guest-"+hex.EncodeToString(sum[:8]))
	if info, err := os.Stat(path); err == nil && info.Size() == int64(len(binary)) {
		return path, nil
	}
	if err := replaceFile(path, binary); err != nil {
		return "", fmt.Errorf("unpack guest: %w", err)
	}
	return path, os.Chmod(path, 0o755)
}

// Start implements runtime.Driver. A frozen computer is thawed. Past the
// warden's deadline nothing starts; see warden.ErrFenced.
func (d *Driver) Start(ctx context.Context, epoch runtime.Epoch, id runtime.ID) error {
	r, release, err := d.admit(ctx, epoch, id)
	if err != nil {
		return err
	}
	defer release()
	f, err := d.look(id, r)
	if err != nil {
		return err
	}
	if f.pid != 0 && r.Started {
		err := d.goOn(ctx, id, r, f)
		if !errors.Is(err, runtime.ErrNotRunning) {
			return err
		}
		f.pid = 0 // its guest is gone or going: that life is ending, whoever asked it to
	}
	begun, from := time.Now(), startWarm
	if f.pid == 0 {
		from = startCold
		if err := d.boot(ctx, id, &r); err != nil {
			return fmt.Errorf("start %s: %w", id, err)
		}
	}
	if err := d.begin(ctx, id, &r); err != nil {
		undo := d.dismantle(context.WithoutCancel(ctx), id, r)
		return fmt.Errorf("start %s: %w", id, errors.Join(err, undo))
	}
	d.metrics.start.WithLabelValues(from).Observe(time.Since(begun).Seconds())
	return nil
}

// goOn is Start for a computer that runs.
func (d *Driver) goOn(ctx context.Context, id runtime.ID, r record, f fact) error {
	if f.frozen {
		if err := d.told(id, d.Warden.Thaw(ctx, r.Container)); err != nil {
			return fmt.Errorf("start %s: %w", id, err)
		}
	}
	return d.answers(ctx, id)
}

// begin is what the first moment of a life needs besides a process.
func (d *Driver) begin(ctx context.Context, id runtime.ID, r *record) error {
	if err := d.applyEgress(ctx, id, *r); err != nil {
		return err
	}
	r.Started, r.StartedAt = true, d.Now().UTC()
	return d.save(id, *r)
}

// boot makes a computer's process out of its disk. Whatever it made is undone
// when it fails.
func (d *Driver) boot(ctx context.Context, id runtime.ID, r *record) (err error) {
	if err := d.dismantle(ctx, id, *r); err != nil { // of a life that ended by itself
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.dismantle(context.WithoutCancel(ctx), id, *r))
		}
	}()
	volume, ok := d.Pool.Path(string(id))
	if !ok {
		return fmt.Errorf("its volume is gone: %w", runtime.ErrNotFound)
	}
	if err := d.bare(ctx, id, r); err != nil {
		return err
	}
	if err := d.mountRoot(ctx, id, *r, volume); err != nil {
		return err
	}
	if !r.Prepared {
		if err := prepare(d.path(id, rootDir), r.Spec.Hostname, r.Range); err != nil {
			return err
		}
		r.Prepared = true
	}
	if r.Named != "" {
		if err := renameUsed(d.path(id, rootDir), r.Named, r.Spec.Hostname, r.Range); err != nil {
			// What its former life left may be in the way, such as a full disk.
			d.Log.Warn("computer not named", "computer", string(id), "err", err)
		}
		r.Named = ""
	}
	if err := d.writeResolv(id, *r); err != nil {
		return err
	}
	if err := d.writeSpec(ctx, id, *r, volume); err != nil {
		return err
	}
	console, err := d.holdConsole(id)
	if err != nil {
		return err
	}
	defer console.Close()
	if err := d.run(ctx, id, *r); err != nil {
		return err
	}
	// The OCI runtime leaves out a limit of old kernels, of sockets' buffers.
	if err := d.cgroup(*r).SetLimits(limitsOf(r.Spec.Resources)); err != nil {
		return err
	}
	return d.answers(ctx, id)
}

// run starts the container, as a descendant of the warden. The guest's socket
// is made outside and inherited, so no path inside is ever opened from here.
func (d *Driver) run(ctx context.Context, id runtime.ID, r record) error {
	// Waited for to its end whatever becomes of the caller: what undoes a start
	// must not run beside it.
	res, err := d.Warden.Run(context.WithoutCancel(ctx), warden.Command{
		Argv: d.runcArgv(id, "run", "--detach", "--preserve-fds", "1",
			"--pid-file", d.path(id, pidFile), "--bundle", d.path(id), r.Container),
		Timeout: runcTime, Starts: true,
		Listen: d.path(id, socketFile), Console: d.path(id, consoleFile),
	})
	if err != nil {
		return err
	}
	if res.Code != 0 {
		return fmt.Errorf("runc run ended with %d: %s", res.Code, d.complaint(id))
	}
	return ctx.Err()
}

func (d *Driver) runcArgv(id runtime.ID, args ...string) []string {
	return append([]string{
		d.runc, "--root", d.runcRoot(), "--log", d.path(id, runcLogFile), "--log-format", "json",
	}, args...)
}

// complaint is the end of what the OCI runtime logged, and of what the guest
// wrote before it ended.
func (d *Driver) complaint(id runtime.ID) string {
	var said []string
	if data, err := os.ReadFile(d.path(id, runcLogFile)); err == nil {
		for line := range strings.Lines(string(data)) {
			var entry struct{ Level, Msg string }
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Level == "error" {
				said = append(said, entry.Msg)
			}
		}
	}
	if text := d.console(id); text != "" {
		said = append(said, "console: "+text)
	}
	if said == nil {
		return "no reason given"
	}
	all := strings.Join(said, "; ")
	return all[max(0, len(all)-maxComplaintBytes):]
}

// holdConsole makes the pipe for the guest's output and keeps it open: a pipe
// that nobody holds forgets what is in it, such as why a guest ended.
func (d *Driver) holdConsole(id runtime.ID) (*os.File, error) {
	path := d.path(id, consoleFile)
	if err := unix.Mkfifo(path, 0o600); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("make console: %w", err)
	}
	console, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("hold console: %w", err)
	}
	return console, nil
}

// console reads what the guest's output holds now.
func (d *Driver) console(id runtime.ID) string {
	fd, err := unix.Open(d.path(id, consoleFile), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	buf := make([]byte, maxComplaintBytes)
	n, err := unix.Read(fd, buf)
	if err != nil || n <= 0 {
		return ""
	}
	return strings.TrimSpace(string(buf[:n]))
}

// answers waits for the guest. Its socket takes connections from the first
// moment, so the wait is for the process, not for a file.
func (d *Driver) answers(ctx context.Context, id runtime.ID) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if err := d.guests.of(id).Health(ctx); err != nil {
		return fmt.Errorf("the guest does not answer: %w (%s)", err, d.complaint(id))
	}
	return nil
}
