package image

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	// firstPersonID is where the ids of people begin; below are the system's.
	firstPersonID = 1000
	// nobodyID is the system's too, though above.
	nobodyID = 65534
)

// writeUsers writes passwd and group with the machine's system users and
// groups: files in /usr belong to them, and dpkg installs nothing when one
// that it knows is missing. Nobody has a password, and there is no shadow
// file in which one could be.
func writeUsers(machine, root string) error {
	passwd, err := os.ReadFile(filepath.Join(machine, "etc/passwd"))
	if err != nil {
		return err
	}
	group, err := os.ReadFile(filepath.Join(machine, "etc/group"))
	if err != nil {
		return err
	}
	users, names := systemUsers(string(passwd))
	if err := writeFile(filepath.Join(root, "etc/passwd"), []byte(users)); err != nil {
		return err
	}
	return writeFile(filepath.Join(root, "etc/group"), []byte(systemGroups(string(group), names)))
}

// systemUsers keeps the lines name:password:uid:gid:comment:home:shell of
// system users, locked, and reports their names. The comment goes, as it may
// tell about people; a shell that computers do not have becomes /bin/sh.
func systemUsers(passwd string) (string, []string) {
	var kept strings.Builder
	var names []string
	for line := range strings.Lines(passwd) {
		field := strings.Split(strings.TrimSpace(line), ":")
		if len(field) != 7 || !systemID(field[2]) {
			continue
		}
		field[1], field[4] = "*", ""
		if strings.HasPrefix(field[6], "/usr/local/") || !strings.HasPrefix(field[6], "/") {
			field[6] = "/bin/sh"
		}
		if field[2] == "0" {
			field[5] = "/root"
		}
		kept.WriteString(strings.Join(field, ":") + "\n")
		names = append(names, field[0])
	}
	return kept.String(), names
}

// systemGroups keeps the lines name:password:gid:members of system groups,
// with only those members that are among users.
func systemGroups(group string, users []string) string {
	var kept strings.Builder
	for line := range strings.Lines(group) {
		field := strings.Split(strings.TrimSpace(line), ":")
		if len(field) != 4 || !systemID(field[2]) {
			continue
		}
		members := slices.DeleteFunc(strings.Split(field[3], ","), func(m string) bool { return !slices.Contains(users, m) })
		field[1], field[3] = "*", strings.Join(members, ",")
		kept.WriteString(strings.Join(field, ":") + "\n")
	}
	return kept.String()
}

func systemID(text string) bool {
	id, err := strconv.Atoi(text)
	return err == nil && id >= 0 && (id < firstPersonID || id == nobodyID)
}
