package passwd

import (
	"path/filepath"
	"strconv"
)

// Names answers what uids and gids are called, asking the files once for each
// number. It is for one listing and not for more than one goroutine.
type Names struct {
	root   string
	users  map[uint32]string
	groups map[uint32]string
}

// NewNames reads from the computer whose root is root.
func NewNames(root string) *Names {
	return &Names{root: root, users: make(map[uint32]string), groups: make(map[uint32]string)}
}

// User is the name of uid, or the number as text.
func (n *Names) User(uid uint32) string {
	if name, ok := n.users[uid]; ok {
		return name
	}
	name := strconv.Itoa(int(uid))
	if u, err := find(filepath.Join(n.root, "etc/passwd"), func(u User) bool { return u.UID == uid }); err == nil {
		name = u.Name
	}
	n.users[uid] = name
	return name
}

// Group is the name of gid, or the number as text.
func (n *Names) Group(gid uint32) string {
	if name, ok := n.groups[gid]; ok {
		return name
	}
	name := strconv.Itoa(int(gid))
	// A group file that cannot be read leaves the number, which is true too.
	_ = eachLine(filepath.Join(n.root, "etc/group"), func(line string) bool {
		g, ok := parseGroup(line)
		if ok && g.gid == gid {
			name = g.name
			return false
		}
		return true
	})
	n.groups[gid] = name
	return name
}
