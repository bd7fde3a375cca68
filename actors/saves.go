package actors

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
)

// savePath is where an owner is asked by other nodes to save a computer.
const savePath = "/computers/save/"

// Save saves a computer off its node as it is now, through any node, and returns
// what its record then says. It is Unsupported with CodeNoStore where there is no
// blob store.
func (s *Computers) Save(ctx context.Context, c Caller, id state.ComputerID) (state.Computer, error) {
	find := func(v *state.View) (state.Computer, error) { return v.Computer(c.Account, id) }
	if now, err := view(ctx, s.cluster, find); err != nil || now.Saved.Clean {
		return now, err // wherever its disk is: the save is all there is
	}
	_, err := anew(ctx, s, c.Account, id, func() (struct{}, error) {
		owner, err := s.owner(ctx, c.Account, id)
		if err != nil {
			return struct{}{}, err
		}
		if owner != s.cluster.Self() {
			return struct{}{}, s.remote.Save(ctx, owner, c.Account, id)
		}
		return struct{}{}, s.local.Save(ctx, id)
	})
	if err != nil {
		return state.Computer{}, err
	}
	return view(ctx, s.cluster, find)
}

// Recover takes the last save of a computer for its newest disk, whose node is
// away, and gives it to a node that reaches the save: what changed since then is
// given up. It is a Conflict, with CodeNoSave where there is no save, for one
// whose disk is there. Whoever uses it next has it restored.
func (s *Computers) Recover(ctx context.Context, c Caller, id state.ComputerID) (state.Computer, error) {
	if _, err := s.cluster.Apply(ctx, state.RecoverComputer{Account: c.Account, Computer: id}); err != nil {
		return state.Computer{}, err
	}
	if _, err := s.cluster.Place(ctx, id); err != nil {
		return state.Computer{}, err
	}
	return view(ctx, s.cluster, func(v *state.View) (state.Computer, error) { return v.Computer(c.Account, id) })
}

// OldestUnsaved is the age of the oldest change of a computer of this node that
// is not in the blob store; 0 without any.
func (s *Computers) OldestUnsaved() time.Duration { return s.local.deps.savings.age(s.now()) }

// Save saves a computer that this node owns as it is now, and returns when the
// record says so. What stops writing before, and gives it up after, loses nothing.
func (l *local) Save(ctx context.Context, id state.ComputerID) error {
	_, err := l.system.ask(ctx, computerKind, string(id), save{}, newComputer(l.deps, id))
	return err
}

// using reports whether files of a computer are read or written just now.
func (l *local) using(id state.ComputerID) bool { return l.files.uses(id) || l.streams.uses(id) }

// Save has another node save a computer that it owns.
func (w *wire) Save(ctx context.Context, node state.NodeID, account state.AccountID, id state.ComputerID) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+string(node)+savePath+string(account)+"/"+string(id), nil)
	if err != nil {
		return fmt.Errorf("ask node %s: %w", node, err)
	}
	res, err := w.client.Do(req)
	if err != nil {
		return unreached(node, err)
	}
	if res.Header.Get(faultHeader) != "" {
		return refused(res)
	}
	return res.Body.Close()
}

// serveSave saves a computer that this node owns for another node.
func (l *local) serveSave(w http.ResponseWriter, r *http.Request) {
	id := state.ComputerID(r.PathValue("computer"))
	err := l.belongs(r.Context(), state.AccountID(r.PathValue("account")), id)
	if err == nil {
		err = l.Save(r.Context(), id)
	}
	if err != nil {
		refuse(w, err)
	}
}
