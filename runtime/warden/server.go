package warden

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime/warden/cgroup"
)

const (
	// maxConnections bounds requests served at once; more wait to be accepted.
	maxConnections = 64
	// readTime bounds how long a peer may take to say what it wants.
	readTime = 5 * time.Second
	// freezeTime bounds one attempt to freeze; it is tried again until it holds.
	freezeTime = 5 * time.Second
	// garbagePercent trades a little time for a small heap.
	garbagePercent = 25
	// sharePercent is the processor share of all computers together against
	// one busy thread of the node, so that the node can always act.
	sharePercent = 50
	// reserveBytes of memory, and at least a sixteenth of it, are out of
	// reach of a node's computers.
	reserveBytes = 512 << 20
)

// root is the group that holds the groups of all nodes on this machine.
const root = "bothy"

// Group is the cgroup of a node, which holds all its computers.
func Group(tree cgroup.Tree, node string) cgroup.Group { return tree.Group(root).Child(node) }

// Options say for whom a warden works.
type Options struct {
	Dir  string // the node's data directory
	Node string // the node's uuid, which names its cgroup
	Log  *slog.Logger
}

// ErrTaken is returned by Main when another warden serves the directory.
var ErrTaken = errors.New("another warden serves this directory")

// Main is a warden's whole life: it serves the node of one data directory until
// ctx is done or the node asks it to stop. Computers go on running afterwards.
// It changes the whole process (session, subreaper, garbage collector), so it
// is all that its process does.
func Main(ctx context.Context, o Options) error {
	if o.Node == "" || o.Dir == "" {
		return errors.New("warden: a data directory and a node are required")
	}
	runtime.GOMAXPROCS(2)
	debug.SetGCPercent(garbagePercent)
	// Fails when whoever started this already made the session.
	_, _ = unix.Setsid()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become subreaper: %w", err)
	}
	lock, err := takeLock(filepath.Join(o.Dir, lockName))
	if err != nil {
		return err
	}
	defer lock.Close()
	s, err := newServer(o)
	if err != nil {
		return err
	}
	defer s.alarm.close()
	return s.serve(ctx)
}

// takeLock holds the directory for this process; the kernel lets go of it when
// the process ends. Children do not inherit it.
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrTaken
		}
		return nil, fmt.Errorf("lock: %w", err)
	}
	return f, nil
}

// server is a warden at work.
type server struct {
	Options
	boot    string
	group   cgroup.Group
	nursery *nursery
	alarm   *alarm
	stop    context.CancelFunc

	mu    sync.Mutex // held while the fence changes and while cgroups follow it
	fence fence
}

func newServer(o Options) (*server, error) {
	tree, err := cgroup.Detect()
	if err != nil {
		return nil, err
	}
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	s := &server{Options: o, boot: boot, group: Group(tree, o.Node), nursery: newNursery(o.Log)}
	if err := s.prepareGroup(tree); err != nil {
		return nil, err
	}
	if s.fence, err = recall(o.Dir, boot); err != nil {
		return nil, err
	}
	s.alarm, err = newAlarm()
	return s, err
}

func (s *server) prepareGroup(tree cgroup.Tree) error {
	if err := s.group.Make(); err != nil {
		return err
	}
	if err := tree.Group(root).SetShare(sharePercent); err != nil {
		return fmt.Errorf("hold computers below the node: %w", err)
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return fmt.Errorf("read memory size: %w", err)
	}
	total := int64(info.Totalram) * int64(info.Unit)
	return s.group.SetLimits(cgroup.Limits{MemoryBytes: total - max(reserveBytes, total/16)})
}

func (s *server) serve(ctx context.Context) error {
	ctx, s.stop = context.WithCancel(ctx)
	defer s.stop()
	listener, err := s.listen()
	if err != nil {
		return err
	}
	var work sync.WaitGroup
	work.Go(func() { s.nursery.reap(ctx.Done()) })
	work.Go(s.watch)
	work.Go(func() {
		<-ctx.Done()
		listener.Close()
		s.alarm.close()
	})
	if err := s.resume(); err != nil {
		s.stop()
		work.Wait()
		return err
	}
	s.Log.Info("warden serves", "node", s.Node, "pid", os.Getpid(), "fence", string(s.fence.Posture))
	debug.FreeOSMemory() // what the start of the whole program left
	s.accept(listener)
	s.stop()
	work.Wait()
	return s.tidy()
}

// tidy takes the node's cgroup away when nothing is in it.
func (s *server) tidy() error {
	children, err := s.group.Children()
	if err != nil || len(children) > 0 {
		return err
	}
	return s.group.Remove()
}

func (s *server) listen() (*net.UnixListener, error) {
	path := filepath.Join(s.Dir, socketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("replace the warden's socket: %w", err)
	}
	var listener *net.UnixListener
	err := inDirectory(path, func(short string) (err error) {
		listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	listener.SetUnlinkOnClose(false) // its name was only good while the directory was open
	return listener, os.Chmod(path, 0o600)
}

func (s *server) accept(listener *net.UnixListener) {
	slots := make(chan struct{}, maxConnections)
	var open sync.WaitGroup
	for {
		conn, err := listener.AcceptUnix()
		if err != nil {
			break
		}
		slots <- struct{}{}
		open.Go(func() {
			defer func() { <-slots }()
			s.converse(conn)
		})
	}
	open.Wait()
}

// converse answers the one question of a connection.
func (s *server) converse(conn *net.UnixConn) {
	defer conn.Close()
	if err := samePeer(conn); err != nil {
		s.Log.Warn("refused a peer", "err", err)
		return
	}
	if err := conn.SetReadDeadline(time.Now().Add(readTime)); err != nil {
		return
	}
	var req request
	if err := readFrame(conn, &req); err != nil {
		s.Log.Warn("unreadable request", "err", err)
		return
	}
	rep := s.answer(req)
	if err := writeFrame(conn, rep); err != nil {
		s.Log.Warn("answer not delivered", "op", string(req.Op), "err", err)
	}
}

// samePeer lets only the user that this process runs as talk to it.
func samePeer(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	if int(cred.Uid) != os.Getuid() {
		return fmt.Errorf("process %d runs as uid %d", cred.Pid, cred.Uid)
	}
	return nil
}
