package state

import (
	"encoding/binary"
	"fmt"
)

// Every key begins with the raft group's id, a constant: with it records can
// move to another group without being rewritten. Then comes a table, then the
// parts, each ended by a zero byte so that no part is a prefix of another.
// Records whose parts hold one are refused: see table.clean.
//
//	g0 <table> 0 <part> 0 <part> 0 ...
const group = "g0"

var (
	keyApplied = key("meta", "applied")
	keyStamp   = key("meta", "stamp")
)

// key joins a table and text parts.
func key(table string, parts ...string) []byte {
	n := len(group) + 1 + len(table) + 1
	for _, p := range parts {
		n += len(p) + 1
	}
	k := make([]byte, 0, n)
	k = append(k, group...)
	k = append(k, ' ')
	k = append(k, table...)
	k = append(k, 0)
	for _, p := range parts {
		k = append(k, p...)
		k = append(k, 0)
	}
	return k
}

// numbered is a key whose last part is a number, ordered as numbers are.
func numbered(table string, n uint64, parts ...string) []byte {
	return binary.BigEndian.AppendUint64(key(table, parts...), n)
}

// after returns the first key that does not begin with prefix.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		end[i]++
		if end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

func encodeUint(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func decodeUint(b []byte) (uint64, error) {
	if b == nil {
		return 0, nil
	}
	if len(b) != 8 {
		return 0, fmt.Errorf("state: a number of %d bytes", len(b))
	}
	return binary.BigEndian.Uint64(b), nil
}

// Bounds returns the range of keys that hold state, for copying a whole store.
func Bounds() (from, to []byte) { return []byte(group), after([]byte(group)) }

// AppliedIndex is the raft index up to which r holds every entry.
func AppliedIndex(r Reader) (uint64, error) {
	b, err := r.Get(keyApplied)
	if err != nil {
		return 0, err
	}
	return decodeUint(b)
}

// LastStamp is the time of the newest applied entry, in Unix nanoseconds. The
// leader never stamps an entry with less.
func LastStamp(r Reader) (int64, error) {
	b, err := r.Get(keyStamp)
	if err != nil {
		return 0, err
	}
	n, err := decodeUint(b)
	return int64(n), err
}

const digits = "0123456789abcdef"

// encodeText writes a number as 16 hexadecimal digits, so that it sorts as a
// number does and holds no zero byte.
func encodeText(n uint64) string {
	var b [16]byte
	for i := range b {
		b[15-i] = digits[n&15]
		n >>= 4
	}
	return string(b[:])
}
