package idmap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// The attributes that have ids in them, or that a change of owner takes away.
const (
	capabilityName = "security.capability"
	accessName     = "system.posix_acl_access"
	defaultName    = "system.posix_acl_default"
)

// The layout of a file's capabilities in its third version, as
// include/uapi/linux/capability.h gives it: a word with the version, two pairs
// of words, and the user id of the root whose namespace they hold in.
const (
	capabilityVersion3 = 0x03000000
	capabilityVersions = 0xff000000
	capabilityRoot     = 20
	capabilityBytes3   = 24
)

// The layout of an ACL, as include/uapi/linux/posix_acl_xattr.h gives it: a
// word with the version, then entries of a tag, permissions and an id.
const (
	aclHeadBytes  = 4
	aclEntryBytes = 8
	aclIDAt       = 4
	aclUser       = 0x02
	aclGroup      = 0x08
)

type attribute struct {
	name  string
	value []byte
}

// attributes reads those of a file's attributes that a change of owner spoils,
// with their ids shifted.
func attributes(path string, shifted func(uint32) uint32) ([]attribute, error) {
	size, err := unix.Listxattr(path, nil)
	if size == 0 || errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list attributes: %w", err)
	}
	list := make([]byte, size)
	if size, err = unix.Listxattr(path, list); err != nil {
		return nil, fmt.Errorf("list attributes: %w", err)
	}
	var found []attribute
	for name := range bytes.SplitSeq(list[:size], []byte{0}) {
		a := attribute{name: string(name)}
		if a.name != capabilityName && a.name != accessName && a.name != defaultName {
			continue
		}
		if a.value, err = valueOf(path, a.name); err != nil {
			return nil, fmt.Errorf("read %s: %w", a.name, err)
		}
		a.shift(shifted)
		found = append(found, a)
	}
	return found, nil
}

// valueOf reads an attribute that nobody changes meanwhile.
func valueOf(path, name string) ([]byte, error) {
	size, err := unix.Getxattr(path, name, nil)
	if err != nil {
		return nil, err
	}
	value := make([]byte, size)
	size, err = unix.Getxattr(path, name, value)
	return value[:max(0, size)], err
}

// ShiftAttribute changes the ids in the value of an extended attribute, if it is
// one that holds some.
func ShiftAttribute(name string, value []byte, shifted func(uint32) uint32) {
	if name == capabilityName || name == accessName || name == defaultName {
		attribute{name, value}.shift(shifted)
	}
}

// shift changes the ids in a value. One of a form that it does not know stays.
func (a attribute) shift(shifted func(uint32) uint32) {
	at := func(offset int) []byte { return a.value[offset : offset+4] }
	move := func(offset int) {
		binary.LittleEndian.PutUint32(at(offset), shifted(binary.LittleEndian.Uint32(at(offset))))
	}
	if a.name == capabilityName {
		if len(a.value) == capabilityBytes3 && binary.LittleEndian.Uint32(at(0))&capabilityVersions == capabilityVersion3 {
			move(capabilityRoot)
		}
		return
	}
	for entry := aclHeadBytes; entry+aclEntryBytes <= len(a.value); entry += aclEntryBytes {
		if tag := binary.LittleEndian.Uint16(a.value[entry:]); tag == aclUser || tag == aclGroup {
			move(entry + aclIDAt)
		}
	}
}
