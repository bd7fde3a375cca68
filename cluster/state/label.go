package state

import "github.com/bothy-computer/bothy/cluster/fault"

// CodeHandleTaken marks the Conflict of a handle that another computer of the
// account has.
const CodeHandleTaken = "HANDLE_TAKEN"

// freeHandle refuses a handle that another computer of the account has.
func (tx *Tx) freeHandle(c Computer) error {
	if c.Handle == "" {
		return nil
	}
	have, taken, err := tx.ComputerNamed(c.Account, c.Handle)
	if err == nil && taken && have.ID != c.ID {
		err = fault.New(fault.Conflict, "a computer with the handle %q exists", c.Handle).WithCode(CodeHandleTaken).WithField("handle")
	}
	return err
}

// labelTail is how much of an id makes a label one of its own.
const labelTail = 8

// label is the handle, made longer where another account's computer has it. A
// computer without a handle has none: its id serves.
func (tx *Tx) label(c Computer) (string, error) {
	if c.Handle == "" {
		return "", nil
	}
	_, taken, err := tx.ComputerLabelled(c.Handle)
	if err != nil || !taken {
		return c.Handle, err
	}
	id := string(c.ID)
	return c.Handle + "-" + id[max(0, len(id)-labelTail):], nil
}
