package state

import (
	"slices"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// Phase is where a computer is in its life, as its owner last recorded it.
//
//	provisioning ──▶ starting ──▶ running ◀──▶ updating
//	     │   ▲           │  ▲        │
//	     │   │           │  │        ▼
//	     │   └─ failed ◀─┤  └───── stopping
//	     │       │   ▲   │           │
//	     │       │   │   ▼           ▼
//	     └───────┼───┴─ stopped ◀────┘
//	             ▼         │
//	          deleting ◀───┘  (from every phase)
//	             │
//	             ▼
//	          deleted
type Phase string

const (
	Provisioning Phase = "provisioning" // exists as a record; no owner has made it yet
	Starting     Phase = "starting"
	Running      Phase = "running"
	Updating     Phase = "updating" // running, its limits or image being changed
	Stopping     Phase = "stopping"
	Stopped      Phase = "stopped"
	Failed       Phase = "failed" // a start failed; Error says why
	Deleting     Phase = "deleting"
	Deleted      Phase = "deleted"
)

// Phases lists every phase.
func Phases() []Phase {
	return []Phase{Provisioning, Starting, Running, Updating, Stopping, Stopped, Failed, Deleting, Deleted}
}

// moves lists every legal move. A phase with no moves is final. Staying is
// always legal: doing it twice is success. A running computer whose owner died
// goes to starting at its next owner, so Running may lead there too. An owner
// that was quick records only that the computer runs: every phase that can
// lead to starting can lead to running.
var moves = map[Phase][]Phase{
	Provisioning: {Starting, Running, Stopped, Failed, Deleting},
	Starting:     {Running, Stopping, Stopped, Failed, Deleting},
	Running:      {Updating, Starting, Stopping, Stopped, Failed, Deleting},
	Updating:     {Running, Starting, Stopping, Stopped, Failed, Deleting},
	Stopping:     {Stopped, Starting, Running, Failed, Deleting},
	Stopped:      {Starting, Running, Provisioning, Failed, Deleting},
	Failed:       {Provisioning, Starting, Running, Stopped, Deleting},
	Deleting:     {Deleted},
	Deleted:      nil,
}

// To returns q if a computer may go from p to q, and a Conflict otherwise.
func (p Phase) To(q Phase) (Phase, error) {
	if p == q || slices.Contains(moves[p], q) {
		return q, nil
	}
	return p, fault.New(fault.Conflict, "a %s computer cannot become %s", p, q)
}

// Up reports whether the computer has, or is about to have, processes.
func (p Phase) Up() bool { return p == Starting || p == Running || p == Updating }
