package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// move renames, or copies and removes where source and destination are on
// different file systems, as a computer's home and workspace are.
func move(ctx context.Context, from, to string) error {
	err := os.Rename(from, to)
	if !errors.Is(err, syscall.EXDEV) {
		return err
	}
	if to == from || strings.HasPrefix(to, from+"/") {
		return &fs.PathError{Op: "move", Path: to, Err: syscall.EINVAL}
	}
	// The copy gets its name only when it is whole.
	whole := filepath.Join(filepath.Dir(to), "."+filepath.Base(to)+".moving")
	if err := copyTree(ctx, from, whole); err != nil {
		return errors.Join(err, os.RemoveAll(whole))
	}
	if err := os.Rename(whole, to); err != nil {
		return errors.Join(err, os.RemoveAll(whole))
	}
	return os.RemoveAll(from)
}

// copyTree copies files, directories and links with owner, mode and time.
func copyTree(ctx context.Context, from, to string) error {
	return filepath.WalkDir(from, func(path string, _ fs.DirEntry, err error) error {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		if err := copyOne(path, target, info); err != nil {
			return fmt.Errorf("copy %s: %w", path, err)
		}
		return likeness(target, info)
	})
}

func copyOne(from, to string, info fs.FileInfo) error {
	switch mode := info.Mode(); {
	case mode.IsDir():
		return os.Mkdir(to, mode.Perm())
	case mode.IsRegular():
		return copyFile(from, to)
	case mode&fs.ModeSymlink != 0:
		link, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(link, to)
	default:
		return &fs.PathError{Op: "move", Path: from, Err: syscall.EINVAL}
	}
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func likeness(path string, like fs.FileInfo) error {
	if stat, ok := like.Sys().(*syscall.Stat_t); ok {
		if err := os.Lchown(path, int(stat.Uid), int(stat.Gid)); err != nil {
			return err
		}
	}
	if like.Mode()&fs.ModeSymlink != 0 {
		return nil
	}
	if err := os.Chmod(path, like.Mode()); err != nil {
		return err
	}
	return os.Chtimes(path, like.ModTime(), like.ModTime())
}
