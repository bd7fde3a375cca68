// Package runtime runs computers on this machine. It knows nothing of
// clusters: whoever calls it says in which epoch it acts, and a driver refuses
// an epoch older than the newest it has seen for a computer.
//
//	container/  the default driver: runc in user namespaces, under the warden
//	fake/       a driver of records only, for tests and simulations
//	guest/      the protocol of the process inside each computer
//	warden/     the process that keeps containers and freezes them in time
//	image/      where a root file system comes from
//	build/      what an environment's recipe becomes, step by step
//	snapshot/   a computer's disk as pieces in a blob store, and back
//	blob/       the store: a directory, S3, or another machine's
//	volume/     where a computer's data lives
//	workspace/  the files a user sees
//	network/    a computer's network namespace
//	meter/      what a computer has used
package runtime

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// ID names a computer. It is a UUIDv7 as text, which is also a DNS label.
type ID string

// Epoch counts the owners a computer has had. Every mutating call carries it.
type Epoch uint64

// Errors that a caller acts on. Drivers wrap them with what they were doing.
var (
	ErrNotFound    = errors.New("no such computer on this machine")
	ErrStaleEpoch  = errors.New("a newer owner has acted on this computer")
	ErrNotRunning  = errors.New("the computer is not running")
	ErrNoImage     = errors.New("no such image on this machine")
	ErrUnready     = errors.New("not ready, try again later")
	ErrFull        = errors.New("no room on this machine")
	ErrUnsupported = errors.New("this machine cannot do that")
	ErrInvalid     = errors.New("invalid request")
	ErrNoSnapshot  = errors.New("no such snapshot on this machine")
	ErrOtherImage  = errors.New("the snapshot stands on another image")
	ErrAstray      = errors.New("the guest of the computer does not answer as a guest does; one that is stopped and started has a new one")
	ErrOtherHost   = errors.New("the image stands on another machine's own files")
	ErrRefused     = errors.New("nothing listens on that port of the computer")
	ErrInside      = errors.New("it leads to a private address or to a node, which are not reached from here")
)

// Resources bound what a computer may use. Zero means the driver's default.
type Resources struct {
	MemoryBytes int64
	MilliCPU    int64 // 1000 is one core
	// StorageBytes are layer and workspace together, with what snapshots of the
	// computer keep of what it has changed since; held where quotas exist.
	StorageBytes int64
	PIDs         int64
}

// Spec is what a computer is made of. It is kept beside the computer, so that
// Start after a node's restart needs nothing else.
type Spec struct {
	ID        ID
	Image     string // a name the image store knows, such as "host", or a digest
	Hostname  string
	Resources Resources
	Egress    Egress // which connections it may open to the outside
	// From is the snapshot that the disk begins as; the zero value begins an
	// empty one. The image must then be the one the snapshot stands on, which
	// Image "" means; another is ErrOtherImage, a snapshot that is not here
	// ErrNoSnapshot, and storage too small for what it holds ErrInvalid. Drivers
	// that are no Snapshotter return ErrUnsupported.
	From Source
	// Saved is the save that the disk begins as, fetched from the blob store; the
	// zero value is none, and not both are set. Image "" is the save's own; over another
	// only the workspace is restored, and Status.Bared says so. ErrNoSave,
	// ErrNoStore, ErrInvalid as From; drivers that are no Saver return
	// ErrUnsupported.
	Saved Save
	// Sent is as Saved, of what another machine has sent to this one's inbox; of
	// the three one at most is set. Drivers that are no Mover return ErrUnsupported.
	Sent Save
}

// Begun reports whether the disk begins as something that was kept before.
func (s Spec) Begun() bool { return s.From != (Source{}) || s.Restored() != (Save{}) }

// Restored is the save that the disk begins as, wherever it comes from; the zero
// value is none.
func (s Spec) Restored() Save {
	if s.Sent != (Save{}) {
		return s.Sent
	}
	return s.Saved
}

// Source names a snapshot by the computer it was taken of, which may be gone.
type Source struct {
	Computer ID
	Name     string
}

// Phase is what a driver sees of a computer.
type Phase string

const (
	Created Phase = "created" // disk exists, never started
	Running Phase = "running"
	Frozen  Phase = "frozen" // running, but paused by the warden
	Stopped Phase = "stopped"
)

