package actors

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

const (
	// filesDeadline bounds an operation on files.
	filesDeadline = 2 * time.Minute
	// MaxFileOpBytes bounds an operation as a client sends it: base64 makes its
	// content a third longer.
	MaxFileOpBytes = workspace.MaxContentBytes/3*4 + 1<<20
)

// Codes of failures that a door may tell apart.
const (
	CodeNoFile     = "FILE_NOT_FOUND"
	CodeFileExists = "FILE_EXISTS"
)

// FileOp is an operation on the files of a computer, and FileResult what it
// answers. Both are Agent Computer's own JSON.
type (
	FileOp     = workspace.Op
	FileResult = workspace.Result
)

// Files does an operation on a computer's workspace, through any node, whether
// the computer runs or not. It starts nothing and does not keep a computer
// from idling. A computer that has no disk yet reads as empty; what changes it
// has its owner make the disk first.
//
// Errors: Invalid names the field; NotFound has CodeNoFile for a path and no
// code for a computer; Conflict has CodeFileExists; Full when the computer's
// storage is; Unavailable when its newest data is on a node that is away.
func (s *Computers) Files(ctx context.Context, c Caller, id state.ComputerID, op FileOp) (FileResult, error) {
	result, err := s.operate(ctx, c, id, op)
	if action := fileAction(op); err == nil && action != "" {
		s.diary.Note(ctx, action, c.Account, id, op.Path, op.To)
	}
	return result, err
}

// fileAction is how an operation is audited; "" where it only tells what files
// there are.
func fileAction(op FileOp) string {
	switch op.Verb {
	case workspace.List, workspace.Stat, workspace.Exists:
		return ""
	case workspace.Remove:
		return state.FileDelete
	}
	if op.Mutates() {
		return state.FileWrite
	}
	return state.FileRead
}

// operate is Files for what the audit log is not told of.
func (s *Computers) operate(ctx context.Context, c Caller, id state.ComputerID, op FileOp) (FileResult, error) {
	if err := op.Check(); err != nil {
		return FileResult{}, fileFault(err)
	}
	ctx, cancel := context.WithTimeout(ctx, filesDeadline)
	defer cancel()
	return anew(ctx, s, c.Account, id, func() (FileResult, error) { return s.files(ctx, c.Account, id, op) })
}

func (s *Computers) files(ctx context.Context, account state.AccountID, id state.ComputerID, op FileOp) (FileResult, error) {
	if !op.Mutates() {
		if blank, err := s.unclaimed(ctx, account, id); err != nil || blank {
			return blankResult(op, err)
		}
	}
	owner, err := s.owner(ctx, account, id)
	if err != nil {
		return FileResult{}, err
	}
	if owner != s.cluster.Self() {
		return s.remote.Files(ctx, owner, account, id, op)
	}
	return s.local.Files(ctx, account, id, op)
}

// unclaimed reports whether a computer has never had an owner, and so nothing
// to read. Looking into one gives it none.
func (s *Computers) unclaimed(ctx context.Context, account state.AccountID, id state.ComputerID) (bool, error) {
	c, _, err := s.known(account, id)
	if err == nil && c.Node != "" {
		return false, nil
	}
	c, err = view(ctx, s.cluster, func(v *state.View) (state.Computer, error) { return v.Computer(account, id) })
	return c.Node == "" && c.Source == "" && c.DataNode == "", err
}

func blankResult(op FileOp, err error) (FileResult, error) {
	if err != nil {
		return FileResult{}, err
	}
	result, err := workspace.Blank(op)
	return result, fileFault(err)
}

// Files does an operation on a computer that this node owns. Nothing was done
// when it fails with Moved.
func (l *local) Files(ctx context.Context, account state.AccountID, id state.ComputerID, op FileOp) (FileResult, error) {
	leave, err := l.files.enter(id)
	if err != nil {
		return FileResult{}, err
	}
	defer leave()
	return l.filesIn(ctx, account, id, op)
}

// filesIn is Files for who has a place in the room.
func (l *local) filesIn(ctx context.Context, account state.AccountID, id state.ComputerID, op FileOp) (FileResult, error) {
	leased, cancel := l.deps.lease(ctx)
	defer cancel()
	w, err := l.workspaceNow(leased, account, id, op)
	if err != nil || w == nil {
		return blankResult(op, err)
	}
	defer w.Close()
	if op.Writes() {
		// Each sees what the one before it left: a patch reads, then writes.
		done, err := l.files.turn(leased, id, op.Path)
		if err != nil {
			return FileResult{}, cutShort(ctx, err)
		}
		defer done()
	}
	result, err := w.Do(leased, op)
	if err != nil && leased.Err() != nil {
		return FileResult{}, cutShort(ctx, err)
	}
	return result, fileFault(err)
}

