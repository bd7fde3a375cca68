package house

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Pause stops the process where it is, and Resume lets it go on.
func (n *Node) Pause() error  { return n.signal(syscall.SIGSTOP) }
func (n *Node) Resume() error { return n.signal(syscall.SIGCONT) }

func (n *Node) signal(s syscall.Signal) error {
	if n.cmd == nil {
		return nil
	}
	if err := n.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("signal node %s: %w", n.Name, err)
	}
	return nil
}

// End asks the process to end, as an operator does, and waits for it.
func (n *Node) End() error { return n.end() }

// Up reports whether the process runs.
func (n *Node) Up() bool { return n.cmd != nil }

// Deafen has a node of a town hear nothing from others, who still hear it; none
// of them mends that.
func (n *Node) Deafen(from ...*Node) error {
	var addrs []netip.Addr
	for _, f := range from {
		addrs = append(addrs, f.lot.addr)
	}
	if err := n.lot.hear(addrs); err != nil {
		return fmt.Errorf("have node %s hear nothing of others: %w", n.Name, err)
	}
	return nil
}

// ballastFile is what fills a node's disk.
const ballastFile = "full"

// leaveBytes of a full disk are free: less than a node needs to go on.
const leaveBytes = 1 << 20

// Fill leaves nearly nothing free on the disk of a node of a town; Empty gives it
// back.
func (n *Node) Fill() error {
	f, err := os.OpenFile(filepath.Join(n.lot.disk, ballastFile), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("fill the disk of %s: %w", n.Name, err)
	}
	defer f.Close()
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &s); err != nil {
		return fmt.Errorf("fill the disk of %s: %w", n.Name, err)
	}
	size := int64(s.Bfree)*s.Bsize - leaveBytes
	if size <= 0 {
		return nil
	}
	if err := unix.Fallocate(int(f.Fd()), 0, 0, size); err != nil && !errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("fill the disk of %s: %w", n.Name, err)
	}
	return nil
}

// Empty undoes Fill.
func (n *Node) Empty() error {
	if err := os.Remove(filepath.Join(n.lot.disk, ballastFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("empty the disk of %s: %w", n.Name, err)
	}
	return nil
}
