package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/guest/passwd"
	"github.com/bothy-computer/bothy/runtime/image"
)

// Lay puts files and directories into the root of a computer that does not
// run. Owner is as chown takes it, names being those that the computer itself
// knows; "" is root. Of the entries UID and GID are not used.
func (d *Driver) Lay(ctx context.Context, epoch runtime.Epoch, id runtime.ID, owner string, entries []image.Entry) (err error) {
	r, release, err := d.admit(ctx, epoch, id)
	if err != nil {
		return err
	}
	defer release()
	if err := d.rest(ctx, id, r); err != nil {
		return fmt.Errorf("put files into %s: %w", id, err)
	}
	volume, ok := d.Pool.Path(string(id))
	if !ok {
		return fmt.Errorf("put files into %s: its volume is gone: %w", id, runtime.ErrNotFound)
	}
	defer func() {
		if undo := d.unmountRoot(id); undo != nil {
			err = errors.Join(err, undo)
		}
	}()
	if err := d.mountRoot(ctx, id, r, volume); err != nil {
		return err
	}
	root := d.path(id, rootDir)
	uid, gid, err := ownerIn(root, owner)
	if err != nil {
		return fmt.Errorf("put files into %s: %w", id, err)
	}
	for i := range entries {
		entries[i].UID, entries[i].GID = uid, gid
	}
	if err := image.Lay(root, r.Range, entries); err != nil {
		return fmt.Errorf("put files into %s: %w", id, err)
	}
	return nil
}

// ownerIn reads user[:group], each a name or a number, by a root's own files.
func ownerIn(root, owner string) (uid, gid int, err error) {
	name, group, grouped := strings.Cut(owner, ":")
	if name != "" {
		text, err := plainFile(root, "etc/passwd")
		if err != nil {
			return 0, 0, err
		}
		user, err := passwd.UserIn(text, name)
		if err != nil {
			return 0, 0, fmt.Errorf("%w: %w", runtime.ErrInvalid, err)
		}
		uid, gid = int(user.UID), int(user.GID)
	}
	if !grouped {
		return uid, gid, nil
	}
	text, err := plainFile(root, "etc/group")
	if err != nil {
		return 0, 0, err
	}
	g, err := passwd.GroupIn(text, group)
	if err != nil {
		return 0, 0, fmt.Errorf("%w: %w", runtime.ErrInvalid, err)
	}
	return uid, int(g), nil
}

// plainFile reads a file of a root, which may have made it anything: what is no
// plain file of a few lines is as if it was empty.
func plainFile(rootfs, name string) (string, error) {
	root, err := os.OpenRoot(rootfs)
	if err != nil {
		return "", err
	}
	defer root.Close()
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", nil // none, or a link that leads out
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxAccountBytes {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxAccountBytes))
	return string(text), err
}

// maxAccountBytes bounds the files that tell a root's users and groups.
const maxAccountBytes = 1 << 20
