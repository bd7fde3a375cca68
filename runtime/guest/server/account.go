package server

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"connectrpc.com/connect"

	"github.com/bothy-computer/bothy/runtime/guest/passwd"
)

// defaultPath is used when the guest itself was started without PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// account is as whom a request acts, and where.
type account struct {
	passwd.User
	workdir string
	env     map[string]string // defaults
}

// accountOf reads the user from HTTP Basic credentials with an empty
// password, as E2B's clients send it.
func (s *Server) accountOf(h http.Header) (account, error) {
	name, _, _ := (&http.Request{Header: h}).BasicAuth()
	return s.accountNamed(name)
}

// accountNamed finds a user of the computer; "" is the default user. A user
// that is not known is connect.CodeUnauthenticated.
func (s *Server) accountNamed(name string) (account, error) {
	user, workdir, env := s.settings.defaults()
	if name == "" {
		name = user
	}
	u, err := passwd.Lookup(s.opts.Root, name)
	if errors.Is(err, passwd.ErrUnknown) {
		return account{}, connect.NewError(connect.CodeUnauthenticated, err)
	}
	if err != nil {
		return account{}, connect.NewError(connect.CodeInternal, err)
	}
	return account{u, workdir, env}, nil
}

// resolve turns a path as clients write it into an absolute one: "" is the
// default directory, "~" and relative paths start at the user's home.
func (a account) resolve(path string) (string, error) {
	switch {
	case strings.ContainsRune(path, 0):
		return "", connect.NewError(connect.CodeInvalidArgument, errors.New("a path may not hold a NUL byte"))
	case path == "":
		return a.workdir, nil
	case path == "~" || strings.HasPrefix(path, "~/"):
		return filepath.Join(a.Home, path[1:]), nil
	case filepath.IsAbs(path):
		return filepath.Clean(path), nil
	default:
		return filepath.Join(a.Home, path), nil
	}
}

// cwd is resolve for the directory of a process, which must exist.
func (a account) cwd(path string) (string, error) {
	dir, err := a.resolve(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("cwd '%s': %w", dir, err))
	}
	if err != nil || !info.IsDir() {
		return "", connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("cwd '%s' does not exist", dir))
	}
	return dir, nil
}

// environ is the environment of a process, later ones winning. The guest's own
// comes first: it has what the computer's image says, and nothing of a node's.
func (a account) environ(extra map[string]string) ([]string, string, error) {
	merged := map[string]string{}
	for _, own := range os.Environ() {
		key, value, _ := strings.Cut(own, "=")
		merged[key] = value
	}
	if merged["PATH"] == "" {
		merged["PATH"] = defaultPath
	}
	merged["HOME"], merged["USER"], merged["LOGNAME"] = a.Home, a.Name, a.Name
	for _, env := range []map[string]string{a.env, extra} {
		for key, value := range env {
			if key == "" || strings.ContainsAny(key, "=\x00") || strings.ContainsRune(value, 0) {
				return nil, "", connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%q is no environment variable", key))
			}
			merged[key] = value
		}
	}
	env := make([]string, 0, len(merged))
	for key, value := range merged {
		env = append(env, key+"="+value)
	}
	return env, merged["PATH"], nil
}

// credential is what the kernel is told; nil when the guest already is this
// user and may not change.
func (a account) credential() *syscall.Credential {
	if os.Geteuid() != 0 && uint32(os.Geteuid()) == a.UID {
		return nil
	}
	return &syscall.Credential{Uid: a.UID, Gid: a.GID, Groups: a.Groups}
}

// executable finds a command as a shell would, along the process's own PATH
// and not the guest's.
func executable(cmd, dir, path string) (string, error) {
	if cmd == "" || strings.ContainsRune(cmd, 0) {
		return "", connect.NewError(connect.CodeInvalidArgument, errors.New("process.cmd is required"))
	}
	if strings.Contains(cmd, "/") {
		if !filepath.IsAbs(cmd) {
			cmd = filepath.Join(dir, cmd)
		}
		return cmd, nil
	}
	for _, entry := range filepath.SplitList(path) {
		if !filepath.IsAbs(entry) {
			entry = filepath.Join(dir, entry)
		}
		found := filepath.Join(entry, cmd)
		if info, err := os.Stat(found); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return found, nil
		}
	}
	return "", connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%q is not found in %s", cmd, path))
}
