package volume

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"unsafe"

	"github.com/bothy-computer/bothy/runtime"
)

// Extent is a run of a file's bytes that lie together on the disk.
type Extent struct {
	At, Length int64  // in the file
	Disk       uint64 // where they begin in the pool
	// Generation is the volume's when they were written. What lies at a place of
	// the disk, written in one generation, is the same for as long as it is used.
	Generation uint64
}

// Layout tells how the files of a snapshot lie in the pool.
type Layout struct{ top *os.File }

// OpenLayout opens the layout of a snapshot, which nobody may write to; on a pool
// without btrfs it is runtime.ErrUnsupported.
func (p *Pool) OpenLayout(id, name string) (*Layout, error) {
	if err := p.CanSnapshot(); err != nil {
		return nil, err
	}
	dir, err := p.SnapshotPath(id, name)
	if err != nil {
		return nil, err
	}
	top, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open the layout of snapshot %s of %s: %w", name, id, err)
	}
	return &Layout{top}, nil
}

// Close lets go of the snapshot.
func (l *Layout) Close() error { return l.top.Close() }

// The kinds of items in a subvolume's tree, and their layouts, as
// include/uapi/linux/btrfs_tree.h gives them.
const (
	itemInode  = 1
	itemExtent = 108

	inodeTransaction = 8 // of the last change
	inodeBytes       = 16

	extentGeneration  = 0
	extentCompression = 16
	extentType        = 20
	extentDisk        = 21
	extentOffset      = 37
	extentLength      = 45
	extentBytes       = 53
	extentInline      = 0
	extentWritten     = 1 // 2 is room that was only taken
)

// errPacked means that an extent is none that lies on the disk as it is.
var errPacked = fmt.Errorf("%w: an extent that is packed", runtime.ErrUnsupported)

// Written reports the volume's generation when an inode was changed last, its
// content, its names or what it has beside them.
func (l *Layout) Written(inode uint64) (generation uint64, err error) {
	found := false
	err = l.search(inode, itemInode, func(_ uint64, item []byte) error {
		if len(item) < inodeBytes {
			return errors.New("an inode that is too short")
		}
		generation, found = binary.LittleEndian.Uint64(item[inodeTransaction:]), true
		return nil
	})
	if err == nil && !found {
		err = fs.ErrNotExist
	}
	if err != nil {
		return 0, fmt.Errorf("look at inode %d: %w", inode, err)
	}
	return generation, nil
}

// Extents lists where a file's bytes lie, in order, at most so many: with more,
// or where bytes do not lie on the disk as they are, it is an error.
func (l *Layout) Extents(inode uint64, most int) ([]Extent, error) {
	var all []Extent
	err := l.search(inode, itemExtent, func(at uint64, item []byte) error {
		if len(item) < extentBytes || item[extentType] == extentInline || item[extentCompression] != 0 {
			return errPacked
		}
		disk := binary.LittleEndian.Uint64(item[extentDisk:])
		if item[extentType] != extentWritten || disk == 0 {
			return nil // a hole
		}
		if len(all) >= most {
			return fmt.Errorf("%w: it has more than %d extents", runtime.ErrUnsupported, most)
		}
		all = append(all, Extent{
			At: int64(at), Length: int64(binary.LittleEndian.Uint64(item[extentLength:])),
			Disk:       disk + binary.LittleEndian.Uint64(item[extentOffset:]),
			Generation: binary.LittleEndian.Uint64(item[extentGeneration:]),
		})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look at the extents of inode %d: %w", inode, err)
	}
	return all, nil
}

// searchBytes is how much of a tree one question returns.
const searchBytes = 32 << 10

// searchArgs asks for the items of a tree between two keys; see
// include/uapi/linux/btrfs.h. The answer lies behind it.
type searchArgs struct {
	tree                           uint64 // 0 is that of the open file
	minInode, maxInode             uint64
	minOffset, maxOffset           uint64
	minTransaction, maxTransaction uint64
	minType, maxType               uint32
	items, _                       uint32
	_                              [4]uint64
	size                           uint64
	found                          [searchBytes]byte
}

// searchHeadBytes come before each item: transaction, inode, offset, type, length.
const searchHeadBytes = 32

// search visits the items of one kind that an inode has.
func (l *Layout) search(inode uint64, kind uint32, visit func(offset uint64, item []byte) error) error {
	args := searchArgs{minInode: inode, maxInode: inode, maxOffset: ^uint64(0), maxTransaction: ^uint64(0), minType: kind, maxType: kind}
	for {
		args.items, args.size = ^uint32(0), searchBytes
		if err := ioctl(l.top, iocTreeSearch, &args); err != nil {
			return err
		}
		if args.items == 0 {
			return nil
		}
		rest := args.found[:]
		for range args.items {
			offset := binary.LittleEndian.Uint64(rest[16:])
			length := binary.LittleEndian.Uint32(rest[28:])
			if int(length) > len(rest)-searchHeadBytes {
				return errors.New("an answer that is too short")
			}
			if err := visit(offset, rest[searchHeadBytes:searchHeadBytes+length]); err != nil {
				return err
			}
			rest = rest[searchHeadBytes+length:]
			if offset == ^uint64(0) {
				return nil
			}
			args.minOffset = offset + 1
		}
	}
}

var _ [112]byte = [unsafe.Offsetof(searchArgs{}.found)]byte{}
