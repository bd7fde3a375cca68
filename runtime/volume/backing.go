package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// minPoolBytes is the smallest pool that is worth having; btrfs itself
	// needs about 110 MiB.
	minPoolBytes = 256 << 20
	// loopTries bounds how often we ask for a free loop device when other
	// processes take the ones we were offered.
	loopTries = 32
	// unmountPoll is how often a busy mount or loop device is looked at again.
	unmountPoll = 10 * time.Millisecond
)

// backing is the loop file of a pool and where it is mounted.
type backing struct {
	image, mount string
}

// exists reports whether there is a loop file from an earlier open.
func (b backing) exists() bool {
	_, err := os.Lstat(b.image)
	return err == nil
}

// make allocates and formats the loop file. It appears under its name only
// when it is whole, so a crash leaves nothing that looks like a pool.
func (b backing) make(ctx context.Context, bytes int64) error {
	mkfs, err := exec.LookPath("mkfs.btrfs")
	if err != nil {
		return fmt.Errorf("mkfs.btrfs is missing (the package btrfs-progs has it): %w", err)
	}
	fresh := b.image + ".new"
	defer os.Remove(fresh)
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove an unfinished pool: %w", err)
	}
	f, err := os.OpenFile(fresh, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("make the pool's file: %w", err)
	}
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, bytes); err != nil {
		return fmt.Errorf("allocate %d MiB for the pool: %w", bytes>>20, full(err))
	}
	// One copy of metadata: two copies in one file guard against nothing.
	// No discard: it would give the allocated blocks back to the disk.
	cmd := exec.CommandContext(ctx, mkfs, "--quiet", "--nodiscard", "--metadata", "single", "--label", "bothy", fresh)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mkfs.btrfs: %w: %.300s", err, out)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("write the pool's file: %w", err)
	}
	if err := os.Rename(fresh, b.image); err != nil {
		return fmt.Errorf("place the pool's file: %w", err)
	}
	return onDir(filepath.Dir(b.image), (*os.File).Sync)
}

// attach mounts the loop file, or finds it mounted.
func (b backing) attach() error {
	source, err := b.mounted()
	if err != nil {
		return err
	}
	if source == "" {
		return b.mountLoop()
	}
	if file, err := os.ReadFile(loopFile(source)); err != nil || strings.TrimSpace(string(file)) != b.image {
		return fmt.Errorf("%s is mounted from %s, which is not %s; unmount it", b.mount, source, b.image)
	}
	return nil
}

func (b backing) mountLoop() error {
	loop, path, err := attachLoop(b.image)
	if err != nil {
		return err
	}
	// The mount keeps the device; it goes by itself when both are closed.
	defer loop.Close()
	if err := unix.Mount(path, b.mount, "btrfs", unix.MS_NOATIME|unix.MS_NODEV|unix.MS_NOSUID, mountOptions); err != nil {
		return fmt.Errorf("mount the pool: %w", err)
	}
	return nil
}

// attachLoop connects a file with a free loop device. The device lets go of
// the file when nobody uses it any more. Its caching is left to btrfs.
func attachLoop(image string) (*os.File, string, error) {
	f, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return nil, "", fmt.Errorf("open the pool's file: %w", err)
	}
	defer f.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, "", fmt.Errorf("no loop devices here: %w", err)
	}
	defer control.Close()
	config := unix.LoopConfig{
		Fd:   uint32(f.Fd()),
		Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_DIRECT_IO},
	}
	for range loopTries {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, "", fmt.Errorf("ask for a free loop device: %w", err)
		}
		path := "/dev/loop" + strconv.Itoa(n)
		loop, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return nil, "", fmt.Errorf("open a loop device: %w", err)
		}
		err = unix.IoctlLoopConfigure(int(loop.Fd()), &config)
		if err == nil {
			return loop, path, nil
		}
		loop.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, "", fmt.Errorf("connect a loop device: %w", err)
		}
	}
	return nil, "", fmt.Errorf("connect a loop device: others took each of the %d we were offered", loopTries)
}

// mountOptions: what was written over takes room until the next commit, so
// that one comes every few seconds and not, as by default, every thirty.
const mountOptions = "nodiscard,commit=5"

// extend adds bytes to the loop file, or nothing. fit then gives them to btrfs,
// also when a crash came in between.
func (b backing) extend(bytes int64) error {
	f, err := os.OpenFile(b.image, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("grow the pool: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("grow the pool: %w", err)
	}
	if err := unix.Fallocate(int(f.Fd()), 0, info.Size(), bytes); err != nil {
		return errors.Join(fmt.Errorf("grow the pool: %w", full(err)), f.Truncate(info.Size()))
	}
	return nil
}

// fit makes the device as large as the file, and btrfs as large as the device.
func (b backing) fit() error {
	source, err := b.mounted()
	if err != nil || source == "" {
		return errors.Join(err, fmt.Errorf("grow the pool: it is not mounted"))
	}
	loop, err := os.OpenFile(source, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("grow the pool: %w", err)
	}
	defer loop.Close()
	if err := unix.IoctlSetInt(int(loop.Fd()), unix.LOOP_SET_CAPACITY, 0); err != nil {
		return fmt.Errorf("grow the pool's loop device: %w", err)
	}
	if err := withName(b.mount, "max", iocResize); err != nil {
		return fmt.Errorf("grow the pool's btrfs: %w", err)
	}
	return nil
}

// mounted reports the device that is mounted at the pool's place, or "".
func (b backing) mounted() (string, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("look for the pool's mount: %w", err)
	}
	want, source := escapeMount(b.mount), ""
	for line := range strings.Lines(string(text)) {
		place, device, found := strings.Cut(line, " - ")
		at, on := strings.Fields(place), strings.Fields(device)
		if found && len(at) > 4 && len(on) > 1 && at[4] == want {
			source = on[1] // the last one is on top
		}
	}
	return source, nil
}

// detach unmounts the pool and waits until its loop device is free, for as
// long as ctx lasts.
func (b backing) detach(ctx context.Context) error {
	source, err := b.mounted()
	if err != nil || source == "" {
		return err
	}
	for {
		err := unix.Unmount(b.mount, 0)
		_, still := os.Lstat(loopFile(source))
		if err == nil || errors.Is(err, unix.EINVAL) {
			if still != nil {
				return nil
			}
		} else if !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("unmount the pool: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("unmount the pool: something still uses it: %w", errors.Join(err, ctx.Err()))
		case <-time.After(unmountPoll):
		}
	}
}

// loopFile is where the kernel tells which file a loop device stands on.
func loopFile(device string) string {
	return filepath.Join("/sys/block", filepath.Base(device), "loop/backing_file")
}

// escapeMount writes a path as mountinfo does.
func escapeMount(path string) string {
	return strings.NewReplacer("\\", `\134`, " ", `\040`, "\t", `\011`, "\n", `\012`).Replace(path)
}
