package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/guest/passwd"
	"github.com/bothy-computer/bothy/runtime/image"
)

// Lay puts files and directories into the root of a computer that does not
// run. Owner is as chown takes it, names being those that the computer itself
// knows; "" is root. Of the entries UID and GID are not used.
func (d *Driver) Lay(ctx context.Context, epoch runtime.Epoch, id runtime.ID, owner string, entries []image.Entry) error {
	err := d.inRoot(ctx, epoch, id, func(r record, root string) error {
		uid, gid, err := ownerIn(root, owner)
		if err != nil {
			return err
		}
		for i := range entries {
			entries[i].UID, entries[i].GID = uid, gid
		}
		return image.Lay(root, r.Range, entries)
	})
	if err != nil {
		return fmt.Errorf("put files into %s: %w", id, err)
	}
	return nil
}

// Copy copies files of an image, by its digest, into the root of a computer
// that does not run. Owner is as chown takes it; "" leaves each file its own.
func (d *Driver) Copy(ctx context.Context, epoch runtime.Epoch, id runtime.ID, digest, owner string, files image.Files) error {
	err := d.inRoot(ctx, epoch, id, func(r record, root string) error {
		if owner != "" {
			uid, gid, err := ownerIn(root, owner)
			if err != nil {
				return err
			}
			files.Owner = &image.Owner{UID: uid, GID: gid}
		}
		return d.withImage(ctx, id, r, digest, func(from string) error { return image.Copy(ctx, from, root, r.Range, files) })
	})
	if err != nil {
		return fmt.Errorf("copy files into %s: %w", id, err)
	}
	return nil
}

// inRoot does something in the root of a computer that does not run.
func (d *Driver) inRoot(ctx context.Context, epoch runtime.Epoch, id runtime.ID, do func(r record, root string) error) (err error) {
	r, release, err := d.admit(ctx, epoch, id)
	if err != nil {
		return err
	}
	defer release()
	if err := d.rest(ctx, id, &r); err != nil {
		return err
	}
	volume, ok := d.Pool.Path(string(id))
	if !ok {
		return fmt.Errorf("its volume is gone: %w", runtime.ErrNotFound)
	}
	defer func() { err = errors.Join(err, d.unmountRoot(id)) }()
	if err := d.mountRoot(ctx, id, r, volume); err != nil {
		return err
	}
	return do(r, d.path(id, rootDir))
}

// withImage mounts an image beside a computer's root, with the ids of that, to
// read from.
func (d *Driver) withImage(ctx context.Context, id runtime.ID, r record, digest string, do func(root string) error) (err error) {
	if err := d.dropBeside(id); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.dropBeside(id)) }()
	volume, at := d.beside(id)
	if err := os.MkdirAll(at.root, 0o711); err != nil {
		return err
	}
	if err := layOut(volume, r.Range); err != nil {
		return err
	}
	if err := d.mountImage(ctx, at, r.Range, digest, volume); err != nil {
		return err
	}
	return do(at.root)
}

// beside is where an image is mounted for a moment, with an empty layer.
func (d *Driver) beside(id runtime.ID) (volume string, at mountPoint) {
	volume = d.path(id, besideDir)
	return volume, mountPoint{root: filepath.Join(volume, "mnt"), lower: filepath.Join(volume, "lower")}
}

// dropBeside takes that away, also what a node left that died meanwhile. What
// is still mounted is not descended into.
func (d *Driver) dropBeside(id runtime.ID) error {
	volume, at := d.beside(id)
	if _, err := os.Lstat(volume); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := at.unmount(); err != nil {
		return err
	}
	return os.RemoveAll(volume)
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
