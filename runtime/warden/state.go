package warden

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Files of a warden in its data directory.
const (
	socketName = "warden.sock"
	lockName   = "warden.lock"
	stateName  = "warden.json"
	logName    = "warden.log"
)

// memory is what a warden leaves for the one that follows it in the same boot
// of the machine: without it a warden that dies would forget the deadline.
type memory struct {
	Boot  string `json:"boot"`
	Fence fence  `json:"fence"`
}

// recall reads the fence of an earlier warden; without one it is open.
func recall(dir, boot string) (fence, error) {
	fresh := fence{Posture: open, Deadline: NoDeadline}
	data, err := os.ReadFile(filepath.Join(dir, stateName))
	if errors.Is(err, fs.ErrNotExist) {
		return fresh, nil
	}
	if err != nil {
		return fresh, fmt.Errorf("read the warden's state: %w", err)
	}
	var m memory
	if err := json.Unmarshal(data, &m); err != nil {
		return fresh, fmt.Errorf("read the warden's state: %w", err)
	}
	if m.Boot != boot {
		return fresh, nil // nothing of an earlier boot runs
	}
	return m.Fence, nil
}

// stateBytes is how long the state's file is, filled up with blanks.
const stateBytes = 512

// remember writes the fence, over what is there, in one write: a disk that is full
// since must not cost a node its lease. It is not synced: only a process may be
// lost with computers running, never the machine.
func remember(dir string, m memory) error {
	data, err := json.Marshal(m)
	if err == nil && len(data) > stateBytes {
		err = fmt.Errorf("it is %d bytes; the limit is %d", len(data), stateBytes)
	}
	if err != nil {
		return fmt.Errorf("write the warden's state: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, stateName), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write the warden's state: %w", err)
	}
	_, err = f.WriteAt(append(data, bytes.Repeat([]byte(" "), stateBytes-len(data))...), 0)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write the warden's state: %w", err)
	}
	return nil
}
