package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"connectrpc.com/connect"

	"github.com/bothy-computer/bothy/runtime/guest/filesystem"
	"github.com/bothy-computer/bothy/runtime/guest/passwd"
)

// maxListed bounds the entries that one ListDir answers.
const maxListed = 100_000

// fileService implements filesystemconnect.FilesystemHandler. It acts with
// the guest's own rights, as E2B's does: the user in a request owns what is
// made, and is where relative paths begin.
type fileService struct{ *Server }

// at finds the user of a request and the path it means.
func (s *Server) at(h http.Header, path string) (account, string, error) {
	user, err := s.accountOf(h)
	if err != nil {
		return account{}, "", err
	}
	resolved, err := user.resolve(path)
	return user, resolved, err
}

func (s *Server) describe(path string) (*filesystem.EntryInfo, error) {
	entry, err := entryAt(path, path, passwd.NewNames(s.opts.Root))
	if err != nil {
		return nil, misfiled(err)
	}
	return entry, nil
}

// Stat describes one file.
func (s fileService) Stat(_ context.Context, req *connect.Request[filesystem.StatRequest]) (*connect.Response[filesystem.StatResponse], error) {
	_, path, err := s.at(req.Header(), req.Msg.Path)
	if err != nil {
		return nil, err
	}
	entry, err := s.describe(path)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&filesystem.StatResponse{Entry: entry}), nil
}

// MakeDir makes a directory and those above it.
func (s fileService) MakeDir(_ context.Context, req *connect.Request[filesystem.MakeDirRequest]) (*connect.Response[filesystem.MakeDirResponse], error) {
	user, path, err := s.at(req.Header(), req.Msg.Path)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, connect.NewError(connect.CodeAlreadyExists, fmt.Errorf("directory %s exists", path))
	} else if err == nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%s is a file", path))
	}
	if err := user.mkdirAll(path); err != nil {
		return nil, misfiled(err)
	}
	entry, err := s.describe(path)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&filesystem.MakeDirResponse{Entry: entry}), nil
}

// mkdirAll makes what is missing of a path, each directory owned by the user.
func (a account) mkdirAll(path string) error {
	if info, err := os.Stat(path); err == nil {
		if !info.IsDir() {
			return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%s is a file", path))
		}
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if above := filepath.Dir(path); above != path {
		if err := a.mkdirAll(above); err != nil {
			return err
		}
	}
	err := os.Mkdir(path, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return nil // somebody else made it, and owns it
	}
	if err != nil {
		return err
	}
	return a.own(path)
}

// own gives a new file to the user.
func (a account) own(path string) error {
	return os.Lchown(path, int(a.UID), int(a.GID))
}

// Move renames a file, also to another file system.
func (s fileService) Move(ctx context.Context, req *connect.Request[filesystem.MoveRequest]) (*connect.Response[filesystem.MoveResponse], error) {
	user, from, err := s.at(req.Header(), req.Msg.Source)
	if err != nil {
		return nil, err
	}
	to, err := user.resolve(req.Msg.Destination)
	if err != nil {
		return nil, err
	}
	if _, err := os.Lstat(from); err != nil {
		return nil, misfiled(err)
	}
	if err := user.mkdirAll(filepath.Dir(to)); err != nil {
		return nil, misfiled(err)
	}
	if err := move(ctx, from, to); err != nil {
		return nil, misfiled(err)
	}
	entry, err := s.describe(to)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&filesystem.MoveResponse{Entry: entry}), nil
}

// ListDir lists a directory to a depth, without following links below it.
func (s fileService) ListDir(ctx context.Context, req *connect.Request[filesystem.ListDirRequest]) (*connect.Response[filesystem.ListDirResponse], error) {
	_, path, err := s.at(req.Header(), req.Msg.Path)
	if err != nil {
		return nil, err
	}
	root, err := directory(path)
	if err != nil {
		return nil, err
	}
	entries, err := s.walk(ctx, root, path, max(int(req.Msg.Depth), 1))
	if err != nil {
		return nil, misfiled(err)
	}
	return connect.NewResponse(&filesystem.ListDirResponse{Entries: entries}), nil
}

// directory is where a path to a directory really leads.
func directory(path string) (string, error) {
	root, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", misfiled(err)
	}
	info, err := os.Stat(root)
	if err != nil {
		return "", misfiled(err)
	}
	if !info.IsDir() {
		return "", connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%s is not a directory", path))
	}
	return root, nil
}

// walk lists root under the name shown.
func (s fileService) walk(ctx context.Context, root, shown string, depth int) ([]*filesystem.EntryInfo, error) {
	names := passwd.NewNames(s.opts.Root)
	var entries []*filesystem.EntryInfo
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if path == root || errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		rel := strings.TrimPrefix(strings.TrimPrefix(path, root), "/")
		entry, err := entryAt(path, filepath.Join(shown, rel), names)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone since it was read
		}
		if err != nil {
			return err
		}
		if len(entries) == maxListed {
			return connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("more than %d entries; list with less depth", maxListed))
		}
		entries = append(entries, entry)
		if d.IsDir() && strings.Count(rel, "/")+1 >= depth {
			return fs.SkipDir
		}
		return nil
	})
	return entries, err
}

// Remove removes a file or a whole tree; what is not there is success.
func (s fileService) Remove(_ context.Context, req *connect.Request[filesystem.RemoveRequest]) (*connect.Response[filesystem.RemoveResponse], error) {
	_, path, err := s.at(req.Header(), req.Msg.Path)
	if err != nil {
		return nil, err
	}
	if path == "/" {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("the root directory cannot be removed"))
	}
	if err := os.RemoveAll(path); err != nil {
		return nil, misfiled(err)
	}
	return connect.NewResponse(&filesystem.RemoveResponse{}), nil
}
