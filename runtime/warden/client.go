package warden

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// callTime bounds a call that the warden answers at once.
	callTime = 10 * time.Second
	// appearTime bounds how long a new warden may take to answer.
	appearTime = 10 * time.Second
	// appearPoll is how often it is looked for.
	appearPoll = 5 * time.Millisecond
	// stopPoll is how often a caller that gave up is noticed.
	stopPoll = 100 * time.Millisecond
)

// ErrAbsent means that no warden serves the directory.
var ErrAbsent = errors.New("no warden serves this directory")

// SpawnOptions say how to start a warden when none is there.
type SpawnOptions struct {
	Argv []string // must end up in Main, for the same Dir; Argv[0] is a path
	Dir  string
	Log  *slog.Logger
}

// Client speaks to the warden of one data directory. It may be used from many
// goroutines. It holds nothing open, so there is nothing to close.
type Client struct {
	dir   string
	spawn *SpawnOptions // nil: do not start one

	mu sync.Mutex // held while a warden is started
}

// Connect finds the warden that serves dir, or returns ErrAbsent.
func Connect(ctx context.Context, dir string) (*Client, error) {
	c := &Client{dir: dir}
	if _, err := c.Status(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Spawn finds the warden that serves o.Dir, or starts one in a session of its
// own that outlives this process. Should it die later, the client's next call
// starts another, which takes up the deadline and the running computers.
func Spawn(ctx context.Context, o SpawnOptions) (*Client, error) {
	c := &Client{dir: o.Dir, spawn: &o}
	st, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	if st.Version == Version {
		return c, nil
	}
	if err := c.Stop(ctx); err != nil {
		return nil, fmt.Errorf("replace a warden of version %d: %w", st.Version, err)
	}
	_, err = c.Status(ctx)
	return c, err
}

// Status asks how the warden is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	rep, err := c.call(ctx, request{Op: opStatus}, callTime)
	if err != nil {
		return Status{}, err
	}
	if rep.Status == nil {
		return Status{}, fmt.Errorf("ask the warden: %w", errFrame)
	}
	return *rep.Status, nil
}

// SetDeadline says until when computers may run; NoDeadline means for ever. A
// moment in the past freezes them now. After a freeze, a moment ahead leaves
// each computer frozen by itself, to be thawed one by one.
func (c *Client) SetDeadline(ctx context.Context, at Instant) error {
	_, err := c.call(ctx, request{Op: opDeadline, Deadline: at}, callTime)
	return err
}

// Fence freezes all computers now, until a later SetDeadline.
func (c *Client) Fence(ctx context.Context) error {
	_, err := c.call(ctx, request{Op: opFence}, callTime)
	return err
}

// Run runs a command as the warden's child and waits for it. It is not ended
// when ctx is: only Command.Timeout ends it.
func (c *Client) Run(ctx context.Context, cmd Command) (Result, error) {
	rep, err := c.call(ctx, request{Op: opRun, Command: &cmd}, maxRunTime+callTime)
	if err != nil {
		return Result{}, err
	}
	if rep.Result == nil {
		return Result{}, fmt.Errorf("ask the warden: %w", errFrame)
	}
	return *rep.Result, nil
}

// Freeze makes one computer, named by its cgroup, stand still.
func (c *Client) Freeze(ctx context.Context, computer string) error {
	_, err := c.call(ctx, request{Op: opFreeze, Computer: computer}, callTime)
	return err
}

// Thaw lets one computer go on. It is refused with ErrFenced past the deadline.
func (c *Client) Thaw(ctx context.Context, computer string) error {
	_, err := c.call(ctx, request{Op: opThaw, Computer: computer}, callTime)
	return err
}

// Stop ends the warden and waits until it has gone. Computers go on. No warden
// is success.
func (c *Client) Stop(ctx context.Context) error {
	quiet := &Client{dir: c.dir} // starts none
	st, err := quiet.Status(ctx)
	if errors.Is(err, ErrAbsent) {
		return nil
	}
	if err != nil {
		return err
	}
	pidfd, err := unix.PidfdOpen(st.PID, 0)
	if err != nil {
		return fmt.Errorf("stop the warden: %w", err)
	}
	defer unix.Close(pidfd)
	if _, err := quiet.call(ctx, request{Op: opStop}, callTime); err != nil {
		return fmt.Errorf("stop the warden: %w", err)
	}
	for deadline := time.Now().Add(maxRunTime + callTime); time.Now().Before(deadline); {
		ended := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
		n, err := unix.Poll(ended, int(stopPoll.Milliseconds()))
		if n > 0 {
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("stop the warden: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("stop the warden: %w", err)
		}
	}
	return errors.New("stop the warden: it does not end")
}

// call asks once, and once more after starting a warden if there was none.
func (c *Client) call(ctx context.Context, req request, limit time.Duration) (reply, error) {
	conn, err := c.dial(ctx)
	if errors.Is(err, ErrAbsent) && c.spawn != nil {
		if err = c.revive(ctx); err == nil {
			conn, err = c.dial(ctx)
		}
	}
	if err != nil {
		return reply{}, err
	}
	defer conn.Close()
	if err := samePeer(conn); err != nil {
		return reply{}, fmt.Errorf("ask the warden: %w", err)
	}
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return reply{}, fmt.Errorf("ask the warden: %w", err)
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	var rep reply
	err = errors.Join(writeFrame(conn, req), readFrame(conn, &rep))
	switch {
	case ctx.Err() != nil && err != nil:
		return reply{}, fmt.Errorf("ask the warden: %w", ctx.Err())
	case err != nil:
		return reply{}, fmt.Errorf("ask the warden to %s: %w", req.Op, err)
	case rep.Fenced:
		return rep, ErrFenced
	case rep.Error != "":
		return rep, fmt.Errorf("warden: %s", rep.Error)
	}
	return rep, nil
}

func (c *Client) dial(ctx context.Context) (*net.UnixConn, error) {
	var conn net.Conn
	err := inDirectory(filepath.Join(c.dir, socketName), func(short string) (err error) {
		conn, err = (&net.Dialer{}).DialContext(ctx, "unix", short)
		return err
	})
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist) {
		return nil, ErrAbsent
	}
	if err != nil {
		return nil, fmt.Errorf("reach the warden: %w", err)
	}
	return conn.(*net.UnixConn), nil
}

// revive starts a warden unless somebody else just did, and waits for it.
func (c *Client) revive(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn, err := c.dial(ctx); err == nil {
		return conn.Close()
	}
	ended, err := c.start()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(appearTime)
	for {
		conn, err := c.dial(ctx)
		if err == nil {
			return conn.Close()
		}
		select {
		case err = <-ended:
			if conn, dialErr := c.dial(ctx); dialErr == nil { // lost a race against another
				return conn.Close()
			}
			return fmt.Errorf("the warden ended at once (see %s): %w", filepath.Join(c.dir, logName), err)
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the warden did not answer (see %s): %w", filepath.Join(c.dir, logName), err)
		}
		if err := pause(ctx, appearPoll); err != nil {
			return err
		}
	}
}

// start runs a warden apart from this process: its own session, no inherited
// descriptors, its messages in a file.
func (c *Client) start() (<-chan error, error) {
	log, err := os.OpenFile(filepath.Join(c.dir, logName), os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start the warden: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(c.spawn.Argv[0], c.spawn.Argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Dir = "/"
	cmd.Env = environment
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the warden: %w", err)
	}
	c.spawn.Log.Info("started a warden", "pid", cmd.Process.Pid, "dir", c.dir)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // ends with the warden; reaps it if this process outlives it
	return ended, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