func cutShort(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fault.New(fault.Unavailable, "the operation did not end in time: %w", err).WithRetry(retryMailbox)
	}
	return fault.New(fault.Unavailable, "the computer's owner may no longer act: %w", err).WithRetry(retryMailbox)
}

// workspace opens a computer's files in its present epoch; nil when there is
// nothing in them and nothing is to be written.
func (l *local) workspace(ctx context.Context, account state.AccountID, id state.ComputerID, op FileOp) (*workspace.FS, error) {
	record, err := l.mine(ctx, account, id)
	if err != nil {
		return nil, err
	}
	w, ok := l.deps.driver.(runtime.Workspacer)
	if !ok {
		return nil, fault.New(fault.Unsupported, "this node's computers show no files")
	}
	epoch := record.Epoch
	if record.DataNode != l.deps.cluster.Self() && record.Restores() { // whatever is here is not what the save has
		if epoch, err = l.lay(ctx, id); err != nil {
			return nil, err
		}
	}
	if op.Mutates() {
		if err := l.deps.write(ctx, id); err != nil {
			return nil, translate(err)
		}
	}
	root, err := w.Workspace(ctx, runtime.Epoch(epoch), runtime.ID(id))
	if errors.Is(err, runtime.ErrNotFound) && record.DataNode == "" {
		if !op.Mutates() && record.Source == "" {
			return nil, nil
		}
		if epoch, err = l.lay(ctx, id); err != nil {
			return nil, err
		}
		root, err = w.Workspace(ctx, runtime.Epoch(epoch), runtime.ID(id))
	}
	if errors.Is(err, runtime.ErrNotFound) {
		return nil, fault.New(fault.Unavailable, "the disk of computer %s is not on its node: %w", id, err)
	}
	if err != nil {
		return nil, translate(err)
	}
	return workspace.Open(root)
}

// mine reads a computer's record on the node that owns it, and has its newest
// data if there is any.
func (l *local) mine(ctx context.Context, account state.AccountID, id state.ComputerID) (state.Computer, error) {
	read := func(v *state.View) (state.Computer, error) { return v.Computer(account, id) }
	c, err := applied(l.deps.cluster, read)
	self := l.deps.cluster.Self()
	if err != nil || c.Node != self {
		// It may have become this node's a moment ago.
		if c, err = view(ctx, l.deps.cluster, read); err != nil {
			return c, err
		}
	}
	switch {
	case c.Node != self:
		return c, fault.New(fault.Moved, "computer %s belongs to another node", id)
	case c.Wish == state.WishDeleted:
		return c, fault.New(fault.Conflict, "computer %s is being deleted", id)
	case c.DataNode != "" && c.DataNode != self && !c.Restores():
		if l.followsDisk(ctx, c) {
			return c, fault.New(fault.Moved, "computer %s belongs to the node with its newest files again", id)
		}
		return c, fault.New(fault.Unavailable, "the newest files of computer %s are on another node than its owner; they can be used when it has started", id).
			WithCode(state.CodeDataAway).WithRetry(retryMailbox)
	}
	return c, nil
}

// followsDisk gives a computer that rests back to the node with its newest disk, if
// that may act. A run had brought it here while that node was away, and was over
// before it touched it.
func (l *local) followsDisk(ctx context.Context, c state.Computer) bool {
	if c.Live > 0 || c.Phase != state.Stopped || c.Wish != state.WishStopped {
		return false
	}
	_, err := l.deps.cluster.Apply(ctx, state.HandOver{Computer: c.ID, Epoch: c.Epoch, To: c.DataNode})
	return err == nil
}

// lay has the computer's actor make its disk, without starting it.
func (l *local) lay(ctx context.Context, id state.ComputerID) (state.Epoch, error) {
	v, err := l.system.ask(ctx, computerKind, string(id), lay{}, newComputer(l.deps, id))
	if err != nil {
		return 0, err
	}
	return v.(grant).epoch, nil
}

// fileFault says what a workspace's failure means to a caller.
func fileFault(err error) error {
	var field *workspace.FieldError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &field):
		return fault.New(fault.Invalid, "%s: %s", field.Field, field.Why).WithField(field.Field)
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(fault.NotFound, "%w", err).WithCode(CodeNoFile)
	case errors.Is(err, fs.ErrExist):
		return fault.New(fault.Conflict, "%w", err).WithCode(CodeFileExists)
	}
	return translate(err)
}
