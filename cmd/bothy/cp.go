package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

func newCp(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "cp LOCAL NAME:PATH | cp NAME:PATH LOCAL",
		Short: "Copy a file or directory to or from a computer",
		Long: `Copy a file or directory to or from a computer, whether it runs or not. NAME is an
environment's id, or a computer's id or handle; PATH is from its workspace on. What
is copied goes into a directory that is there, or becomes the file or directory of
the name that is given. A local path with a colon is written as ./a:b.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, fromThere := splitRemote(args[0])
			to, toThere := splitRemote(args[1])
			if fromThere == toThere {
				return usage("cp: one of the two is NAME:PATH, and the other is here")
			}
			c, err := t.client()
			if err != nil {
				return err
			}
			if toThere {
				return t.copyOut(cmd.Context(), to.archives(c), args[0], to.path)
			}
			return t.copyIn(cmd.Context(), from.archives(c), from.path, args[1])
		},
	}
}

// remote is a path in a computer.
type remote struct{ name, path string }

// splitRemote reads NAME:PATH; ok is false for a local path.
func splitRemote(arg string) (r remote, ok bool) {
	name, at, found := strings.Cut(arg, ":")
	if !found || name == "" || strings.ContainsAny(name, "/.") {
		return r, false
	}
	return remote{name, at}, true
}

func (r remote) archives(c *client.Client) client.Archives {
	if strings.HasPrefix(r.name, "env_") {
		return c.Environments().Archives(r.name)
	}
	return c.Computers().Archives(r.name)
}

// copied is what cp did.
type copied struct {
	Files   int   `json:"files"`
	Bytes   int64 `json:"bytes"`
	Skipped int   `json:"skipped"`
}

func (t *terminal) copied(done client.Unpacked) error {
	for _, s := range done.Skips {
		fmt.Fprintf(t.err, "left out %s: %s\n", clean(s.Path), clean(s.Error))
	}
	if more := done.Skipped - len(done.Skips); more > 0 {
		fmt.Fprintf(t.err, "left out %d more\n", more)
	}
	return t.did(copied{done.Files, done.Bytes, done.Skipped}, "copied %d files, %s", done.Files, megabytes(done.Bytes))
}

// copyOut copies a local file or directory to a computer.
func (t *terminal) copyOut(ctx context.Context, there client.Archives, from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	kind, err := kindThere(ctx, there, to)
	if err != nil {
		return err
	}
	into := to
	if kind == workspace.Directory || strings.HasSuffix(to, "/") {
		into = path.Join(to, filepath.Base(filepath.Clean(from)))
		if strings.HasSuffix(from, "/.") || from == "." {
			into = to // what is in it
		}
	}
	out, in := io.Pipe()
	defer out.Close()
	if info.IsDir() {
		go func() { in.CloseWithError(packHere(ctx, in, from)) }()
	} else {
		name := path.Base(into)
		into = path.Dir(into)
		go func() { in.CloseWithError(packFile(in, from, name)) }()
	}
	moving := t.moving(out)
	done, err := there.Unpack(ctx, into, moving)
	moving.end()
	if err != nil {
		return err
	}
	return t.copied(done)
}

// kindThere is what a path in a computer leads to; "" for nothing.
func kindThere(ctx context.Context, there client.Archives, name string) (workspace.Kind, error) {
	packed, err := there.Pack(ctx, name)
	var f *fault.Error
	if errors.As(err, &f) && f.Code == "FILE_NOT_FOUND" {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer packed.Close()
	first, err := tar.NewReader(packed).Next()
	if err != nil {
		return "", fmt.Errorf("look at %s: %w", name, err)
	}
	if first.Typeflag == tar.TypeDir {
		return workspace.Directory, nil
	}
	return workspace.File, nil
}

// here is a local directory with the means of a workspace: links in what is
// copied lead nowhere else.
func here(dir string) (*workspace.FS, error) {
	return workspace.Open(runtime.WorkspaceRoot{Path: dir, UID: os.Getuid(), GID: os.Getgid()})
}

func packHere(ctx context.Context, to io.Writer, dir string) error {
	w, err := here(dir)
	if err != nil {
		return err
	}
	defer w.Close()
	return w.Pack(ctx, to, ".", workspace.Tar)
}

// packFile writes a tar of one file under a name.
func packFile(to io.Writer, from, name string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is neither a file nor a directory", from)
	}
	out := tar.NewWriter(to)
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: info.Size(), Mode: int64(info.Mode().Perm()), ModTime: info.ModTime(), Format: tar.FormatPAX}
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	if _, err := io.CopyN(out, f, info.Size()); err != nil {
		return fmt.Errorf("read %s: %w", from, err)
	}
	return out.Close()
}

// copyIn copies a file or directory of a computer here.
func (t *terminal) copyIn(ctx context.Context, there client.Archives, from, to string) error {
	packed, err := there.Pack(ctx, from)
	if err != nil {
		return err
	}
	defer packed.Close()
	moving := t.moving(packed)
	defer moving.end()
	var seen bytes.Buffer
	entries := tar.NewReader(io.TeeReader(moving, &seen))
	first, err := entries.Next()
	if err != nil {
		return fmt.Errorf("read %s: %w", from, err)
	}
	base := path.Base(path.Clean("/" + from))
	info, statErr := os.Stat(to)
	if intoDir := statErr == nil && info.IsDir() || strings.HasSuffix(to, "/"); intoDir && base != "/" && !strings.HasSuffix(from, "/.") {
		to = filepath.Join(to, base)
	}
	var done client.Unpacked
	if first.Typeflag == tar.TypeDir {
		done, err = unpackHere(ctx, io.MultiReader(&seen, moving), to)
	} else {
		done, err = writeHere(entries, first, to)
	}
	moving.end()
	if err != nil {
		return err
	}
	return t.copied(done)
}

func unpackHere(ctx context.Context, from io.Reader, dir string) (done client.Unpacked, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return done, err
	}
	w, err := here(dir)
	if err != nil {
		return done, err
	}
	defer w.Close()
	tree, err := w.Unpack(ctx, from)
	if err != nil {
		return done, err
	}
	done = client.Unpacked{Files: tree.Files, Directories: tree.Directories, Bytes: tree.Bytes, Skipped: tree.Skipped}
	for _, s := range tree.Skips {
		done.Skips = append(done.Skips, skipped(s))
	}
	return done, errors.Join(w.Graft(ctx, tree, "."), tree.Close())
}

// writeHere writes one file beside its place, which it takes when it is whole.
func writeHere(content io.Reader, h *tar.Header, name string) (done client.Unpacked, err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".bothy-cp-")
	if err != nil {
		return done, err
	}
	n, err := io.Copy(f, content)
	if err == nil && n != h.Size {
		err = io.ErrUnexpectedEOF
	}
	err = errors.Join(err, f.Chmod(h.FileInfo().Mode().Perm()), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return done, errors.Join(fmt.Errorf("write %s: %w", name, err), os.Remove(f.Name()))
	}
	return client.Unpacked{Files: 1, Bytes: n}, nil
}
