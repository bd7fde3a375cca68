package house

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime/idmap"
	"github.com/bothy-computer/bothy/runtime/network"
	"github.com/bothy-computer/bothy/runtime/warden"
	"github.com/bothy-computer/bothy/runtime/warden/cgroup"
)

// UUID is what the node calls itself on this machine.
func (n *Node) UUID() (string, error) {
	text, err := os.ReadFile(filepath.Join(n.Dir, "node.json"))
	if err != nil {
		return "", fmt.Errorf("read the identity of %s: %w", n.Name, err)
	}
	var id struct {
		UUID string `json:"uuid"`
	}
	if err := json.Unmarshal(text, &id); err != nil || id.UUID == "" {
		return "", fmt.Errorf("read the identity of %s: %w", n.Name, errors.Join(err, errors.New("no uuid")))
	}
	return id.UUID, nil
}

// WardenPID is the process of the node's warden.
func (n *Node) WardenPID(ctx context.Context) (int, error) {
	w, err := warden.Connect(ctx, n.Dir)
	if err != nil {
		return 0, err
	}
	status, err := w.Status(ctx)
	return status.PID, err
}

// Group is the cgroup that holds the node's computers.
func (n *Node) Group() (cgroup.Group, error) {
	uuid, err := n.UUID()
	if err != nil {
		return cgroup.Group{}, err
	}
	tree, err := cgroup.Detect()
	return warden.Group(tree, uuid), err
}

// clear takes away what outlives a node's process: its computers, its warden,
// links, mounts and user ids. The node must have ended. It goes through all of
// it whatever fails, and through nothing that is another node's.
func (n *Node) clear(ctx context.Context) error {
	uuid, err := n.UUID()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it never came so far as to have any
	}
	if err != nil {
		return err
	}
	return errors.Join(
		n.clearComputers(ctx),
		n.endWarden(ctx),
		network.Sweep(uuid, slog.New(slog.DiscardHandler)),
		unmountBelow(n.Dir),
		releaseRanges(uuid),
	)
}

func (n *Node) endWarden(ctx context.Context) error {
	w, err := warden.Connect(ctx, n.Dir)
	if errors.Is(err, warden.ErrAbsent) {
		return nil
	}
	if err != nil {
		return err
	}
	return w.Stop(ctx)
}

func (n *Node) clearComputers(ctx context.Context) error {
	group, err := n.Group()
	if err != nil {
		return err
	}
	if err := n.unfence(ctx); err != nil {
		return err
	}
	return endGroup(ctx, group)
}

// unfence lifts what the warden did when the node's lease ran out: in a frozen
// group nothing dies.
func (n *Node) unfence(ctx context.Context) error {
	w, err := warden.Connect(ctx, n.Dir)
	if errors.Is(err, warden.ErrAbsent) {
		return nil
	}
	if err != nil {
		return err
	}
	return w.SetDeadline(ctx, warden.NoDeadline)
}

// endGroup kills what is in a group and below it, and removes both. The warden
// is still there: it is the parent of what dies, and reaps it.
func endGroup(ctx context.Context, g cgroup.Group) error {
	children, err := g.Children()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range children {
		errs = append(errs, endGroup(ctx, g.Child(name)))
	}
	if err := errors.Join(append(errs, g.Kill(ctx))...); err != nil {
		return err
	}
	return g.Remove()
}

// unmountBelow unmounts everything in dir, the last mounted first.
func unmountBelow(dir string) error {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("unmount: %w", err)
	}
	var errs []error
	for _, line := range slices.Backward(strings.Split(string(text), "\n")) {
		f := strings.Fields(line)
		if len(f) < 5 || !strings.HasPrefix(f[4], dir+"/") {
			continue
		}
		if err := unix.Unmount(f[4], 0); err != nil && !errors.Is(err, unix.EINVAL) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", f[4], err))
		}
	}
	return errors.Join(errs...)
}

// releaseRanges gives back the user ids of a node's computers.
func releaseRanges(uuid string) error {
	all, err := idmap.List(idmap.DefaultDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for id := range all {
		if strings.HasPrefix(id, uuid+".") {
			errs = append(errs, idmap.Release(idmap.DefaultDir, id))
		}
	}
	return errors.Join(errs...)
}
