// Package passwd reads who the users of a computer are, from its own
// /etc/passwd and /etc/group. It reads at each question, because packages
// that a user installs add users.
package passwd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxFileBytes bounds what is read of either file.
	maxFileBytes = 4 << 20
	// maxGroups is the kernel's bound on the groups of one process.
	maxGroups = 65536
)

// ErrUnknown is wrapped when nobody has the name.
var ErrUnknown = errors.New("unknown user")

// User is one line of /etc/passwd, with the groups that name the user.
type User struct {
	Name   string
	UID    uint32
	GID    uint32
	Home   string
	Shell  string
	Groups []uint32 // GID included, sorted
}

// Lookup finds a user by name, or by number, in the computer whose root is
// root ("/" outside tests). A number that no line has is a user without name
// and home, as it is for a login.
func Lookup(root, name string) (User, error) {
	u, err := find(filepath.Join(root, "etc/passwd"), func(u User) bool { return u.Name == name })
	if errors.Is(err, ErrUnknown) {
		if uid, bad := strconv.ParseUint(name, 10, 32); bad == nil {
			u, err = byUID(root, uint32(uid))
		}
	}
	if err != nil {
		return User{}, fmt.Errorf("look up user %q: %w", name, err)
	}
	u.Groups, err = groupsOf(filepath.Join(root, "etc/group"), u)
	if err != nil {
		return User{}, fmt.Errorf("look up groups of %q: %w", name, err)
	}
	return u, nil
}

func byUID(root string, uid uint32) (User, error) {
	u, err := find(filepath.Join(root, "etc/passwd"), func(u User) bool { return u.UID == uid })
	if errors.Is(err, ErrUnknown) {
		return User{Name: strconv.Itoa(int(uid)), UID: uid, GID: uid, Home: "/"}, nil
	}
	return u, err
}

// UserIn finds a user by name, or by number, in the text of an /etc/passwd. A
// number that no line has is a user without name, of the group of that number.
func UserIn(text, name string) (User, error) {
	uid, numberErr := strconv.ParseUint(name, 10, 32)
	found, ok := User{}, false
	err := lines(strings.NewReader(text), func(line string) bool {
		if u, fine := parseUser(line); fine && (u.Name == name || numberErr == nil && u.UID == uint32(uid)) {
			found, ok = u, true
		}
		return !ok
	})
	switch {
	case err != nil || ok:
		return found, err
	case numberErr == nil:
		return User{UID: uint32(uid), GID: uint32(uid)}, nil
	}
	return User{}, fmt.Errorf("%w: user %.80q", ErrUnknown, name)
}

// GroupIn finds a group by name, or by number, in the text of an /etc/group.
func GroupIn(text, name string) (gid uint32, err error) {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(n), nil
	}
	err = fmt.Errorf("%w: group %.80q", ErrUnknown, name)
	readErr := lines(strings.NewReader(text), func(line string) bool {
		if g, ok := parseGroup(line); ok && g.name == name {
			gid, err = g.gid, nil
		}
		return err != nil
	})
	return gid, errors.Join(readErr, err)
}

func find(path string, is func(User) bool) (User, error) {
	var found *User
	err := eachLine(path, func(line string) bool {
		if u, ok := parseUser(line); ok && is(u) {
			found = &u
		}
		return found == nil
	})
	if err != nil {
		return User{}, err
	}
	if found == nil {
		return User{}, ErrUnknown
	}
	return *found, nil
}

func parseUser(line string) (User, bool) {
	f := strings.Split(line, ":")
	if len(f) < 7 || f[0] == "" {
		return User{}, false
	}
	uid, err1 := strconv.ParseUint(f[2], 10, 32)
	gid, err2 := strconv.ParseUint(f[3], 10, 32)
	if err1 != nil || err2 != nil {
		return User{}, false
	}
	u := User{Name: f[0], UID: uint32(uid), GID: uint32(gid), Home: f[5], Shell: f[6]}
	if u.Home == "" {
		u.Home = "/"
	}
	return u, true
}

func groupsOf(path string, u User) ([]uint32, error) {
	groups := []uint32{u.GID}
	err := eachLine(path, func(line string) bool {
		if g, ok := parseGroup(line); ok && slices.Contains(g.members, u.Name) {
			groups = append(groups, g.gid)
		}
		return len(groups) < maxGroups
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	slices.Sort(groups)
	return slices.Compact(groups), nil
}

type group struct {
	name    string
	gid     uint32
	members []string
}

func parseGroup(line string) (group, bool) {
	f := strings.Split(line, ":")
	if len(f) < 4 || f[0] == "" {
		return group{}, false
	}
	gid, err := strconv.ParseUint(f[2], 10, 32)
	if err != nil {
		return group{}, false
	}
	return group{f[0], uint32(gid), strings.Split(f[3], ",")}, true
}

// eachLine calls use for each line until it returns false. A missing file is
// an error that wraps os.ErrNotExist.
func eachLine(path string, use func(string) bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return lines(f, use)
}

func lines(from io.Reader, use func(string) bool) error {
	scan := bufio.NewScanner(io.LimitReader(from, maxFileBytes))
	scan.Buffer(nil, maxFileBytes)
	for scan.Scan() {
		if !use(scan.Text()) {
			return nil
		}
	}
	return scan.Err()
}
