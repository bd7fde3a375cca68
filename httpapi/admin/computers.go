package admin

import (
	"context"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// listComputers serves GET /v1/admin/computers: those of the caller's account,
// or of ?account=.
func (a *API) listComputers(c *gin.Context) error {
	page, err := door.Page(c)
	if err != nil {
		return err
	}
	account := door.CallerOf(c).Account
	if asked := c.Query("account"); asked != "" && asked != "self" {
		if !door.LooksLikeID(asked) {
			return invalid("account", "account is not an id: %s", strconv.QuoteToASCII(asked))
		}
		account = state.AccountID(asked)
	}
	var reply wire.List[wire.Computer]
	err = a.LookAll(c, func(v *state.View) error {
		if _, err := v.Account(account, a.Now()); err != nil {
			return err
		}
		list, err := v.Computers(account, page, nil)
		reply = listed(list, page, a.computerOf)
		return err
	})
	if err == nil {
		a.ok(c, reply)
	}
	return err
}

// computer finds the computer in the path, of any account by its id and of the
// caller's own by its handle, and names its owner.
func (a *API) computer(c *gin.Context) (found state.Computer, err error) {
	id, err := door.ID(c, "id", "Computer")
	if err != nil {
		return found, err
	}
	err = a.Look(c, func(v *state.View) error {
		computer, ok, err := v.AnyComputer(state.ComputerID(id))
		if err == nil && !ok {
			computer, ok, err = v.ComputerNamed(door.CallerOf(c).Account, id)
		}
		if err == nil && (!ok || computer.Phase == state.Deleted) {
			err = fault.New(fault.NotFound, "Computer not found: %s", id)
		}
		if err != nil {
			return err
		}
		found = computer
		return a.Owner(c, v, computer.ID)
	})
	return found, err
}

// on is the caller acting for the account that a computer belongs to.
func on(c *gin.Context, computer state.Computer) actors.Caller {
	caller := door.CallerOf(c)
	caller.Account = computer.Account
	return caller
}

// getComputer serves GET /v1/admin/computers/:id.
func (a *API) getComputer(c *gin.Context) error {
	computer, err := a.computer(c)
	if err == nil {
		a.ok(c, wire.OneComputer{Computer: a.computerOf(computer)})
	}
	return err
}

// removeComputer serves DELETE /v1/admin/computers/:id. One that belongs to an
// environment goes with it only.
func (a *API) removeComputer(c *gin.Context) error {
	computer, err := a.computer(c)
	if err != nil {
		return err
	}
	if err := a.Computers.Remove(c.Request.Context(), on(c, computer), computer.ID); err != nil {
		return err
	}
	a.ok(c, wire.Done{Success: true, Deleted: true})
	return nil
}

// startComputer serves POST /v1/admin/computers/:id/start.
func (a *API) startComputer(c *gin.Context) error { return a.turn(c, a.Computers.Start) }

// stopComputer serves POST /v1/admin/computers/:id/stop.
func (a *API) stopComputer(c *gin.Context) error { return a.turn(c, a.Computers.Stop) }

// saveComputer serves POST /v1/admin/computers/:id/save.
func (a *API) saveComputer(c *gin.Context) error { return a.turn(c, a.Computers.Save) }

// recoverComputer serves POST /v1/admin/computers/:id/recover.
func (a *API) recoverComputer(c *gin.Context) error { return a.turn(c, a.Computers.Recover) }

func (a *API) turn(c *gin.Context, act func(context.Context, actors.Caller, state.ComputerID) (state.Computer, error)) error {
	computer, err := a.computer(c)
	if err != nil {
		return err
	}
	computer, err = act(c.Request.Context(), on(c, computer), computer.ID)
	if err != nil {
		return err
	}
	a.OwnerNow(c, computer.ID)
	a.ok(c, wire.OneComputer{Computer: a.computerOf(computer)})
	return nil
}

func (a *API) computerOf(computer state.Computer) wire.Computer {
	w := wire.Computer{ID: string(computer.ID), AccountID: string(computer.Account), Name: computer.Name, Epoch: uint64(computer.Epoch),
		Phase: string(computer.Phase), Wish: string(computer.Wish), Image: computer.Image, MemoryBytes: computer.MemoryBytes,
		MilliCPU: computer.MilliCPU, DiskBytes: computer.DiskBytes, Internet: computer.Egress, Runs: computer.Live,
		StartedAt: wire.Maybe(computer.StartedAt), SavedAt: wire.Maybe(computer.Saved.MadeAt), SavedWhole: computer.Saved.Clean,
		RestoredAt: wire.Maybe(computer.Restored.At), RestoredFrom: wire.Maybe(computer.Restored.MadeAt), CreatedAt: wire.At(computer.CreatedAt), UpdatedAt: wire.At(computer.UpdatedAt)}
	if computer.Environment != "" {
		env := string(computer.Environment)
		w.EnvironmentID = &env
	}
	if computer.Node != "" {
		name := a.Records.NodeName(computer.Node)
		w.Node = &name
	}
	if computer.Error != "" {
		w.Error = &computer.Error
	}
	if computer.SaveError != "" {
		w.SaveError = &computer.SaveError
	}
	return w
}