// Status is what is true of a computer now.
type Status struct {
	ID        ID
	Epoch     Epoch // the newest epoch seen
	Phase     Phase
	Spec      Spec
	PID       int // of the computer's first process on this machine; 0 when stopped
	StartedAt time.Time
	// Image is the digest of the image that the root layer stands on.
	Image string
	// Fresh is set when no Start came before and the disk began empty: nothing
	// of an earlier life is in the layer or the workspace.
	Fresh bool
	// Bared is set when the disk began as a save whose root layer stands on
	// another image: its workspace alone is there.
	Bared bool
}

// Driver runs computers. Every method may be repeated after a crash: doing
// what is already done is success. Methods of one computer are serialised by
// the driver; different computers go on side by side.
type Driver interface {
	// Create makes the computer's disk and remembers the spec. It starts nothing.
	Create(ctx context.Context, epoch Epoch, spec Spec) error
	// Start starts a created or stopped computer; its guest answers when Start returns.
	Start(ctx context.Context, epoch Epoch, id ID) error
	// Stop asks the guest to end and ends it by force after grace.
	Stop(ctx context.Context, epoch Epoch, id ID, grace time.Duration) error
	// Remove stops the computer and deletes all it had. An unknown id is success.
	Remove(ctx context.Context, epoch Epoch, id ID) error
	// Inspect reports what is true now, or ErrNotFound.
	Inspect(ctx context.Context, id ID) (Status, error)
	// List reports every computer this machine holds, running or not.
	List(ctx context.Context) ([]Status, error)
}

// Cmd is a command to run inside a computer.
type Cmd struct {
	Argv    []string
	Env     []string // added to the user's own environment, KEY=value
	Dir     string   // "" is the workspace
	User    string   // "" is the default user, node
	Stdin   io.Reader
	Stdout  io.Writer // written from one goroutine at a time
	Stderr  io.Writer
	Timeout time.Duration // 0 means none; the whole process group is killed after it
}

// Exit is how a command ended.
type Exit struct {
	Code     int    // -1 when a signal ended it
	Signal   string // such as "killed", or ""
	TimedOut bool
	Duration time.Duration
}

// Execer is a Driver that can run commands in a running computer. Exec blocks
// until the command ends; when ctx is done the process group is killed.
type Execer interface {
	Exec(ctx context.Context, epoch Epoch, id ID, cmd Cmd) (Exit, error)
}

// Guester is a Driver that passes whole requests on to the guest of a running
// computer, for gateways: what comes back is a way to that guest alone, for
// the computer's present life.
type Guester interface {
	Guest(ctx context.Context, epoch Epoch, id ID) (http.RoundTripper, error)
}

// Dialer is a Driver that reaches what listens inside a running computer, on
// its loopback addresses. A port that nothing listens on is ErrRefused.
type Dialer interface {
	Dial(ctx context.Context, epoch Epoch, id ID, port uint16) (net.Conn, error)
}

// Listener is a Driver that can serve programs inside a running computer: what
// it returns listens on a free TCP port of the computer's own 127.0.0.1, for its
// present life. It needs no way out of the computer.
type Listener interface {
	Listen(ctx context.Context, epoch Epoch, id ID) (net.Listener, error)
}

// ProgramsDir is where every computer sees what its machine's Shelver keeps.
const ProgramsDir = "/run/bothy/programs"

// Shelver is a Driver that keeps programs, once for all computers of its
// machine, which see them below ProgramsDir and cannot change them.
type Shelver interface {
	// Shelved reports whether a program is there, by its name: letters, digits,
	// - and . only.
	Shelved(name string) bool
	// Shelve puts the content of a directory of an image there, whole or not at
	// all, and takes away what had the same name up to its last -. What is there
	// already stays as it is.
	Shelve(ctx context.Context, name, digest, dir string) error
}

// Thawer is a Driver whose computers a warden may have frozen. Thaw lets one
// computer go on, in the given epoch; the others stay as they are.
type Thawer interface {
	Thaw(ctx context.Context, epoch Epoch, id ID) error
}

// Networker is a Driver that can change which connections a computer may open.
// It acts on those that are open too, and on a computer that does not run from
// its next Start on.
type Networker interface {
	SetEgress(ctx context.Context, epoch Epoch, id ID, e Egress) error
}

// Resizer is a Driver that can change a computer's limits, running or stopped.
// Zero fields stay as they are; what was changed outlives stops and restarts.
type Resizer interface {
	Resize(ctx context.Context, epoch Epoch, id ID, r Resources) error
}

