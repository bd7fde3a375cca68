package volume

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The numbers and layouts below are the kernel's interface to btrfs, as
// include/uapi/linux/btrfs.h gives them. On the machines we build for, an
// ioctl number holds the direction, the size of the argument, a type and an
// index.
const (
	ioctlWrite = 1 << 30
	ioctlRead  = 2 << 30
	ioctlBtrfs = 0x94 << 8

	iocResize       = ioctlWrite | 4096<<16 | ioctlBtrfs | 3
	iocSubvolCreate = ioctlWrite | 4096<<16 | ioctlBtrfs | 14
	iocSnapDestroy  = ioctlWrite | 4096<<16 | ioctlBtrfs | 15
	iocTreeSearch   = ioctlRead | ioctlWrite | 112<<16 | ioctlBtrfs | 17
	iocInoLookup    = ioctlRead | ioctlWrite | 4096<<16 | ioctlBtrfs | 18
	iocSnapCreate   = ioctlWrite | 4096<<16 | ioctlBtrfs | 23
	iocWaitSync     = ioctlWrite | 8<<16 | ioctlBtrfs | 22
	iocStartSync    = ioctlRead | 8<<16 | ioctlBtrfs | 24
	iocFSInfo       = ioctlRead | 1024<<16 | ioctlBtrfs | 31
	iocQuotaCtl     = ioctlRead | ioctlWrite | 16<<16 | ioctlBtrfs | 40
	iocGroupAssign  = ioctlWrite | 24<<16 | ioctlBtrfs | 41
	iocGroupCreate  = ioctlWrite | 16<<16 | ioctlBtrfs | 42
	iocGroupLimit   = ioctlRead | 48<<16 | ioctlBtrfs | 43
	iocSubvolInfo   = ioctlRead | 504<<16 | ioctlBtrfs | 60

	quotaEnableSimple   = 4
	snapReadOnly        = 1 << 1
	subvolumeReadOnly   = 1 << 0
	limitReferenced     = 1 << 0
	noLimit             = ^uint64(0)
	subvolumeInode      = 256 // of each subvolume's top directory
	maxVolumeNameBytes  = 255
	sizeOfVolumeNameArg = 4088
)

type volumeArgs struct {
	fd   int64
	name [sizeOfVolumeNameArg]byte
}

type snapshotArgs struct {
	fd      int64
	transID uint64
	flags   uint64
	unused  [4]uint64
	name    [4040]byte
}

type lookupArgs struct {
	tree, object uint64
	name         [4080]byte
}

type infoArgs struct {
	maxID, devices uint64
	fsid           [16]byte
	rest           [992]byte
}

type subvolumeInfo struct {
	tree             uint64
	name             [256]byte
	above, directory uint64 // the subvolume that it lies in, and where
	generation       uint64
	flags            uint64
	uuid, parent     [16]byte // parent: of what it is a snapshot of
	rest             [176]byte
}

type quotaArgs struct{ cmd, status uint64 }

type assignArgs struct{ assign, from, to uint64 }

type groupArgs struct{ create, group uint64 }

type limitArgs struct {
	group, flags, maxReferenced       uint64
	maxExclusive, rsvReferenced, rsvX uint64
}

func ioctl[T any](dir *os.File, number uintptr, args *T) error {
	_, err := answered(dir, number, args)
	return err
}

// answered is ioctl for one whose answer says something.
func answered[T any](dir *os.File, number uintptr, args *T) (uintptr, error) {
	for {
		answer, _, errno := unix.Syscall(unix.SYS_IOCTL, dir.Fd(), number, uintptr(unsafe.Pointer(args)))
		switch {
		case errno == 0:
			return answer, nil
		case !errors.Is(errno, unix.EINTR):
			return 0, errno
		}
	}
}

// withName calls an ioctl that takes a directory and a name in it.
func withName(parent, name string, number uintptr) error {
	var args volumeArgs
	if len(name) > maxVolumeNameBytes {
		return fmt.Errorf("the name %.20q... is longer than %d bytes", name, maxVolumeNameBytes)
	}
	copy(args.name[:], name)
	return onDir(parent, func(dir *os.File) error {
		refused, err := answered(dir, number, &args)
		if err == nil && refused != 0 {
			// Such as a balance that somebody has begun: that is no errno.
			err = fmt.Errorf("%w: btrfs is busy with another operation (code %d)", unix.EBUSY, refused)
		}
		return err
	})
}

func onDir(path string, do func(*os.File) error) error {
	dir, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	return do(dir)
}

// tree reports the number of the subvolume that path lies in.
func tree(path string) (uint64, error) {
	args := lookupArgs{object: subvolumeInode}
	err := onDir(path, func(dir *os.File) error { return ioctl(dir, iocInoLookup, &args) })
	return args.tree, err
}
