package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/idmap"
	"github.com/bothy-computer/bothy/runtime/image"
)

// halfShelved begins the name of a program that is still being put down.
const halfShelved = ".half-"

var legalProgram = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{0,99}$`)

// unshifted are the ids of files that belong to no computer: seen from inside
// one, their owner is nobody.
var unshifted = idmap.Range{Host: 0, Size: 1 << 16}

// Shelved implements runtime.Shelver.
func (d *Driver) Shelved(name string) bool {
	info, err := os.Stat(filepath.Join(d.programs(), name))
	return legalProgram.MatchString(name) && err == nil && info.IsDir()
}

// Shelve implements runtime.Shelver. Every computer has the directory of all
// programs mounted, so one that is there is seen by those that run, too.
func (d *Driver) Shelve(ctx context.Context, name, digest, dir string) error {
	if !legalProgram.MatchString(name) {
		return fmt.Errorf("shelve: %w: %.100q is no name of a program", runtime.ErrInvalid, name)
	}
	if err := d.shelve(ctx, name, digest, dir); err != nil {
		return fmt.Errorf("shelve %s: %w", name, err)
	}
	return nil
}

func (d *Driver) shelve(ctx context.Context, name, digest, dir string) error {
	if d.Shelved(name) {
		return nil
	}
	release, err := d.Images.Use(ctx, digest)
	if err != nil {
		return err
	}
	defer release()
	half, err := os.MkdirTemp(d.programs(), halfShelved)
	if err != nil {
		return err
	}
	defer os.RemoveAll(half)
	if err := d.copyOut(ctx, digest, dir, half); err != nil {
		return err
	}
	if err := os.Chmod(half, 0o755); err != nil {
		return err
	}
	if err := syncTree(half); err != nil { // what is named must be whole, also after a crash
		return err
	}
	if err := os.Rename(half, filepath.Join(d.programs(), name)); err != nil && !d.Shelved(name) {
		return err
	}
	return d.unshelve(name)
}

// syncTree writes out the file system that a directory is on.
func syncTree(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}

// copyOut copies a directory out of the layer that made it, the newest of the
// image.
func (d *Driver) copyOut(ctx context.Context, digest, dir, to string) error {
	layers, err := d.Images.Layers(ctx, digest)
	if err != nil {
		return err
	}
	for _, l := range layers {
		if l.Target != "" && l.Target != "/" {
			continue
		}
		err := image.Copy(ctx, l.Path, to, unshifted, image.Files{Sources: []string{dir}, Dest: "/"})
		if !errors.Is(err, runtime.ErrInvalid) {
			return err
		}
	}
	return fmt.Errorf("%w: %s is not in the image", runtime.ErrInvalid, dir)
}

// unshelve takes away other versions of a program. A process that runs one goes
// on with the files it has open.
func (d *Driver) unshelve(but string) error {
	kind := but[:strings.LastIndexByte(but, '-')+1]
	if kind == "" {
		return nil
	}
	entries, err := os.ReadDir(d.programs())
	for _, e := range entries {
		if e.Name() != but && strings.HasPrefix(e.Name(), kind) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(d.programs(), e.Name())))
		}
	}
	return err
}

// clearHalfShelved removes what an earlier life of the node was putting down.
func (d *Driver) clearHalfShelved() error {
	entries, err := os.ReadDir(d.programs())
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), halfShelved) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(d.programs(), e.Name())))
		}
	}
	return err
}
