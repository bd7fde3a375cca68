package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/idmap"
)

// record is what the kernel cannot tell of a computer. It is written whole,
// and synced before the act that relies on it.
type record struct {
	Spec      runtime.Spec  `json:"spec"`
	Epoch     runtime.Epoch `json:"epoch"`
	Container string        `json:"container"` // its name at runc and its cgroup's
	Image     string        `json:"image"`     // digest
	Range     idmap.Range   `json:"range"`
	Prepared  bool          `json:"prepared"` // its layer has our users
	// Bare is set while the layer has to go, because it was laid over another
	// image.
	Bare bool `json:"bare,omitempty"`
	// Bared is set when the disk began as the workspace of a save alone.
	Bared bool `json:"bared,omitempty"`
	// Named is the host name that the layer has until the next start, "" for
	// the spec's.
	Named string `json:"named,omitempty"`
	// Inherited is how many bytes came with the snapshot that the disk began
	// as: the pool counts them elsewhere. Overhead is what it counted for the
	// disk before the computer had written anything.
	Inherited int64     `json:"inherited,omitempty"`
	Overhead  int64     `json:"overhead,omitempty"`
	Started   bool      `json:"started"` // a Start came before
	StartedAt time.Time `json:"started_at,omitzero"`
}

// blankPrefix begins the names of computers that nobody has claimed.
const blankPrefix = "blank-"

func isBlank(id runtime.ID) bool { return strings.HasPrefix(string(id), blankPrefix) }

// Names inside a computer's directory.
const (
	recordFile  = "record.json"
	socketFile  = "guest.sock"
	consoleFile = "console"
	stillFile   = "still"
	pidFile     = "pid"
	resolvFile  = "resolv.conf"
	runcLogFile = "runc.log"
	rootDir     = "rootfs"
	besideDir   = "beside"
)

func (d *Driver) makeDirs() error {
	// The outer first: a directory made on the way to another would get its mode.
	for _, dir := range []struct {
		path string
		mode fs.FileMode
	}{{d.Dir, 0o711}, {d.computers(), 0o711}, {d.runcRoot(), 0o700}, {d.programs(), 0o755}, {d.saved(), 0o700}} {
		if err := os.MkdirAll(dir.path, dir.mode); err != nil {
			return err
		}
		if err := os.Chmod(dir.path, dir.mode); err != nil { // whatever the umask
			return err
		}
	}
	return nil
}

func (d *Driver) computers() string { return filepath.Join(d.Dir, "computers") }
func (d *Driver) programs() string  { return filepath.Join(d.Dir, "programs") }
func (d *Driver) saved() string     { return filepath.Join(d.Dir, "saved") }
func (d *Driver) runcRoot() string  { return filepath.Join(d.Dir, "runc") }

// path names a file in a computer's directory.
func (d *Driver) path(id runtime.ID, names ...string) string {
	return filepath.Join(append([]string{d.computers(), string(id)}, names...)...)
}

// rangeName is unique on the machine, where nodes may hold the same computer.
func (d *Driver) rangeName(container string) string { return d.NodeID + "." + container }

// load reads a record. A directory without one is a create that never ended.
func (d *Driver) load(id runtime.ID) (record, error) {
	if err := checkID(id); err != nil {
		return record{}, err
	}
	data, err := os.ReadFile(d.path(id, recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return record{}, fmt.Errorf("%s: %w", id, runtime.ErrNotFound)
	}
	if err != nil {
		return record{}, fmt.Errorf("read record: %w", err)
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return record{}, fmt.Errorf("read record of %s: %w", id, err)
	}
	return r, nil
}

// save replaces the record, durably.
func (d *Driver) save(id runtime.ID, r record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	if err := replaceFile(d.path(id, recordFile), data); err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	return nil
}

// replaceFile writes a file so that a reader finds the old or the new whole
// content, also after a power cut.
func replaceFile(path string, data []byte) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// maxIDBytes bounds an id: it is a DNS label.
const maxIDBytes = 63

// checkID keeps an id from being anything but a plain name.
func checkID(id runtime.ID) error {
	legal := func(c rune) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' }
	if id == "" || len(id) > maxIDBytes || id[0] == '-' ||
		strings.ContainsFunc(string(id), func(c rune) bool { return !legal(c) }) {
		return fmt.Errorf("%w: %.80q is no computer id (a-z, 0-9 and -, at most %d)", runtime.ErrInvalid, string(id), maxIDBytes)
	}
	return nil
}