// Rebaser is a Driver that can put a computer onto another image. Its
// workspace stays; what was changed outside of it was changed over the other
// image and goes. A computer that runs is ErrInvalid, an image that is not here
// ErrNoImage; the image that it stands on already changes nothing.
type Rebaser interface {
	Rebase(ctx context.Context, epoch Epoch, id ID, image string) error
}

// Pauser is a Driver that can freeze and thaw one computer on demand.
type Pauser interface {
	Pause(ctx context.Context, epoch Epoch, id ID) error
	Resume(ctx context.Context, epoch Epoch, id ID) error
}

// Displayer is a Driver whose computers may have a desktop. Display has a
// running computer's display up, started if it is not, and reports the TCP port
// on the computer's own 127.0.0.1 where it answers in the RFB protocol (RFC
// 6143) without a password. ErrUnsupported: the computer's image has none.
type Displayer interface {
	Display(ctx context.Context, epoch Epoch, id ID) (port uint16, err error)
}

// Image is what computers of this machine can be made of.
type Image struct {
	Name        string
	Digest      string // "" while it is not here
	Description string
	// State is active, or of one that is made when it is asked for: available,
	// building, failed.
	State   string
	Reason  string // of a failure, or the step that a making is at
	Desktop bool   // its computers have a display
	Bytes   int64  // that its own files hold; 0 while it is not here
	Created time.Time
	// BuiltIn is set for a name that every machine knows by itself.
	BuiltIn bool
}

// Imager is a Driver that tells its images, by name.
type Imager interface {
	ListImages(ctx context.Context) ([]Image, error)
}

// Distributor is a Driver whose machine's images can be brought to others of
// its kind. What goes between them is read by drivers alone.
type Distributor interface {
	// ImageManifest tells what an image is made of, by its digest; ErrNoImage.
	ImageManifest(ctx context.Context, digest string) ([]byte, error)
	// WriteImageLayer writes a layer, as a manifest names it, from an offset on.
	WriteImageLayer(ctx context.Context, id string, offset int64, to io.Writer) error
	// FetchImage brings an image that is not here from another machine and
	// gives it a name, "" for none. ErrOtherHost: it stands on that machine's own
	// files, which are not sent and are not the same here.
	FetchImage(ctx context.Context, name, digest string, from ImageSource) error
}

// ImageSource is another machine, as a Distributor takes images from it.
type ImageSource interface {
	Manifest(ctx context.Context, digest string) ([]byte, error)
	// Layer opens a layer at an offset. A layer that was cut ends with an error
	// that is not io.EOF; the caller asks for the rest.
	Layer(ctx context.Context, id string, offset int64) (io.ReadCloser, error)
}

// Pull asks for an image of a registry.
type Pull struct {
	Reference string // such as docker.io/library/python:3.12
	// Owner is for whom it is pulled: what one has pulled another has not.
	Owner          string
	User, Password string // at the registry; "" is nobody
	// Way is how the registry is reached, and whatever it leads to.
	Way http.RoundTripper
}

// Brought is an image that came from outside.
type Brought struct {
	Digest string
	Bytes  int64 // that its files hold
	// Desktop is set when its computers have a display.
	Desktop bool
	// Release ends that the image is held here; by then a name, a computer or the
	// caller of SweepImages keeps it. nil: one of those does already.
	Release func()
}

// Importer is a Driver whose machine takes images from outside, and gives its
// own away. ErrInvalid: it is no image, or not one for this machine. ErrFull: it
// has no room for it.
type Importer interface {
	// ImportImage reads an OCI archive, also compressed, or what docker save writes.
	ImportImage(ctx context.Context, from io.Reader) (Brought, error)
	// PullImage brings an image of a registry. ErrNoImage: it has none by that
	// name. ErrUnready: it does not answer.
	PullImage(ctx context.Context, p Pull) (Brought, error)
	// ExportImage writes an image, by its digest, as an OCI archive in which it has
	// a name. ErrUnsupported: it stands on this machine's own files.
	ExportImage(ctx context.Context, digest, name string, to io.Writer) error
}

// ImageSweeper is a Driver that deletes images that nothing needs any more: no
// name, no computer, no snapshot and no build.
type ImageSweeper interface {
	// ForgetImage takes a name away from its image. An unknown one is success.
	ForgetImage(ctx context.Context, name string) error
	// SweepImages reports how many images it deleted; those of the digests in
	// keep stay.
	SweepImages(ctx context.Context, keep []string) (int, error)
}

