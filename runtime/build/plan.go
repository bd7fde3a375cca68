package build

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	goruntime "runtime"

	"github.com/bothy-computer/bothy/runtime/image"
)

// Plan is what a builder does, in this order, to make the image of a
// Dockerfile.
type Plan struct {
	Stages []Stage // those that the last one needs, and it
	Steps  int     // in all stages
	Config image.Config
	Key    string // of the image's layers
}

// Stage begins as an image or as what an earlier stage has become.
type Stage struct {
	Name  string // of FROM ... AS, or ""
	From  int    // index of an earlier stage in the plan, or -1 for Image
	Image string // "" when it begins as a stage
	Base  Base   // what Image is
	Steps []Step // the first is FROM itself
	Key   string // of what it has become
}

// Base is an image as a plan must know it.
type Base struct {
	Digest string
	Config image.Config
}

// Step is one instruction.
type Step struct {
	Number int    // from 1, over all stages, for STEP Number/Plan.Steps
	Line   int    // where it is in the Dockerfile
	Text   string // its first line as written, not longer than maxTextBytes
	// Key is the same for the same steps before it, on the same base, with the
	// same effect: what they made can be taken instead of made again. A step
	// without an action has the key of the one before.
	Key    string
	Action Action // nil when it makes no files
}

// Action is what a step does to files: Run, Files, Copy or Dir.
type Action interface{ action() }

// Run runs a command.
type Run struct {
	Argv []string
	Env  []string // all that it sees, KEY=value, but for the mirrors of this machine
	Dir  string   // absolute; made if it is not there
	User string   // name or uid, maybe with :group
	// Documents must be there while the command runs, and no longer.
	Documents []File
	Offline   bool // RUN --network=none
}

// Files writes files whose content is in the Dockerfile.
type Files struct{ Files []File }

// File is a regular file. Directories that are missing above it are made,
// root's and for all to enter.
type File struct {
	Path  string // absolute; may go through links, which stay inside the image
	Data  string
	Mode  uint32 // permission bits
	Owner string // as --chown has it; "" is root
}

// Copy copies files between images.
type Copy struct {
	Stage int    // index in the plan, or -1 for Image
	Image string // "" when it copies from a stage
	From  string // key of the stage or digest of the image
	// Sources are absolute, may hold patterns as Go's path.Match has them, and
	// may go through links, which stay inside the image. Of a directory its
	// content is copied.
	Sources []string
	// Dest is absolute. It ends in / when it is a directory that sources go
	// into; otherwise it is what the one source becomes.
	Dest  string
	Owner string // as --chown has it; "" leaves each file its own
	Mode  uint32 // permission bits; 0 leaves them as they are
}

// Dir makes a directory, and those above it, where there is none.
type Dir struct {
	Path string
	User string // whose it is, as USER has it
}

func (Run) action()   {}
func (Files) action() {}
func (Copy) action()  {}
func (Dir) action()   {}

// Options say what the machine that builds knows.
type Options struct {
	// Image describes a base image, or says with runtime.ErrNoImage that there
	// is none. NewPlan needs it; a check without it leaves out what depends on
	// base images. scratch is a name like any other.
	Image func(name string) (Base, error)
	// KnownBase says for a check whether an image is here or can be had. nil
	// takes any name.
	KnownBase func(name string) bool
	// Platform is what this machine runs, such as linux/arm64; "" is the
	// platform of this program.
	Platform string
}

func (o Options) platform() string {
	if o.Platform != "" {
		return o.Platform
	}
	return "linux/" + goruntime.GOARCH
}

// NewPlan plans a Dockerfile's steps. Errors are *SyntaxError for the text, in
// the same words as Check's, or wrap what Options.Image says of a base.
func NewPlan(dockerfile string, o Options) (Plan, error) {
	p := newPlanner(o)
	err := guarded(func() error {
		f, errs := read(dockerfile, p.lint)
		if len(errs) > 0 {
			return errs[0]
		}
		return p.all(f)
	})
	if err != nil {
		return Plan{}, err
	}
	return p.plan, nil
}

// keyVersion changes when the same action comes to have another effect, so
// that nothing made before is taken for it.
const keyVersion = "2"

func beginKey(digest string) string { return nextKey("build "+keyVersion, "image", digest) }

// nextKey is the key of what an action makes of what has key before. %#v tells
// any two values apart, and has the same text for the same.
func nextKey(before string, parts ...any) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q", before)
	for _, part := range parts {
		fmt.Fprintf(h, "%#v", part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// effect is an action without what only says where it is found this time.
func effect(a Action) Action {
	if c, ok := a.(Copy); ok {
		c.Stage, c.Image = 0, ""
		return c
	}
	return a
}
