package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/idmap"
	"github.com/bothy-computer/bothy/runtime/image"
)

// mountPoint is where an image is put together: the root, and beside it each
// layer with shifted ids.
type mountPoint struct{ root, lower string }

func (d *Driver) mountPoint(id runtime.ID) mountPoint {
	return mountPoint{root: d.path(id, rootDir), lower: d.path(id, "lower")}
}

// mountRoot puts a computer's root together below its directory.
func (d *Driver) mountRoot(ctx context.Context, id runtime.ID, r record, volume string) error {
	if err := d.mountImage(ctx, d.mountPoint(id), r.Range, r.Image, volume); err != nil {
		return fmt.Errorf("mount root of %s: %w", id, err)
	}
	return nil
}

// mountImage puts an image together: each layer with shifted ids, and over them
// the layer in a volume. An overlay does not see mounts below its lower
// directory, so an image with a part for /usr has a second overlay there.
func (d *Driver) mountImage(ctx context.Context, at mountPoint, ids idmap.Range, digest, volume string) error {
	layers, err := d.Images.Layers(ctx, digest)
	if err != nil {
		return err
	}
	shifted, err := idmap.Open(ids)
	if err != nil {
		return err
	}
	defer shifted.Close()
	lower := map[string][]string{} // by target, in the image's order
	for i, layer := range layers {
		target, err := overlayOf(layer)
		if err != nil {
			return err
		}
		dir := filepath.Join(at.lower, strconv.Itoa(i))
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return err
		}
		if err := shifted.Bind(layer.Path, dir); err != nil {
			return err
		}
		readOnly := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NODEV}
		if err := unix.MountSetattr(unix.AT_FDCWD, dir, 0, &readOnly); err != nil {
			return fmt.Errorf("seal a layer: %w", err)
		}
		lower[target] = append(lower[target], dir)
	}
	if err := overlay(at.root, lower["root"], filepath.Join(volume, "root")); err != nil {
		return err
	}
	if lower["usr"] == nil {
		return nil
	}
	return overlay(filepath.Join(at.root, "usr"), lower["usr"], filepath.Join(volume, "usr"))
}

// overlayOf names the part of the volume that lies over a layer.
func overlayOf(l image.Layer) (string, error) {
	switch l.Target {
	case "", "/":
		return "root", nil
	case "/usr":
		return "usr", nil
	}
	return "", fmt.Errorf("%w: an image with a layer at %s", runtime.ErrUnsupported, l.Target)
}

// overlay mounts lower and the volume's part at target. The last name of
// target may be one that the computer made, so it is never followed.
func overlay(target string, lower []string, part string) error {
	fd, err := unix.Open(target, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open mount point: %w", err)
	}
	defer unix.Close(fd)
	// The options must fit into a page, and an image may have many layers.
	below, err := unix.Open(filepath.Dir(lower[0]), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the layers: %w", err)
	}
	defer unix.Close(below)
	short := make([]string, len(lower))
	for i, dir := range lower {
		short[i] = fmt.Sprintf("/proc/self/fd/%d/%s", below, filepath.Base(dir))
	}
	// Whatever the kernel's default: an upper directory with redirects or without
	// its files' data is no layer that an image can be made of.
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,redirect_dir=off,metacopy=off",
		strings.Join(short, ":"), filepath.Join(part, "upper"), filepath.Join(part, "work"))
	err = unix.Mount("overlay", fmt.Sprintf("/proc/self/fd/%d", fd), "overlay", unix.MS_NODEV, options)
	if err != nil {
		return fmt.Errorf("mount overlay: %w", err)
	}
	return nil
}

// unmountRoot undoes mountRoot, however far it came.
func (d *Driver) unmountRoot(id runtime.ID) error {
	if err := d.mountPoint(id).unmount(); err != nil {
		return fmt.Errorf("unmount root of %s: %w", id, err)
	}
	return nil
}

func (at mountPoint) unmount() error {
	points := []string{at.root}
	entries, err := os.ReadDir(at.lower)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		points = append(points, filepath.Join(at.lower, e.Name()))
	}
	for _, point := range points {
		if err := unmount(point); err != nil {
			return err
		}
	}
	return nil
}

// unmount takes away everything mounted at a point, with what is below. Not
// mounted is success.
func unmount(point string) error {
	for {
		err := unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("unmount %s: %w", point, err)
		}
	}
}
