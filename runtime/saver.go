package runtime

import (
	"context"
	"errors"
	"time"
)

// Errors of saves.
var (
	ErrNoSave  = errors.New("no such save in the blob store")
	ErrNoStore = errors.New("the blob store does not answer")
)

// Save names a disk in a blob store: the computer it was of, which may be gone,
// and the name that it was given.
type Save struct {
	Computer ID
	Name     string // letters, digits, - _ and ., as a snapshot's
}

// Saved is what a save is, for whoever records it.
type Saved struct {
	Save
	Image  string    // digest of the image that the layer stands on
	MadeAt time.Time // of the snapshot that was saved: the moment it shows
	Bytes  int64     // logical, as Snapshot.Bytes
	// Read and Sent are what the save cost: bytes of files that were read, and
	// bytes that went to the store.
	Read, Sent int64
}

// Saver is a Driver that puts disks into a blob store, where other machines
// find them. A computer's saves share what is the same in them, and nothing with
// other computers. Only a computer's owner saves it and sweeps its saves, one
// call at a time; whoever records a save does it in the owner's epoch. A save
// takes what it shares only from Base, which a record must name, so that a former
// owner that sweeps late takes nothing from a newer one.
type Saver interface {
	// Store is the store's own id, the same on every machine that reaches it; ""
	// where none is configured. It answers also while the store does not.
	Store() string
	// SaveSnapshot puts a snapshot of this machine into the store under its own
	// name, complete and verified when it returns. What is as it was in base is
	// neither read nor sent again as far as this machine knows it, and never sent
	// again; Base "" is none. Done again it is success, and sends what was
	// missing. ErrNoSnapshot, ErrNoStore, ErrFull; ErrUnsupported without a store.
	SaveSnapshot(ctx context.Context, of Source, base string) (Saved, error)
	// Unsaved reports whether the computer's disk may have been written to since
	// it was as a save has it. A machine that does not know says yes.
	Unsaved(ctx context.Context, id ID, save string) (bool, error)
	// SweepSaves deletes the computer's saves that are not in keep, and what only
	// they had. ForgetSaves deletes all of a computer.
	SweepSaves(ctx context.Context, id ID, keep []string) error
	ForgetSaves(ctx context.Context, id ID) error
	// SavedComputers tells whose saves are in the store.
	SavedComputers(ctx context.Context, visit func(ID) error) error
}
