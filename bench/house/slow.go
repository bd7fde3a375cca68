package house

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime/warden/cgroup"
)

// quickenPatience bounds how long a process may make new ones while all of them
// are taken out of their group.
const quickenPatience = 10 * time.Second

// brake is a cgroup that a disk is slow for.
type brake struct {
	tree cgroup.Tree
	name string // of the group
	dir  string // of the group
	home string // of the group that its processes were in before
	disk string // the device, as "major:minor"
}

// brake is how the node's process is slowed down. Its computers are in groups of
// their own, and what the kernel writes back by itself is of none.
func (n *Node) brake() (b brake, err error) {
	b.name = n.lot.name
	if b.tree, err = cgroup.Detect(); err != nil {
		return b, err
	}
	const controller = "blkio" // of version 1, which has a hierarchy for each
	root, err := b.tree.Group("").Dir(controller)
	if err != nil {
		return b, err
	}
	own, err := os.ReadFile("/proc/self/cgroup") // where the node began too
	if err != nil {
		return b, err
	}
	b.dir, b.home = filepath.Join(root, b.name), filepath.Join(root, pathIn(string(own), controller, b.tree.V2()))
	if _, err := os.Stat(b.home); err != nil {
		b.home = root // that path is another namespace's
	}
	var s unix.Stat_t
	err = unix.Stat(n.lot.disk, &s)
	b.disk = fmt.Sprintf("%d:%d", unix.Major(s.Dev), unix.Minor(s.Dev))
	return b, err
}

// pathIn is the path of a process's group, by its file in /proc.
func pathIn(text, controller string, v2 bool) string {
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) == 3 && (v2 && f[1] == "" || !v2 && strings.Contains(","+f[1]+",", ","+controller+",")) {
			return f[2]
		}
	}
	return "/"
}

// Slow lets the process of a node of a town read its disk only so many times in a
// second, and write it as often: what is synced waits for that. Quicken ends it.
func (n *Node) Slow(operations int) error {
	b, err := n.brake()
	if err == nil {
		err = b.make()
	}
	if err == nil {
		err = b.limit(operations)
	}
	if err == nil && n.cmd != nil {
		err = os.WriteFile(filepath.Join(b.dir, processes), []byte(strconv.Itoa(n.PID())), 0o600)
	}
	if err != nil {
		return fmt.Errorf("slow down the disk of %s: %w", n.Name, err)
	}
	return nil
}

// Quicken undoes Slow.
func (n *Node) Quicken() error {
	b, err := n.brake()
	if err == nil {
		err = b.release()
	}
	if err != nil {
		return fmt.Errorf("quicken the disk of %s: %w", n.Name, err)
	}
	return nil
}

// processes is the file of a group that lists those in it, and takes new ones.
const processes = "cgroup.procs"

func (b brake) make() error {
	if b.tree.V2() {
		return b.tree.Group(b.name).Make()
	}
	if err := os.Mkdir(b.dir, 0o755); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// limit bounds the operations in a second of each kind; 0 is no bound.
func (b brake) limit(operations int) error {
	files := map[string]string{}
	if b.tree.V2() { // not run yet: no machine at hand has the controller
		rate := "max"
		if operations > 0 {
			rate = strconv.Itoa(operations)
		}
		files["io.max"] = fmt.Sprintf("%s riops=%s wiops=%[2]s", b.disk, rate)
	} else {
		for _, kind := range []string{"read", "write"} {
			files["blkio.throttle."+kind+"_iops_device"] = fmt.Sprintf("%s %d", b.disk, operations)
		}
	}
	var errs []error
	for name, text := range files {
		errs = append(errs, os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600))
	}
	return errors.Join(errs...)
}

// release lets go what waits, and takes the group away.
func (b brake) release() error {
	if _, err := os.Stat(b.dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := b.limit(0); err != nil {
		return err
	}
	for end := time.Now().Add(quickenPatience); ; {
		in, err := os.ReadFile(filepath.Join(b.dir, processes))
		if err != nil {
			return err
		}
		for pid := range bytes.FieldsSeq(in) {
			err := os.WriteFile(filepath.Join(b.home, processes), pid, 0o600)
			if err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
		if err = os.Remove(b.dir); err == nil || time.Now().After(end) {
			return err
		}
	}
}
