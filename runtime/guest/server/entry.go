package server

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/bothy-computer/bothy/runtime/guest/filesystem"
	"github.com/bothy-computer/bothy/runtime/guest/passwd"
	"github.com/bothy-computer/bothy/runtime/guest/watch"
)

// metadataPrefix is where a file's metadata lies among its extended
// attributes; the kernel bounds a whole name to 255 bytes.
const metadataPrefix = "user.e2b."

// entryAt describes a file, not following a link at its end. shown is the
// path that the client knows it by.
func entryAt(path, shown string, names *passwd.Names) (*filesystem.EntryInfo, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	entry := &filesystem.EntryInfo{
		Name: filepath.Base(shown), Path: shown, Size: info.Size(), Type: typeOf(info.Mode()),
		Mode: uint32(info.Mode().Perm()), Permissions: info.Mode().String(),
		ModifiedTime: timestamppb.New(info.ModTime()),
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		entry.Owner, entry.Group = names.User(stat.Uid), names.Group(stat.Gid)
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		followLink(entry, path)
	} else {
		entry.Metadata = metadataOf(path)
	}
	return entry, nil
}

// followLink gives a link the type and mode of what it leads to, as E2B's
// clients expect; one that leads nowhere stays a link.
func followLink(entry *filesystem.EntryInfo, path string) {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		if target, err = os.Readlink(path); err == nil {
			entry.SymlinkTarget = &target
		}
		return
	}
	entry.SymlinkTarget = &target
	if info, err := os.Stat(target); err == nil {
		entry.Type, entry.Mode = typeOf(info.Mode()), uint32(info.Mode().Perm())
	}
}

func typeOf(mode fs.FileMode) filesystem.FileType {
	switch {
	case mode.IsRegular():
		return filesystem.FileType_FILE_TYPE_FILE
	case mode.IsDir():
		return filesystem.FileType_FILE_TYPE_DIRECTORY
	case mode&fs.ModeSymlink != 0:
		return filesystem.FileType_FILE_TYPE_SYMLINK
	default:
		return filesystem.FileType_FILE_TYPE_UNSPECIFIED
	}
}

// maxAttributesBytes is the kernel's bound on the names of a file's
// attributes, and on one value.
const maxAttributesBytes = 64 << 10

// metadataOf reads what X-Metadata headers stored. A file system without
// attributes has none.
func metadataOf(path string) map[string]string {
	size, err := unix.Llistxattr(path, nil)
	if err != nil || size == 0 {
		return nil
	}
	buf := make([]byte, maxAttributesBytes)
	n, err := unix.Llistxattr(path, buf)
	if err != nil {
		return nil
	}
	var found map[string]string
	value := make([]byte, maxMetadataBytes)
	for _, name := range strings.Split(string(buf[:n]), "\x00") {
		key, ours := strings.CutPrefix(name, metadataPrefix)
		if !ours {
			continue
		}
		if n, err := unix.Lgetxattr(path, name, value); err == nil {
			if found == nil {
				found = make(map[string]string)
			}
			found[key] = string(value[:n])
		}
	}
	return found
}

// causes is what a failure of the file system is to a Connect client.
var causes = []struct {
	err  error
	code connect.Code
}{
	{syscall.ELOOP, connect.CodeFailedPrecondition},
	{fs.ErrNotExist, connect.CodeNotFound},
	{syscall.ENOTDIR, connect.CodeNotFound},
	{fs.ErrPermission, connect.CodePermissionDenied},
	{syscall.EROFS, connect.CodePermissionDenied},
	{syscall.ENAMETOOLONG, connect.CodeInvalidArgument},
	{syscall.EINVAL, connect.CodeInvalidArgument},
	{syscall.ENOSPC, connect.CodeResourceExhausted},
	{syscall.EDQUOT, connect.CodeResourceExhausted},
	{watch.ErrTooMany, connect.CodeResourceExhausted},
	{watch.ErrLost, connect.CodeDataLoss},
	{fs.ErrExist, connect.CodeAlreadyExists},
	{syscall.EBUSY, connect.CodeFailedPrecondition},
}

// misfiled gives a failure of the file system its code.
func misfiled(err error) error {
	var known *connect.Error
	if errors.As(err, &known) {
		return err
	}
	if strings.Contains(err.Error(), "too many links") { // filepath.EvalSymlinks has no error value for a cycle
		return connect.NewError(connect.CodeFailedPrecondition, err)
	}
	for _, row := range causes {
		if errors.Is(err, row.err) {
			return connect.NewError(row.code, err)
		}
	}
	return connect.NewError(connect.CodeInternal, err)
}
