package actors

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
)

const (
	// startDeadline bounds how long a caller waits for a computer to run.
	startDeadline = 60 * time.Second
	// restoreDeadline bounds it for one whose disk comes from the blob store.
	restoreDeadline = 15 * time.Minute
)

// Computers are the machines. Every method works on any node: what has to be
// done is done by the owner, and the caller waits for it.
type Computers struct {
	cluster Cluster
	diary   *Diary
	bell    *bell
	remote  Remote
	local   *local
	images  *Images
	shape   Shape // of what asks for none
	now     func() time.Time
}

// Remote reaches the owners of computers that live elsewhere.
type Remote interface {
	// Exec runs a command on a computer owned by another node.
	Exec(ctx context.Context, node state.NodeID, req ExecRequest) (Exit, error)
	// Load asks the owner what a computer uses just now.
	Load(ctx context.Context, node state.NodeID, computer state.ComputerID) (Load, error)
	// Files does an operation on the files of a computer.
	Files(ctx context.Context, node state.NodeID, account state.AccountID, id state.ComputerID, op FileOp) (FileResult, error)
	contents
	archives
	// Save has the owner save a computer off its node.
	Save(ctx context.Context, node state.NodeID, account state.AccountID, id state.ComputerID) error
	// Guest passes a request on to the guest of a computer.
	Guest(req *http.Request, node state.NodeID, account state.AccountID, id state.ComputerID) (*http.Response, error)
	// Dial connects to a port of a computer.
	Dial(ctx context.Context, node state.NodeID, account state.AccountID, id state.ComputerID, port uint16) (net.Conn, error)
	// Desktop connects to the display of a computer.
	Desktop(ctx context.Context, node state.NodeID, account state.AccountID, id state.ComputerID) (net.Conn, error)
}

// Command is a program to run in a computer. Stdout and Stderr take its output
// as it comes.
type Command struct {
	Argv    []string
	Env     []string // KEY=value
	Dir     string   // "" is the workspace
	User    string   // "" is the default user
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Timeout time.Duration // 0 is none
}

// ExecRequest is a command for a computer in the epoch its sender knows.
type ExecRequest struct {
	Computer state.ComputerID
	Account  state.AccountID
	Command  Command
}

// Exit is how a command ended.
type Exit struct {
	Code     int
	Signal   string
	TimedOut bool
	Duration time.Duration
}

// Load is what a computer uses just now.
type Load struct {
	CPUPercent  float64
	MemoryBytes int64
	Uptime      time.Duration
}

// Start starts a computer and returns when it runs. It is refused with Payment
// when the account cannot pay for its first minutes.
func (s *Computers) Start(ctx context.Context, c Caller, id state.ComputerID) (state.Computer, error) {
	if err := s.local.deps.meter.affords(ctx, c.Account, id); err != nil {
		return state.Computer{}, err
	}
	if _, err := s.cluster.Apply(ctx, state.SetWish{Account: c.Account, Computer: id, Wish: state.WishRunning}); err != nil {
		return state.Computer{}, err
	}
	if _, err := s.cluster.Place(ctx, id); err != nil {
		return state.Computer{}, err
	}
	return s.settled(ctx, c.Account, id, state.WishRunning)
}

// Stop stops a computer and returns when it is down.
func (s *Computers) Stop(ctx context.Context, c Caller, id state.ComputerID) (state.Computer, error) {
	if _, err := s.cluster.Apply(ctx, state.SetWish{Account: c.Account, Computer: id, Wish: state.WishStopped}); err != nil {
		return state.Computer{}, err
	}
	return s.settled(ctx, c.Account, id, state.WishStopped)
}

// Remove asks for the end of a computer that no environment stands on.
func (s *Computers) Remove(ctx context.Context, c Caller, id state.ComputerID) error {
	if err := s.standsAlone(ctx, c, id, ""); err != nil {
		return err
	}
	_, err := s.cluster.Apply(ctx, state.SetWish{Account: c.Account, Computer: id, Wish: state.WishDeleted})
	return err
}

// settled waits until the owner recorded that it is as wished, or that it failed.
func (s *Computers) settled(ctx context.Context, account state.AccountID, id state.ComputerID, want state.Wish) (state.Computer, error) {
	now, _, err := s.known(account, id)
	if err != nil {
		return now, err
	}
	limit := startLimit(now)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var computer state.Computer
	err = s.bell.until(ctx, state.ChangedComputer, string(id), func() (done bool, err error) {
		computer, err = applied(s.cluster, func(v *state.View) (state.Computer, error) { return v.Computer(account, id) })
		if err != nil {
			return false, err
		}
		if computer.Phase == state.Failed && want == state.WishRunning {
			return false, fault.New(fault.Unavailable, "the computer did not start: %s", computer.Error)
		}
		return computer.Rests(want), nil
	})
	if err != nil && ctx.Err() != nil {
		return computer, fault.New(fault.Unavailable, "the computer is still %s after %s", computer.Phase, limit).WithRetry(retryMailbox)
	}
	return computer, err
}

// Exec runs a command in a computer, through any node. One that was stopped by
// idleness is started; one that its user stopped is a Conflict.
func (s *Computers) Exec(ctx context.Context, c Caller, id state.ComputerID, cmd Command) (Exit, error) {
	if len(cmd.Argv) == 0 {
		return Exit{}, fault.New(fault.Invalid, "command must not be empty").WithField("command")
	}
	req := ExecRequest{Computer: id, Account: c.Account, Command: cmd}
	// Before it begins: it may go on for long, and its node may be lost.
	begins := sync.OnceFunc(func() { s.diary.Note(ctx, state.ExecRun, c.Account, id) })
	if cmd.Stdin != nil { // what was read of it is gone
		return s.exec(ctx, req, begins)
	}
	return anew(ctx, s, c.Account, id, func() (Exit, error) { return s.exec(ctx, req, begins) })
}

