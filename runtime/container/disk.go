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

// mountRoot puts a computer's root together below its directory: each image
// layer with shifted ids, and over it the computer's own layer. An overlay
// does not see mounts below its lower directory, so an image with a part for
// /usr has a second overlay there.
func (d *Driver) mountRoot(ctx context.Context, id runtime.ID, r record, volume string) error {
	layers, err := d.Images.Layers(ctx, r.Image)
	if err != nil {
		return fmt.Errorf("mount root of %s: %w", id, err)
	}
	shifted, err := idmap.Open(r.Range)
	if err != nil {
		return fmt.Errorf("mount root of %s: %w", id, err)
	}
	defer shifted.Close()
	lower := map[string][]string{} // by target, in the image's order
	for i, layer := range layers {
		target, err := overlayOf(layer)
		if err != nil {
			return fmt.Errorf("mount root of %s: %w", id, err)
		}
		dir := d.path(id, "lower", strconv.Itoa(i))
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return fmt.Errorf("mount root of %s: %w", id, err)
		}
		if err := shifted.Bind(layer.Path, dir); err != nil {
			return fmt.Errorf("mount root of %s: %w", id, err)
		}
		readOnly := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NODEV}
		if err := unix.MountSetattr(unix.AT_FDCWD, dir, 0, &readOnly); err != nil {
			return fmt.Errorf("mount root of %s: %w", id, err)
		}
		lower[target] = append(lower[target], dir)
	}
	root := d.path(id, rootDir)
	if err := overlay(root, lower["root"], filepath.Join(volume, "root")); err != nil {
		return fmt.Errorf("mount root of %s: %w", id, err)
	}
	if lower["usr"] == nil {
		return nil
	}
	if err := overlay(filepath.Join(root, "usr"), lower["usr"], filepath.Join(volume, "usr")); err != nil {
		return fmt.Errorf("mount root of %s: %w", id, err)
	}
	return nil
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
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s",
		strings.Join(short, ":"), filepath.Join(part, "upper"), filepath.Join(part, "work"))
	err = unix.Mount("overlay", fmt.Sprintf("/proc/self/fd/%d", fd), "overlay", unix.MS_NODEV, options)
	if err != nil {
		return fmt.Errorf("mount overlay: %w", err)
	}
	return nil
}

// unmountRoot undoes mountRoot, however far it came.
func (d *Driver) unmountRoot(id runtime.ID) error {
	points := []string{d.path(id, rootDir)}
	entries, err := os.ReadDir(d.path(id, "lower"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("unmount root of %s: %w", id, err)
	}
	for _, e := range entries {
		points = append(points, d.path(id, "lower", e.Name()))
	}
	for _, point := range points {
		if err := unmount(point); err != nil {
			return fmt.Errorf("unmount root of %s: %w", id, err)
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
