package state

import (
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

const (
	// MaxAuditUses bounds the audit records of one account that are about uses, and
	// those of the cluster itself. They are counted apart, so that what is done
	// all day long pushes out no record of a change.
	MaxAuditUses = 50_000
	// MaxUses bounds the uses of one command.
	MaxUses = 200
	// MaxUseAge bounds how long before its command a use may have begun.
	MaxUseAge = 24 * time.Hour
	// usesVersion is the command version since which uses are audited, and
	// changes counted apart from them.
	usesVersion = 6
)

// The uses that are audited. All but BackupTake are routine: there are many.
const (
	ExecRun      = "exec.run"
	TerminalOpen = "terminal.open"
	DesktopOpen  = "desktop.open"
	FileRead     = "file.read"
	FileWrite    = "file.write"
	FileDelete   = "file.delete"
	SSHLogin     = "ssh.login"
	SSHShell     = "ssh.shell"
	SSHCommand   = "ssh.command"
	SSHFiles     = "ssh.files"
	SSHForward   = "ssh.forward"
	BackupTake   = "backup.take"
)

// Use is something that was done, once or several times, and changed no record.
type Use struct {
	Action   string     `cbor:"1,keyasint"`
	Account  AccountID  `cbor:"2,keyasint"` // whose thing it was done to; "" is the cluster's own
	Resource Resource   `cbor:"3,keyasint"` // what opened the way, such as a session; else what it was done to
	Computer ComputerID `cbor:"4,keyasint,omitempty"`
	Detail   string     `cbor:"5,keyasint,omitempty"` // for people: names, and never what was in a command or a file
	By       Cause      `cbor:"6,keyasint"`           // the first time's
	Count    int        `cbor:"7,keyasint"`           // how often, 1 or more
	// Age is how long before the command was proposed it was done first, by the
	// clock of that node alone.
	Age time.Duration `cbor:"8,keyasint,omitempty"`
}

// RecordUses audits what was done through a node.
type RecordUses struct {
	Uses []Use `cbor:"1,keyasint"` // at most MaxUses
}

func (cmd RecordUses) apply(tx *Tx) error {
	if len(cmd.Uses) > MaxUses {
		return fault.New(fault.Invalid, "%d uses in one command; at most %d may be", len(cmd.Uses), MaxUses)
	}
	for _, u := range cmd.Uses {
		if u.Action == "" || u.Count < 1 {
			return fault.New(fault.Invalid, "a use without an action or a count")
		}
		a := AuditRecord{Action: u.Action, Account: u.Account, Resource: u.Resource, Computer: u.Computer, Detail: u.Detail, By: u.By,
			Class: AuditChange, Count: u.Count}
		if u.Action != BackupTake {
			a.Class, a.Since = AuditUse, tx.now.Add(-min(max(u.Age, 0), MaxUseAge))
		}
		if err := tx.write(a); err != nil {
			return err
		}
	}
	return nil
}
