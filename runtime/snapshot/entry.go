package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/bothy-computer/bothy/runtime/volume"
)

// kind says what an entry is.
type kind byte

const (
	directory kind = 'd'
	regular   kind = 'f'
	symlink   kind = 'l'
	fifo      kind = 'p'
	socket    kind = 's'
	whiteout  kind = 'w' // of an overlay: a character device 0/0
	more      kind = '+' // segments of the file before it
)

// sum names a piece by what is in it.
type sum [sha256.Size]byte

func (s sum) String() string { return hex.EncodeToString(s[:]) }

func parseSum(text string) (s sum, ok bool) {
	if len(text) != 2*len(s) {
		return s, false
	}
	_, err := hex.Decode(s[:], []byte(text))
	return s, err == nil && s.String() == text
}

// ref is where a piece is: of the save that sent it.
type ref struct {
	save string
	sum  sum
}

// segment is a run of a file's bytes, and where they are.
type segment struct {
	at, length int64 // in the file
	piece      *piece
	from       int64 // in the piece
}

func (s segment) end() int64 { return s.at + s.length }

// stamp is a time as a file system keeps it.
type stamp struct{ sec, nsec int64 }

func (s stamp) time() time.Time { return time.Unix(s.sec, s.nsec) }

// attribute is an extended attribute, with ids as they are inside.
type attribute struct{ name, value string }

// entry is one name of a tree. Entries come in the order of a walk: a directory,
// then what is in it by the order of names.
type entry struct {
	depth    int // 0 is the tree itself
	name     string
	kind     kind
	mode     uint32 // permissions, set-id and sticky bits
	uid, gid uint32 // as they are inside
	modified stamp
	attrs    []attribute
	target   string // of a symlink
	// link is the same for all names of a file with several, and else 0.
	link uint64
	size int64 // of a file
	// segments are the file's data, in order; where there is none are holes. Of a
	// file they begin at 0, of more where it says.
	segments []segment
}

// local is what only this machine knows of an entry: how to tell that it has not
// changed.
type local struct {
	inode   uint64
	changed stamp
	extents []volume.Extent // of a large file, where they are known
}
