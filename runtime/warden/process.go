package warden

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxRunTime bounds a command that names no bound of its own.
	maxRunTime = time.Minute
	// maxOutputBytes bounds what is kept of a command's output.
	maxOutputBytes = 64 << 10
	// drainTime is how long output is awaited after a command has ended,
	// since something it left behind may hold the pipe.
	drainTime = 100 * time.Millisecond
)

// environment is all that commands are told. The node's own may hold keys.
var environment = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}

// nursery starts children and reaps them together with every orphan that
// falls to this process as subreaper.
type nursery struct {
	log *slog.Logger

	mu      sync.Mutex // also held over fork, so that no child is reaped unknown
	waiting map[int]chan syscall.WaitStatus
}

func newNursery(log *slog.Logger) *nursery {
	return &nursery{log: log, waiting: map[int]chan syscall.WaitStatus{}}
}

// reap collects the dead until stop is closed.
func (n *nursery) reap(stop <-chan struct{}) {
	died := make(chan os.Signal, 1)
	signal.Notify(died, unix.SIGCHLD)
	defer signal.Stop(died)
	for {
		n.collect()
		select {
		case <-died:
		case <-stop:
			return
		}
	}
}

func (n *nursery) collect() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if ch, ok := n.waiting[pid]; ok {
			delete(n.waiting, pid)
			ch <- status
		}
	}
}

// running counts the commands under way.
func (n *nursery) running() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.waiting)
}

// fork starts argv in a process group of its own.
func (n *nursery) fork(argv []string, files []uintptr) (int, <-chan syscall.WaitStatus, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	pid, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{
		Env: environment, Files: files, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return 0, nil, fmt.Errorf("run %s: %w", argv[0], err)
	}
	ch := make(chan syscall.WaitStatus, 1)
	n.waiting[pid] = ch
	return pid, ch, nil
}

// run starts a command and waits for its end. It goes on when whoever asked
// has gone, because half a start is worse than a whole one.
func (n *nursery) run(cmd Command) (Result, error) {
	if len(cmd.Argv) == 0 {
		return Result{}, errors.New("run: no command")
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return Result{}, fmt.Errorf("run: %w", err)
	}
	defer null.Close()
	out, err := openOutput(cmd.Console)
	if err != nil {
		return Result{}, fmt.Errorf("run: %w", err)
	}
	files := []uintptr{null.Fd(), uintptr(out.fd), uintptr(out.fd)}
	if cmd.Listen != "" {
		listener, err := listen(cmd.Listen)
		if err != nil {
			out.started()
			out.text()
			return Result{}, err
		}
		defer listener.Close()
		files = append(files, listener.Fd())
	}
	pid, ended, err := n.fork(cmd.Argv, files)
	out.started()
	if err != nil {
		out.text()
		return Result{}, err
	}
	status, timedOut := n.await(pid, ended, cmd.Timeout)
	return Result{Code: status.ExitStatus(), TimedOut: timedOut, Output: out.text()}, nil
}

// await kills the process group when its time is up.
func (n *nursery) await(pid int, ended <-chan syscall.WaitStatus, limit time.Duration) (syscall.WaitStatus, bool) {
	if limit <= 0 || limit > maxRunTime {
		limit = maxRunTime
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case status := <-ended:
		return status, false
	case <-timer.C:
	}
	if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		n.log.Error("kill a command that took too long", "pid", pid, "err", err)
	}
	return <-ended, true
}

// output is where a command writes: a pipe that is read here, or a console.
type output struct {
	fd   int         // the command's end
	read *os.File    // nil for a console
	done chan string // what was read
}

func openOutput(console string) (*output, error) {
	if console != "" {
		return openConsole(console)
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, errors.Join(err, unix.Close(fds[0]), unix.Close(fds[1]))
	}
	o := &output{fd: fds[1], read: os.NewFile(uintptr(fds[0]), "output"), done: make(chan string, 1)}
	go o.drain()
	return o, nil
}

func openConsole(path string) (*output, error) {
	if err := unix.Mkfifo(path, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make console: %w", err)
	}
	// Open for both ways, the console always has a reader: nobody who writes
	// to it is killed by SIGPIPE, also when this process is gone.
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("open console: %w", err)
	}
	return &output{fd: fd}, nil
}

// started closes this process's copy of the command's end.
func (o *output) started() {
	// A descriptor that was only inherited has nothing to flush.
	_ = unix.Close(o.fd)
}

// drain keeps the beginning and throws away the rest, so that a command never
// waits for its reader.
func (o *output) drain() {
	buf := make([]byte, 4<<10)
	var kept []byte
	for {
		n, err := o.read.Read(buf)
		kept = append(kept, buf[:min(n, maxOutputBytes-len(kept))]...)
		if err != nil {
			o.done <- string(kept)
			return
		}
	}
}

// text is what the command wrote. It is called when the command has ended.
func (o *output) text() string {
	if o.read == nil {
		return ""
	}
	// Closing is what ends the wait for a pipe that knows no deadline.
	if err := o.read.SetReadDeadline(time.Now().Add(drainTime)); err != nil {
		o.read.Close()
	}
	text := <-o.done
	o.read.Close()
	return text
}

// listen makes the listener that a computer's guest inherits.
func listen(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("replace socket: %w", err)
	}
	var file *os.File
	err := inDirectory(path, func(short string) error {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
		if err != nil {
			return err
		}
		defer l.Close()
		l.SetUnlinkOnClose(false)
		file, err = l.File()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen for the guest: %w", err)
	}
	return file, os.Chmod(path, 0o600)
}