// Snapshot is a computer's layer and workspace as they were at one moment.
type Snapshot struct {
	Source
	Image  string // digest of the image that the layer stands on
	MadeAt time.Time
	// Bytes is the logical size: what a computer made from it holds, whoever
	// else shares the data on the disk. It may be more by what the computer has
	// deleted and an earlier snapshot still keeps, never less.
	Bytes int64
	// Still is how long the computer stood still for it; 0 when it did not
	// run, or stood still already.
	Still time.Duration
}

// Snapshotter is a Driver that keeps disks as they were. A snapshot outlives
// its computer and ends only by DropSnapshot. On a machine that cannot keep
// any, Snapshot is ErrUnsupported and says how to mend it.
type Snapshotter interface {
	// Snapshot keeps the disk of a computer, running or not, under a name of
	// letters, digits, - _ and . that does not begin with a dot. All that was
	// written when it began is in it, at one moment of the computer's life. The
	// same name again is success and finds the first. An error does not mean
	// that none was made: ask again.
	Snapshot(ctx context.Context, epoch Epoch, id ID, name string) (Snapshot, error)
	// SnapshotWorkspace is where the files of a snapshot lie, for reading alone.
	// They belong to ids of the computer it was taken of.
	SnapshotWorkspace(ctx context.Context, s Source) (WorkspaceRoot, error)
	// DropSnapshot deletes one. An unknown one is success. Computers made from
	// it keep what they have.
	DropSnapshot(ctx context.Context, s Source) error
	// Snapshots reports those of a computer, also of one that is gone; id ""
	// means all of this machine. They come by computer and name.
	Snapshots(ctx context.Context, id ID) ([]Snapshot, error)
}

// Usage is what a computer has used since it was created; the counters never
// go back, also over stops and restarts of the node.
type Usage struct {
	CPU          time.Duration
	MemoryBytes  int64   // now
	StorageBytes int64   // now
	MemoryTime   float64 // byte-seconds
	StorageTime  float64 // byte-seconds
	EgressBytes  int64
}

// Meterer is a Driver that counts what computers use.
type Meterer interface {
	Usage(ctx context.Context, id ID) (Usage, error)
}

// Workspacer is a Driver that gives access to a computer's files, running or
// stopped. The root is the directory a user knows as /workspace, on this
// machine; Owner is the uid and gid, on this machine, of the computer's
// default user. Only package workspace opens it. The epoch is checked when the
// root is asked for; whoever writes below it ends with their own lease.
type Workspacer interface {
	Workspace(ctx context.Context, epoch Epoch, id ID) (WorkspaceRoot, error)
}

// WorkspaceRoot is where a computer's workspace lies on this machine.
type WorkspaceRoot struct {
	Path     string
	UID, GID int
}

// Build is a Dockerfile to be made into an image.
type Build struct {
	// Machine is the computer that steps run in. It is made and removed as often
	// as need be; nothing of it is left at the end.
	Machine    ID
	Dockerfile string
	// ExtensionsAt is the line where the user's own instructions begin, and
	// ExtensionLines how many they are: mistakes in them are told by their own
	// lines. 0 means that the whole is the user's.
	ExtensionsAt, ExtensionLines int
	Name                         string // of the image; "" keeps nothing of it
	// Find brings here what a name means to the user, beyond what the machine
	// knows by itself; false when it means nothing. nil: no name does. What it
	// fails with is as Importer's.
	Find    func(ctx context.Context, name string) (Brought, bool, error)
	NoCache bool   // takes nothing from earlier builds
	Egress  Egress // which connections steps may open to the outside
	Log     io.Writer
}

// BuildFailure is why a Dockerfile makes no image, in words for its user. Other
// errors of a build are this machine's.
type BuildFailure struct{ Reason string }

func (f *BuildFailure) Error() string { return f.Reason }

// Builder makes images. Build blocks until the image is there, and reports its
// digest; when ctx ends, so does what runs. A deadline of ctx is told as the
// build's own limit. It may be called again after a crash, for the same machine
// in the same epoch or a newer one.
type Builder interface {
	Build(ctx context.Context, epoch Epoch, b Build) (digest string, err error)
}

// Capacity is what a machine has and what is left for new computers.
type Capacity struct {
	MemoryBytes, MemoryFree   int64
	StorageBytes, StorageFree int64
	MilliCPU                  int64
	Images                    []string
}

// Sizer is a Driver that knows its machine's room.
type Sizer interface {
	Capacity(ctx context.Context) (Capacity, error)
}
