package passwd_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/bothy-computer/bothy/runtime/guest/passwd"
)

// root makes a computer's root with these files.
func root(t testing.TB, users, groups string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"passwd": users, "group": groups} {
		if err := os.WriteFile(filepath.Join(dir, "etc", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const users = `root:x:0:0:root:/root:/bin/bash

broken
half:x:nine:9::/:/bin/sh
node:x:1000:1000:,,,:/home/node:/bin/bash
homeless:x:1001:7:::
node:x:2:2::/second:/bin/sh
`

const groups = `root:x:0:
docker:x:999:node,other
broken:x:y:node
node:x:1000:node
audio:x:29:node
`

func TestLookup(t *testing.T) {
	dir := root(t, users, groups)
	tests := map[string]passwd.User{
		"root":     {Name: "root", Home: "/root", Shell: "/bin/bash", Groups: []uint32{0}},
		"node":     {Name: "node", UID: 1000, GID: 1000, Home: "/home/node", Shell: "/bin/bash", Groups: []uint32{29, 999, 1000}},
		"1000":     {Name: "node", UID: 1000, GID: 1000, Home: "/home/node", Shell: "/bin/bash", Groups: []uint32{29, 999, 1000}},
		"homeless": {Name: "homeless", UID: 1001, GID: 7, Home: "/", Groups: []uint32{7}},
		"4242":     {Name: "4242", UID: 4242, GID: 4242, Home: "/", Groups: []uint32{4242}},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := passwd.Lookup(dir, name)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, %v; want %+v", got, err, want)
			}
		})
	}
	for _, name := range []string{"nobody", "", "-1", "half", "broken", "99999999999"} {
		if got, err := passwd.Lookup(dir, name); !errors.Is(err, passwd.ErrUnknown) {
			t.Errorf("%q is %+v, %v; want ErrUnknown", name, got, err)
		}
	}
	if _, err := passwd.Lookup(t.TempDir(), "root"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without files: %v", err)
	}
}

func TestNames(t *testing.T) {
	names := passwd.NewNames(root(t, users, groups))
	for range 2 {
		if u, g := names.User(1000), names.Group(999); u != "node" || g != "docker" {
			t.Errorf("got %s and %s", u, g)
		}
		if u, g := names.User(77), names.Group(78); u != "77" || g != "78" {
			t.Errorf("got %s and %s for numbers without names", u, g)
		}
	}
}

// A computer's user writes these files, so they may hold anything.
func FuzzLookup(f *testing.F) {
	f.Add(users, groups, "node")
	f.Add(":::::::\nx:x:1:1:::\n", "::::", "1")
	f.Fuzz(func(t *testing.T, users, groups, name string) {
		u, err := passwd.Lookup(root(t, users, groups), name)
		if err == nil && (u.Name == "" || u.Home == "" || len(u.Groups) == 0) {
			t.Errorf("an incomplete user: %+v", u)
		}
	})
}
