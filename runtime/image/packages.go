package image

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// packageStates are the places where a machine notes its packages, and how
// each is read. The first that exists counts.
var packageStates = []struct {
	path string
	read func(path string) ([]byte, error)
}{
	{"var/lib/dpkg/status", dpkgState},
	{"usr/lib/apk/db/installed", os.ReadFile},
	{"lib/apk/db/installed", os.ReadFile},
	{"var/lib/pacman/local", entryNames},
	{"usr/lib/sysimage/rpm/rpmdb.sqlite", stamp},
	{"var/lib/rpm/rpmdb.sqlite", stamp},
	{"var/lib/rpm/Packages", stamp},
	{"usr/bin", entryNames}, // no package system that we know
}

// packageState tells which files /usr holds, as far as packages say so: equal
// states mean equal files. Machines with the same dpkg, apk or pacman packages
// have the same state.
func packageState(machine string) ([32]byte, error) {
	for _, s := range packageStates {
		path := filepath.Join(machine, s.path)
		state, err := s.read(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return [32]byte{}, fmt.Errorf("read the package state: %w", err)
		}
		return sha256.Sum256(append([]byte(s.path+"\x00"), state...)), nil
	}
	return [32]byte{}, fmt.Errorf("read the package state: %s has no usr/bin", machine)
}

// packageStamp changes whenever packageState may have changed, and is cheap.
func packageStamp(machine string) string {
	for _, s := range packageStates {
		if text, err := stamp(filepath.Join(machine, s.path)); err == nil {
			return string(text)
		}
	}
	return ""
}

func stamp(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%s %d %d", path, info.Size(), info.ModTime().UnixNano()), nil
}

func entryNames(path string) ([]byte, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var all bytes.Buffer
	for _, e := range entries {
		all.WriteString(e.Name() + "\x00")
	}
	return all.Bytes(), nil
}

// dpkgState keeps of each package what decides on its files, in an order of
// its own: dpkg writes its packages in the order of their installation.
func dpkgState(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var packages []string
	var current strings.Builder
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxDpkgLineBytes)
	for lines.Scan() {
		line := lines.Text()
		if line == "" && current.Len() > 0 {
			packages = append(packages, current.String())
			current.Reset()
		}
		for _, field := range []string{"Package: ", "Status: ", "Architecture: ", "Version: "} {
			if strings.HasPrefix(line, field) {
				current.WriteString(line + "\n")
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	packages = append(packages, current.String())
	slices.Sort(packages)
	return []byte(strings.Join(packages, "\n")), nil
}

// maxDpkgLineBytes bounds a line of dpkg's status; dependencies of some
// packages take several kilobytes.
const maxDpkgLineBytes = 1 << 20
