package warden

// posture is whether computers may run.
//
//	        deadline passes, or fence asked
//	open ─────────────────────────────────────▶ shut
//	 ▲                                           │
//	 └───────────────────────────────────────────┘
//	   a deadline ahead (or none): each computer stays
//	   frozen by itself until it is thawed by name
type posture string

const (
	open posture = "open"
	shut posture = "shut"
)

// deed is what a change of posture asks of the cgroups.
type deed string

const (
	nothing  deed = "nothing"
	freeze   deed = "freeze"    // the node's whole group
	handDown deed = "hand down" // from the group to each computer
)

// fence holds the deadline. It has no clock and does nothing itself.
type fence struct {
	Posture  posture `json:"posture"`
	Deadline Instant `json:"deadline"` // NoDeadline: none
}

// extend takes a new deadline. One that has passed shuts the fence: a node
// that was stopped for long may push an old one when it goes on.
func (f fence) extend(deadline, now Instant) (fence, deed) {
	f.Deadline = deadline
	ahead := deadline == NoDeadline || deadline > now
	switch {
	case f.Posture == open && !ahead:
		f.Posture = shut
		return f, freeze
	case f.Posture == shut && ahead:
		f.Posture = open
		return f, handDown
	}
	return f, nothing
}

// look is asked when time has gone by.
func (f fence) look(now Instant) (fence, deed) { return f.extend(f.Deadline, now) }
