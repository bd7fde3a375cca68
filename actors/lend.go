package actors

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
)

const (
	// faultHeader marks an answer that is the owner's refusal, not the guest's.
	faultHeader = "Bothy-Fault"
	// maxFaultBytes bounds such a refusal.
	maxFaultBytes = 16 << 10
	// ownerTries is how often an owner is looked for that knows it is one.
	ownerTries = 3
)

// anew does what an owner is asked for, again when it turns out to be one of
// before: then nothing was done, and this replica is brought up to date.
func anew[T any](ctx context.Context, s *Computers, account state.AccountID, id state.ComputerID, do func() (T, error)) (T, error) {
	for try := 1; ; try++ {
		result, err := do()
		if !fault.Is(err, fault.Moved) || try == ownerTries {
			return result, err
		}
		if _, err := view(ctx, s.cluster, func(v *state.View) (state.Computer, error) { return v.Computer(account, id) }); err != nil {
			return result, err
		}
	}
}

// owner finds the node that may act on a computer. What this replica says is
// enough when it names one with a lease: that node checks for itself, and the
// leader is asked only when there is none.
func (s *Computers) owner(ctx context.Context, account state.AccountID, id state.ComputerID) (state.NodeID, error) {
	c, leased, err := s.known(account, id)
	if fault.Is(err, fault.NotFound) {
		// Made elsewhere a moment ago, or not at all: only a leader knows.
		_, err = view(ctx, s.cluster, func(v *state.View) (state.Computer, error) { return v.Computer(account, id) })
	}
	if err != nil {
		return "", err
	}
	if leased {
		return c.Node, nil
	}
	placed, err := s.cluster.Place(ctx, id)
	return placed.Node, err
}

// known is what this node's replica has of a computer, and whether its owner
// has a lease.
func (s *Computers) known(account state.AccountID, id state.ComputerID) (c state.Computer, leased bool, err error) {
	v := s.cluster.Stale()
	defer v.Close()
	if c, err = v.Computer(account, id); err != nil || c.Node == "" {
		return c, false, err
	}
	n, ok, err := v.FindNode(c.Node)
	return c, ok && n.Leased(), err
}

// belongs checks on the owner that the computer is the account's and this
// node's to act on. Who asks may have seen more than this replica: what is not
// so here is confirmed, which also brings the replica up to date.
func (l *local) belongs(ctx context.Context, account state.AccountID, id state.ComputerID) error {
	find := func(v *state.View) (state.Computer, error) { return v.Computer(account, id) }
	c, err := applied(l.deps.cluster, find)
	if fault.Is(err, fault.NotFound) || err == nil && c.Node != l.deps.cluster.Self() {
		c, err = view(ctx, l.deps.cluster, find)
	}
	if err == nil && c.Node != l.deps.cluster.Self() {
		err = fault.New(fault.Moved, "computer %s belongs to another node", id)
	}
	return err
}

// lend holds a running computer for a use that may outlive the call: ctx bounds
// the wait for the computer, lent is life until the lease ends, and let, which
// may be called more than once, gives the computer back.
func (l *local) lend(ctx, life context.Context, id state.ComputerID) (lent context.Context, let func(), g grant, err error) {
	g, release, err := l.hold(ctx, id)
	if err != nil {
		return nil, nil, g, err
	}
	if err := l.deps.held(); err != nil {
		release()
		return nil, nil, g, err
	}
	lent, cancel := l.deps.lease(life)
	return lent, sync.OnceFunc(func() { cancel(); release() }), g, nil
}

// lostBy has the computer's actor look when an error says that its computer is
// not there, so that the next caller starts it again.
func (l *local) lostBy(id state.ComputerID, err error) error {
	if errors.Is(err, runtime.ErrNotRunning) || errors.Is(err, runtime.ErrNotFound) {
		err = errors.Join(err, l.system.tell(computerKind, string(id), missed{}, newComputer(l.deps, id)))
	}
	return translate(err)
}

// refusal is a failure of the owner on its way to another node.
type refusal struct {
	Kind  fault.Kind    `json:"kind"`
	Code  string        `json:"code,omitempty"`
	Field string        `json:"field,omitempty"`
	Error string        `json:"error"`
	Retry time.Duration `json:"retry,omitempty"`
}

func refuse(w http.ResponseWriter, err error) {
	r := refusal{Kind: fault.Of(err), Error: faultText(err)}
	var known *fault.Error
	if errors.As(err, &known) {
		r.Code, r.Field, r.Retry = known.Code, known.Field, known.RetryAfter
	}
	w.Header().Set(faultHeader, string(r.Kind))
	w.WriteHeader(http.StatusServiceUnavailable)
	// A caller that is gone reads nothing; there is nobody else to tell.
	_ = json.NewEncoder(w).Encode(r)
}

// refused reads an owner's failure from its answer, and closes that.
func refused(res *http.Response) error {
	defer res.Body.Close()
	var r refusal
	if err := json.NewDecoder(io.LimitReader(res.Body, maxFaultBytes)).Decode(&r); err != nil {
		return fault.New(fault.Unavailable, "the computer's owner went away: %w", err).WithRetry(retryMailbox)
	}
	return fault.New(r.Kind, "%s", r.Error).WithCode(r.Code).WithField(r.Field).WithRetry(r.Retry)
}
