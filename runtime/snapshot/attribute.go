package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/idmap"
)

// overlayAttributes are those of overlays that say what is there. The others say
// where something came from on the machine that wrote it: kept, they would be
// wrong elsewhere, and a store could lead an overlay astray with them.
var overlayAttributes = map[string]bool{
	"opaque": true, "whiteout": true, "whiteouts": true, "protattr": true,
}

// kept reports whether an extended attribute is a part of a save.
func kept(name string) bool {
	if rest, ok := strings.CutPrefix(name, "trusted.overlay."); ok {
		return overlayAttributes[rest]
	}
	switch name {
	case "security.capability", "system.posix_acl_access", "system.posix_acl_default":
		return true
	}
	rest, ok := strings.CutPrefix(name, "user.")
	return ok && rest != ""
}

// readAttributes reads those of a file that is no symlink, with ids as inside, by
// name.
func readAttributes(path string, ids idmap.Range) ([]attribute, error) {
	list, err := xattr(func(buf []byte) (int, error) { return unix.Listxattr(path, buf) })
	if errors.Is(err, unix.EOPNOTSUPP) || err == nil && len(list) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list attributes: %w", err)
	}
	var all []attribute
	total := 0
	for raw := range bytes.SplitSeq(list, []byte{0}) {
		name := string(raw)
		if !kept(name) {
			continue
		}
		value, err := xattr(func(buf []byte) (int, error) { return unix.Getxattr(path, name, buf) })
		if err != nil {
			return nil, fmt.Errorf("read the attribute %s: %w", name, err)
		}
		if total += len(name) + len(value); total > maxAttributeBytes {
			return nil, fmt.Errorf("%w: it has more than %d bytes of extended attributes", runtime.ErrInvalid, maxAttributeBytes)
		}
		idmap.ShiftAttribute(name, value, func(id uint32) uint32 { return inside(id, ids) })
		all = append(all, attribute{name, string(value)})
	}
	slices.SortFunc(all, func(a, b attribute) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

// xattr reads what nobody changes meanwhile, of whatever size.
func xattr(read func([]byte) (int, error)) ([]byte, error) {
	small := make([]byte, 256)
	n, err := read(small)
	if !errors.Is(err, unix.ERANGE) {
		return small[:max(n, 0)], err
	}
	if n, err = read(nil); err != nil {
		return nil, err
	}
	large := make([]byte, n)
	n, err = read(large)
	return large[:max(n, 0)], err
}

// nobody owns what belongs to ids that the computer does not have.
const nobody = 65534

// inside is an id as the computer sees it.
func inside(id uint32, ids idmap.Range) uint32 {
	if at := int64(id) - int64(ids.Host); at >= 0 && at < int64(ids.Size) {
		return uint32(at)
	}
	return nobody
}

// outside is the id on this machine.
func outside(id uint32, ids idmap.Range) uint32 { return uint32(ids.Host) + id }
