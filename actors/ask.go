package actors

import (
	"context"
	"crypto/rand"
	"encoding/hex"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// Asked is a computer of which something was asked, and the operation that was
// begun for it; nil when nothing was left to do.
type Asked struct {
	Computer  state.Computer
	Operation *state.Operation
}

// maxHandles bounds how often a handle is made up that is taken already.
const maxHandles = 5

// Create makes the record of a computer and asks for it to run; its owner does
// the rest. Without a handle it is given one. It is refused with Payment when
// the account cannot pay for its first minutes.
func (s *Computers) Create(ctx context.Context, c Caller, spec state.Computer) (Asked, error) {
	spec, err := s.specify(ctx, c, spec)
	if err != nil {
		return Asked{}, err
	}
	kind := state.CreateOperation
	if spec.Source != "" {
		kind = state.RestoreOperation
	}
	o := state.Operation{ID: newID[state.OperationID]("op"), Kind: kind}
	made, err := s.create(ctx, c, spec, &o)
	if err != nil {
		return Asked{}, err
	}
	id := state.ComputerID(made.Resource.ID)
	if made.Replayed {
		o.ID = ""
	} else {
		s.settle(ctx, id)
	}
	return s.asked(c.Account, id, o.ID)
}

// specify gives a new computer its id and what was not asked for.
func (s *Computers) specify(ctx context.Context, c Caller, spec state.Computer) (_ state.Computer, err error) {
	spec.ID, spec.Account, spec.Wish, spec.IdleStop = newComputerID(), c.Account, state.WishRunning, s.shape.ComputerIdle
	if spec.Image == "" {
		spec.Image = s.shape.Image
	} else if spec.Image, err = s.images.choose(ctx, c.Account, spec.Image); err != nil {
		return spec, err
	}
	if spec.MilliCPU == 0 {
		spec.MilliCPU = s.shape.MilliCPU
	}
	return spec, s.local.deps.meter.affordsNew(ctx, spec)
}

// create makes up handles until one is free, if none is given.
func (s *Computers) create(ctx context.Context, c Caller, spec state.Computer, o *state.Operation) (made state.Made, err error) {
	given := spec.Handle != ""
	for range maxHandles {
		if !given {
			spec.Handle = newHandle()
		}
		made, err = propose[state.Made](ctx, s.cluster, state.CreateComputer{Computer: spec, Operation: o, Idempotency: c.Idempotency})
		if given || !hasCode(err, state.CodeHandleTaken) {
			break
		}
	}
	return made, err
}

// newHandle is a name for a computer that was given none.
func newHandle() string {
	var b [4]byte
	rand.Read(b[:])
	return "computer-" + hex.EncodeToString(b[:])
}

// Delete asks for the end of a computer, at the door it was made at, and does
// not wait for it.
func (s *Computers) Delete(ctx context.Context, c Caller, id state.ComputerID, at state.Origin) (Asked, error) {
	if err := s.standsAlone(ctx, c, id, at); err != nil {
		return Asked{}, err
	}
	return s.Ask(ctx, c, id, state.WishDeleted)
}

// Ask wishes something of a computer and does not wait for it.
func (s *Computers) Ask(ctx context.Context, c Caller, id state.ComputerID, w state.Wish) (Asked, error) {
	kind := map[state.Wish]state.OperationKind{state.WishRunning: state.StartOperation,
		state.WishStopped: state.StopOperation, state.WishDeleted: state.DeleteOperation}[w]
	if w == state.WishRunning {
		if err := s.local.deps.meter.affords(ctx, c.Account, id); err != nil {
			return Asked{}, err
		}
	}
	o := &state.Operation{ID: newID[state.OperationID]("op"), Kind: kind}
	done, err := propose[state.Wished](ctx, s.cluster, state.SetWish{Account: c.Account, Computer: id, Wish: w, Operation: o})
	if err != nil {
		return Asked{}, err
	}
	if done.Operation != "" {
		s.settle(ctx, id)
	}
	return s.asked(c.Account, id, done.Operation)
}

// settle finds the computer an owner at once. A failure is no failure of what
// was asked: while an operation is open the leader goes on looking for one.
func (s *Computers) settle(ctx context.Context, id state.ComputerID) {
	if _, err := s.cluster.Place(ctx, id); err != nil && ctx.Err() == nil {
		s.local.deps.log.Info("a computer has no owner yet", "computer", string(id), "err", err)
	}
}

// asked reads what a request made or changed, on this node, which has applied it.
func (s *Computers) asked(account state.AccountID, id state.ComputerID, op state.OperationID) (Asked, error) {
	return applied(s.cluster, func(v *state.View) (a Asked, err error) {
		c, ok, err := v.AnyComputer(id)
		if err != nil || !ok || c.Account != account {
			return a, orNotFound(err, id)
		}
		a.Computer = c
		if op != "" {
			o, err := v.Operation(account, op)
			a.Operation = &o
			return a, err
		}
		open, err := v.OpenOperations(id)
		if err == nil && len(open) > 0 {
			a.Operation = &open[len(open)-1]
		}
		return a, err
	})
}

func orNotFound(err error, id state.ComputerID) error {
	if err != nil {
		return err
	}
	return fault.New(fault.NotFound, "Computer not found: %s", id)
}

// Shown is how a computer is shown, and what agents on it are told; nil stays
// as it is.
type Shown struct{ Name, Icon, Instructions *string }

// Update changes how a computer is shown.
func (s *Computers) Update(ctx context.Context, c Caller, id state.ComputerID, to Shown) (Asked, error) {
	cmd := state.UpdateComputer{Account: c.Account, Computer: id, Name: to.Name, Icon: to.Icon, Instructions: to.Instructions}
	if _, err := s.cluster.Apply(ctx, cmd); err != nil {
		return Asked{}, err
	}
	return s.asked(c.Account, id, "")
}

// Resize asks for another size and does not wait for it. A zero of size stays
// as it is.
func (s *Computers) Resize(ctx context.Context, c Caller, id state.ComputerID, size state.Size) (Asked, error) {
	now, err := view(ctx, s.cluster, func(v *state.View) (state.Computer, error) { return v.Computer(c.Account, id) })
	if err != nil {
		return Asked{}, err
	}
	if size.MemoryBytes == 0 {
		size.MemoryBytes = now.MemoryBytes
	}
	if size.DiskBytes == 0 {
		size.DiskBytes = now.DiskBytes
	}
	if size.MilliCPU == 0 {
		size.MilliCPU = now.MilliCPU
	}
	done, err := propose[state.Wished](ctx, s.cluster, state.ResizeComputer{Account: c.Account, Computer: id, Size: size,
		Operation: state.Operation{ID: newID[state.OperationID]("op")}})
	if err != nil {
		return Asked{}, err
	}
	if done.Operation != "" {
		s.settle(ctx, id)
	}
	return s.asked(c.Account, id, done.Operation)
}

// Transfer gives a computer to another account.
func (s *Computers) Transfer(ctx context.Context, c Caller, id state.ComputerID, to state.AccountID) (state.Computer, error) {
	if _, err := s.cluster.Apply(ctx, state.TransferComputer{Account: c.Account, Computer: id, To: to}); err != nil {
		return state.Computer{}, err
	}
	return applied(s.cluster, func(v *state.View) (state.Computer, error) { return v.Computer(to, id) })
}

// doors say where computers of other doors are deleted.
var doors = map[state.Origin]string{
	state.OriginAgentComputer: "DELETE /v1/computers",
	state.OriginRebyte:        "DELETE /v1/agent-computers",
}

// standsAlone refuses to take the computer from under an environment, or to
// delete it elsewhere than at its own door; "" is an operator's, who may.
func (s *Computers) standsAlone(ctx context.Context, c Caller, id state.ComputerID, at state.Origin) error {
	tasks := 0
	computer, err := view(ctx, s.cluster, func(v *state.View) (on state.Computer, err error) {
		if on, err = v.Computer(c.Account, id); err == nil {
			tasks, err = v.CountTasksOn(c.Account, id)
		}
		return on, err
	})
	switch {
	case err != nil:
		return err
	case computer.Environment != "":
		return fault.New(fault.Conflict, "computer %s belongs to environment %s; delete that", id, computer.Environment)
	case computer.Origin == state.OriginTask && tasks == 0:
		return nil // its tasks were deleted as threads
	case at != "" && computer.Origin == state.OriginTask:
		return fault.New(fault.Conflict, "computer %s was made for a task; it goes with DELETE /v1/tasks of the last task on it", id)
	case at != "" && computer.Origin != at:
		return fault.New(fault.Conflict, "computer %s was made elsewhere; delete it with %s/%s", id, doors[computer.Origin], id)
	}
	return nil
}
