// Package fake is a driver of records only: it does what a driver promises,
// at once and without processes, so that a test may run thousands of
// computers on hundreds of nodes and say exactly what goes wrong when.
//
// Drivers that share a World are the nodes of one cluster. The World keeps
// the history of their calls and notices when two of them run the same
// computer in the same epoch, or at the same time.
//
// A Script makes calls fail, wait or answer late, and says what commands do
// and who listens in computers.
// Without one a command prints its arguments, separated by spaces, and ends
// with 0. With Options.Local commands really run: as the user of the test, on
// this machine, without any isolation, in the computer's workspace directory,
// so that code which needs a shell and files can be tested where no container
// can be had. Cmd.User is ignored then.
//
// A Builder makes images, of records too.
//
// The drivers of a World share a blob store, once World.SetStore has named one.
package fake

import "github.com/bothy-computer/bothy/runtime"

// Op names a method of the driver.
type Op string

// The methods, as a Script and the history call them.
const (
	Create    Op = "create"
	Start     Op = "start"
	Stop      Op = "stop"
	Remove    Op = "remove"
	Inspect   Op = "inspect"
	List      Op = "list"
	Exec      Op = "exec"
	Guest     Op = "guest"
	Dial      Op = "dial"
	Listen    Op = "listen"
	Display   Op = "display"
	Thaw      Op = "thaw"
	SetEgress Op = "set-egress"
	Resize    Op = "resize"
	Rebase    Op = "rebase"
	Pause     Op = "pause"
	Resume    Op = "resume"
	Usage     Op = "usage"
	Workspace Op = "workspace"
	Capacity  Op = "capacity"
	// Snapshots is "" as an ID when all are asked for.
	Snapshot     Op = "snapshot"
	DropSnapshot Op = "drop-snapshot"
	Snapshots    Op = "snapshots"
	// SavedComputers has no ID.
	SaveSnapshot   Op = "save-snapshot"
	Unsaved        Op = "unsaved"
	SweepSaves     Op = "sweep-saves"
	ForgetSaves    Op = "forget-saves"
	SavedComputers Op = "saved-computers"
	// SentComputers has no ID.
	SendSnapshot  Op = "send-snapshot"
	ForgetSent    Op = "forget-sent"
	SentComputers Op = "sent-computers"
	// Freeze and Crash are no calls of a node: the warden froze the computer,
	// or it ended by itself.
	Freeze Op = "freeze"
	Crash  Op = "crash"
)

// runs lists the calls that only a computer's owner may make with effect.
var runs = map[Op]bool{Start: true, Exec: true, Guest: true, Dial: true, Listen: true, Display: true, Thaw: true, Resume: true}

var (
	_ runtime.Driver       = (*Driver)(nil)
	_ runtime.Execer       = (*Driver)(nil)
	_ runtime.Guester      = (*Driver)(nil)
	_ runtime.Dialer       = (*Driver)(nil)
	_ runtime.Listener     = (*Driver)(nil)
	_ runtime.Shelver      = (*Driver)(nil)
	_ runtime.ImageSweeper = (*Driver)(nil)
	_ runtime.Distributor  = (*Driver)(nil)
	_ runtime.Importer     = (*Driver)(nil)
	_ runtime.Displayer    = (*Driver)(nil)
	_ runtime.Thawer       = (*Driver)(nil)
	_ runtime.Networker    = (*Driver)(nil)
	_ runtime.Resizer      = (*Driver)(nil)
	_ runtime.Rebaser      = (*Driver)(nil)
	_ runtime.Pauser       = (*Driver)(nil)
	_ runtime.Meterer      = (*Driver)(nil)
	_ runtime.Workspacer   = (*Driver)(nil)
	_ runtime.Sizer        = (*Driver)(nil)

	_ runtime.Snapshotter = (*Driver)(nil)
	_ runtime.Saver       = (*Driver)(nil)
	_ runtime.Mover       = (*Driver)(nil)
)
