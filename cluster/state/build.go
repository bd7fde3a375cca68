package state

import (
	"fmt"
	"slices"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// Bounds of builds.
const (
	// MaxOpenBuilds bounds the builds of one account that are not over.
	MaxOpenBuilds = 64
	// MaxBuildTries is how often a build is begun: a second time when its node
	// was lost, and no third.
	MaxBuildTries = 2
	// MaxBuildLogBytes bounds what is kept of one build's output.
	MaxBuildLogBytes = 4 << 20
	// MaxDockerfileBytes bounds the Dockerfile that an image is made by.
	MaxDockerfileBytes = 256 << 10
	// KeptBuilds is how many builds of an environment that are over are kept,
	// with their logs; and as many tests.
	KeptBuilds = 5
	// BuildDelay is how long after a change of the recipe its build begins: most
	// changes come in a row.
	BuildDelay = 5 * time.Second
	// BuildQueueTime bounds how long a build waits for a node.
	BuildQueueTime = time.Hour
	// BuildGrace is how long after its limit a running build is given up for
	// its node, which should have ended it.
	BuildGrace = time.Minute
)

// CodeBuilding marks the Conflict of a build that is asked for while another
// one that was asked for goes on.
const CodeBuilding = "BUILD_IN_PROGRESS"

// Build is one making of an environment's image.
type Build struct {
	ID          BuildID       `cbor:"1,keyasint"`
	Account     AccountID     `cbor:"2,keyasint"`
	Environment EnvironmentID `cbor:"3,keyasint"`
	// Machine is the name that the node gives to the computer its steps run in.
	Machine    ComputerID `cbor:"4,keyasint"`
	Dockerfile string     `cbor:"5,keyasint"`
	Hash       string     `cbor:"6,keyasint"` // of the Dockerfile
	Tag        string     `cbor:"7,keyasint"` // name of the image
	// Explicit is set when a user asked for it; else it follows a change.
	Explicit bool `cbor:"8,keyasint"`
	Force    bool `cbor:"9,keyasint"`  // takes nothing from a cache
	Test     bool `cbor:"10,keyasint"` // keeps nothing but its record, and is nothing to the environment
	Egress   bool `cbor:"11,keyasint"`

	Phase     BuildPhase    `cbor:"12,keyasint"`
	Node      NodeID        `cbor:"13,keyasint"` // that makes it; "" while it waits for one
	Epoch     Epoch         `cbor:"14,keyasint"` // counts the nodes that were given it
	Tries     int           `cbor:"15,keyasint"`
	Limit     time.Duration `cbor:"16,keyasint"` // of one try
	NotBefore time.Time     `cbor:"17,keyasint"`
	Deadline  time.Time     `cbor:"18,keyasint"` // when it fails at the latest

	LogSeq    uint64    `cbor:"19,keyasint"` // of the newest piece of its log
	LogBytes  int64     `cbor:"20,keyasint"`
	Digest    string    `cbor:"21,keyasint"` // of the image, once it succeeded
	Error     string    `cbor:"22,keyasint"` // why it failed
	CreatedAt time.Time `cbor:"23,keyasint"`
	StartedAt time.Time `cbor:"24,keyasint"` // zero before
	EndedAt   time.Time `cbor:"25,keyasint"` // zero before

	// ExtensionsAt and ExtensionLines are where the user's own instructions are
	// in the Dockerfile: its first line, from 1, and how many; 0 for none.
	ExtensionsAt   int `cbor:"26,keyasint"`
	ExtensionLines int `cbor:"27,keyasint"`
	// Network is what steps may connect to, besides Egress.
	Network NetworkRules `cbor:"28,keyasint,omitzero"`
}

// BuildPhase is where a build is.
//
//	queued ──▶ running ──▶ succeeded | failed
//	   ▲          │  │
//	   │          │  └────▶ cancelled  (from queued too)
//	   └──────────┘ its node was lost
type BuildPhase string

const (
	BuildQueued    BuildPhase = "queued"
	BuildRunning   BuildPhase = "running"
	BuildSucceeded BuildPhase = "succeeded"
	BuildFailed    BuildPhase = "failed"
	BuildCancelled BuildPhase = "cancelled"
)

// BuildPhases lists every phase.
func BuildPhases() []BuildPhase {
	return []BuildPhase{BuildQueued, BuildRunning, BuildSucceeded, BuildFailed, BuildCancelled}
}

// Over reports whether nothing more will happen.
func (p BuildPhase) Over() bool {
	return p == BuildSucceeded || p == BuildFailed || p == BuildCancelled
}

var buildMoves = map[BuildPhase][]BuildPhase{
	BuildQueued:  {BuildRunning, BuildFailed, BuildCancelled},
	BuildRunning: {BuildQueued, BuildSucceeded, BuildFailed, BuildCancelled},
}

// To returns q if a build may go from p to q, and a Moved otherwise: whoever
// wanted that acts on a build that has gone on without it.
func (p BuildPhase) To(q BuildPhase) (BuildPhase, error) {
	if p == q && !p.Over() || slices.Contains(buildMoves[p], q) {
		return q, nil
	}
	return p, fault.New(fault.Moved, "a build that is %s cannot become %s", p, q)
}

// What an environment's image is, as its users see it.
const (
	EnvironmentPending  = "pending"  // its recipe has no image yet; a build follows
	EnvironmentBuilding = "building" // a build was asked for, or goes on
	EnvironmentReady    = "ready"
	EnvironmentFailed   = "failed"
)

// Built is what is known of an environment's image.
type Built struct {
	Status string    `cbor:"1,keyasint"` // one of the above
	Hash   string    `cbor:"2,keyasint"` // of the recipe that the image was made by; "" for the base itself
	Error  string    `cbor:"3,keyasint"` // of the last build, if it failed
	At     time.Time `cbor:"5,keyasint"` // when the last build ended
	Tag    string    `cbor:"7,keyasint"` // of the newest good image, with Digest
	Digest string    `cbor:"8,keyasint"`
	Wanted string    `cbor:"9,keyasint"` // hash of the recipe as it is
	// Running and Queued are the builds under way; a test is neither.
	Running BuildID `cbor:"10,keyasint"`
	Queued  BuildID `cbor:"11,keyasint"`
	Last    BuildID `cbor:"12,keyasint"` // the newest of all
}

// Recipe is what an environment's image is to be made by.
type Recipe struct {
	Build      BuildID       `cbor:"1,keyasint"` // for the build that this may begin
	Machine    ComputerID    `cbor:"2,keyasint"`
	Dockerfile string        `cbor:"3,keyasint"`
	Hash       string        `cbor:"4,keyasint"` // "" when there is nothing to build
	Tag        string        `cbor:"5,keyasint"`
	Base       string        `cbor:"6,keyasint"` // the image to run where there is nothing to build
	Limit      time.Duration `cbor:"7,keyasint"` // of one try
	// ExtensionsAt and ExtensionLines are as the Build's.
	ExtensionsAt   int `cbor:"8,keyasint"`
	ExtensionLines int `cbor:"9,keyasint"`
}

var builds = table[Build]{
	name: "build", noun: "Build",
	id: func(b Build) string { return string(b.ID) },
	indexes: []index[Build]{
		{"environment", func(b Build) ([]string, string, bool) {
			return []string{string(b.Environment)}, stampText(b.CreatedAt), true
		}},
		{"open", func(b Build) ([]string, string, bool) {
			return []string{string(b.Account)}, stampText(b.CreatedAt), !b.Phase.Over()
		}},
		{"node", func(b Build) ([]string, string, bool) {
			return []string{string(b.Node)}, stampText(b.CreatedAt), b.Node != "" && !b.Phase.Over()
		}},
		{"machine", func(b Build) ([]string, string, bool) {
			return []string{string(b.Machine)}, "", !b.Phase.Over()
		}},
		{"waiting", func(b Build) ([]string, string, bool) {
			return nil, stampText(b.NotBefore), b.Node == "" && !b.Phase.Over()
		}},
		{"deadline", func(b Build) ([]string, string, bool) { return nil, stampText(b.Deadline), !b.Phase.Over() }},
	},
}

// Build returns a build of an account.
func (v *View) Build(account AccountID, id BuildID) (Build, error) {
	b, err := builds.get(v.r, string(id))
	return owned(b, err, b.Account == account, builds.noun, string(id))
}

// AnyBuild returns a build of any account, for those who act on records and
// not for a caller.
func (v *View) AnyBuild(id BuildID) (Build, bool, error) { return builds.find(v.r, string(id)) }

// BuildsOf visits an environment's builds, the newest first, until visit
// returns false.
func (v *View) BuildsOf(environment EnvironmentID, visit func(Build) bool) error {
	return builds.each(v.r, "environment", []string{string(environment)}, true, visit)
}

// BuildsOn visits the builds that a node was given and that are not over.
func (v *View) BuildsOn(node NodeID, visit func(Build) bool) error {
	return builds.each(v.r, "node", []string{string(node)}, false, visit)
}

// BuildIn returns the build that is not over and whose steps run in a machine,
// or false.
func (v *View) BuildIn(machine ComputerID) (b Build, ok bool, err error) {
	err = builds.each(v.r, "machine", []string{string(machine)}, false, func(found Build) bool { b, ok = found, true; return false })
	return b, ok, err
}

// WaitingBuilds lists up to n builds that wait for a node at a time, the one
// that waits the longest first.
func (v *View) WaitingBuilds(now time.Time, n int) ([]Build, error) {
	now, err := v.Now(now)
	if err != nil {
		return nil, err
	}
	return builds.before(v.r, "waiting", now.Add(1), n) // those too whose time is just now
}

// BuildPiece is a part of a build's log.
type BuildPiece struct {
	Seq  uint64    `cbor:"1,keyasint"` // 1 for the first
	At   time.Time `cbor:"2,keyasint"`
	Text string    `cbor:"3,keyasint"`
}

// BuildLog visits the pieces of a build's log after one, in order, until visit
// returns false.
func (v *View) BuildLog(id BuildID, after uint64, visit func(BuildPiece) bool) error {
	var failed error
	err := v.r.Scan(pieceKey(id, after+1), afterPieces(id), false, func(_, b []byte) bool {
		var p BuildPiece
		if failed = Decode(b, &p); failed != nil {
			failed = fmt.Errorf("state: read the log of build %s: %w", id, failed)
			return false
		}
		return visit(p)
	})
	if failed != nil {
		return failed
	}
	return err
}

func pieceKey(id BuildID, seq uint64) []byte { return numbered("buildlog", seq, string(id)) }

func afterPieces(id BuildID) []byte { return after(key("buildlog", string(id))) }
