package idmap

import (
	"errors"
	"fmt"
	"os"
	goruntime "runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

// Namespace is a user namespace without processes. It only carries the
// mapping of ids 0..Size-1 inside to Host..Host+Size-1 on the machine, for as
// many binds as a computer needs. Close it afterwards: mounts keep the mapping.
type Namespace struct {
	file *os.File
}

// Open makes a namespace for a range. It costs about two milliseconds, so a
// caller with several binds opens one and binds them all through it.
func Open(r Range) (*Namespace, error) {
	if r.Host <= 0 || r.Size <= 0 {
		return nil, fmt.Errorf("%w: the id range %d+%d is empty or holds root", runtime.ErrInvalid, r.Host, r.Size)
	}
	// The kernel ends the process with the thread that made it (Pdeathsig),
	// so that thread must not go away meanwhile.
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	proc, err := hold(r)
	if err != nil {
		return nil, fmt.Errorf("%w: make a user namespace: %w", runtime.ErrUnsupported, err)
	}
	file, err := os.Open("/proc/" + strconv.Itoa(proc.Pid) + "/ns/user")
	if endErr := end(proc); err == nil && endErr != nil {
		file.Close()
		err = endErr
	}
	if err != nil {
		return nil, fmt.Errorf("open a user namespace: %w", err)
	}
	return &Namespace{file: file}, nil
}

// hold starts the process that a namespace has to be born in. Traced, it stops
// before its first instruction and is ended there, so it does not matter which
// program it is; our own is always present.
func hold(r Range) (*os.Process, error) {
	maps := []syscall.SysProcIDMap{{ContainerID: 0, HostID: r.Host, Size: r.Size}}
	return os.StartProcess("/proc/self/exe", []string{"bothy-idmap"}, &os.ProcAttr{
		Env: []string{},
		Sys: &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: maps,
			GidMappings: maps,
			Ptrace:      true,
			Pdeathsig:   syscall.SIGKILL,
		},
	})
}

func end(proc *os.Process) error {
	if err := proc.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end the namespace's process: %w", err)
	}
	if _, err := proc.Wait(); err != nil {
		return fmt.Errorf("collect the namespace's process: %w", err)
	}
	return nil
}

// Close lets the namespace go. Mounts made through it stay.
func (n *Namespace) Close() error { return n.file.Close() }

// Bind mounts the directory src at dst with the namespace's ids: what root
// owns in src, the range's first id owns at dst. Mounts below src are not
// carried along, and nothing propagates to or from the new mount. dst exists
// already; binding there again stacks a second mount.
func (n *Namespace) Bind(src, dst string) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, src, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return unsupported("clone the mount of "+src, err)
	}
	defer unix.Close(tree)
	attr := unix.MountAttr{
		Attr_set:    unix.MOUNT_ATTR_IDMAP,
		Propagation: unix.MS_PRIVATE,
		Userns_fd:   uint64(n.file.Fd()),
	}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return unsupported("shift the ids of "+src, err)
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, dst, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount %s at %s: %w", src, dst, err)
	}
	return nil
}

// unsupported marks the errors that mean that this kernel, or the file system
// under src, knows no shifted mounts, so that a driver can say it at start.
func unsupported(doing string, err error) error {
	for _, cause := range []error{unix.ENOSYS, unix.EINVAL, unix.EPERM, unix.EOPNOTSUPP} {
		if errors.Is(err, cause) {
			return fmt.Errorf("%s: %w: %w", doing, runtime.ErrUnsupported, err)
		}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// Bind is Open, Namespace.Bind and Close in one, for a single directory.
func Bind(src, dst string, r Range) error {
	n, err := Open(r)
	if err != nil {
		return err
	}
	return errors.Join(n.Bind(src, dst), n.Close())
}
