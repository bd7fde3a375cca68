package warden

import (
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

// remember writes the fence. It is not synced: only a process may be lost with
// computers running, never the machine.
func remember(dir string, m memory) error {
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("write the warden's state: %w", err)
	}
	path := filepath.Join(dir, stateName)
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return fmt.Errorf("write the warden's state: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write the warden's state: %w", err)
	}
	return nil
}