func (s *Computers) exec(ctx context.Context, req ExecRequest, begins func()) (Exit, error) {
	owner, err := s.owner(ctx, req.Account, req.Computer)
	if err != nil {
		return Exit{}, err
	}
	begins()
	if owner != s.cluster.Self() {
		return s.remote.Exec(ctx, owner, req)
	}
	return s.local.Exec(ctx, req)
}

// Load reports what a computer uses just now; a stopped one uses nothing.
func (s *Computers) Load(ctx context.Context, c state.Computer) (Load, error) {
	if !c.Phase.Up() {
		return Load{}, nil
	}
	if c.Node != s.cluster.Self() {
		return s.remote.Load(ctx, c.Node, c.ID)
	}
	return s.local.Load(ctx, c.ID)
}

// local does what only the owner can.
type local struct {
	deps   *ownership
	system *system
	files  *fileRoom // operations
	// streams are the contents that are read or written as they come.
	streams *fileRoom
}

// hold asks the computer's actor to have it running and keeps it from idling
// until release is called.
func (l *local) hold(ctx context.Context, id state.ComputerID) (g grant, release func(), err error) {
	return l.holdAs(ctx, id, wake{})
}

func (l *local) holdAs(ctx context.Context, id state.ComputerID, how wake) (g grant, release func(), err error) {
	c, _, err := l.deps.owned(id)
	if err != nil {
		return g, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit(c))
	defer cancel()
	make := newComputer(l.deps, id)
	if err := l.system.tell(computerKind, string(id), used{+1}, make); err != nil {
		return g, nil, err
	}
	release = func() { l.system.insist(computerKind, string(id), used{-1}) }
	v, err := l.system.ask(ctx, computerKind, string(id), how, make)
	if err != nil {
		release()
		return g, nil, err
	}
	return v.(grant), release, nil
}

// startLimit is how long a caller waits for a computer to run. One whose disk has
// to be fetched first takes longer.
func startLimit(c state.Computer) time.Duration {
	if (c.Saved.Name != "" || c.Sent.Name != "") && c.DataNode != c.Node {
		return restoreDeadline
	}
	return startDeadline
}

// Exec runs a command on a computer that this node owns.
func (l *local) Exec(ctx context.Context, req ExecRequest) (Exit, error) {
	begun := l.deps.now()
	exit, err := l.exec(ctx, req)
	if errors.Is(err, runtime.ErrNotRunning) {
		// It ended by itself, and nothing was run: it is started again.
		exit, err = l.exec(ctx, req)
	}
	l.deps.metrics.exec.Observe(l.deps.now().Sub(begun).Seconds())
	return exit, err
}

func (l *local) exec(ctx context.Context, req ExecRequest) (Exit, error) {
	leave, err := l.deps.barriers.pass(ctx, req.Computer)
	if err != nil {
		return Exit{}, err
	}
	defer leave()
	g, release, err := l.hold(ctx, req.Computer)
	if err != nil {
		return Exit{}, err
	}
	defer release()
	return l.run(ctx, g, req)
}

// run runs a command under a grant, and ends it when the lease does.
func (l *local) run(ctx context.Context, g grant, req ExecRequest) (Exit, error) {
	if err := l.deps.held(); err != nil {
		return Exit{}, err
	}
	ctx, cancel := l.deps.lease(ctx)
	defer cancel()
	cmd := req.Command
	exit, err := l.deps.driver.Exec(ctx, runtime.Epoch(g.epoch), runtime.ID(req.Computer), runtime.Cmd{
		Argv: cmd.Argv, Env: cmd.Env, Dir: cmd.Dir, User: cmd.User,
		Stdin: cmd.Stdin, Stdout: cmd.Stdout, Stderr: cmd.Stderr, Timeout: cmd.Timeout})
	if errors.Is(err, runtime.ErrNotRunning) || errors.Is(err, runtime.ErrNotFound) {
		err = errors.Join(err, l.system.tell(computerKind, string(req.Computer), missed{}, newComputer(l.deps, req.Computer)))
	}
	return Exit{Code: exit.Code, Signal: exit.Signal, TimedOut: exit.TimedOut, Duration: exit.Duration}, translate(err)
}

// loadSample is how far apart the two readings of a load are.
const loadSample = 200 * time.Millisecond

// Load measures a computer that this node owns.
func (l *local) Load(ctx context.Context, id state.ComputerID) (Load, error) {
	meterer, ok := l.deps.driver.(runtime.Meterer)
	if !ok {
		return Load{}, nil
	}
	first, err := meterer.Usage(ctx, runtime.ID(id))
	if err != nil {
		return Load{}, translate(err)
	}
	select {
	case <-ctx.Done():
		return Load{}, ctx.Err()
	case <-time.After(loadSample):
	}
	second, err := meterer.Usage(ctx, runtime.ID(id))
	if err != nil {
		return Load{}, translate(err)
	}
	status, err := l.deps.driver.Inspect(ctx, runtime.ID(id))
	if err != nil {
		return Load{}, translate(err)
	}
	return Load{CPUPercent: 100 * float64(second.CPU-first.CPU) / float64(loadSample),
		MemoryBytes: second.MemoryBytes, Uptime: l.deps.now().Sub(status.StartedAt)}, nil
}
