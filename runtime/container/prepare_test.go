package container

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bothy-computer/bothy/runtime/idmap"
)

var someIDs = idmap.Range{Host: 700_000, Size: 65_536}

// tree writes files below a new root.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestPrepareGivesAnyImageOurUsers(t *testing.T) {
	root := tree(t, map[string]string{
		"etc/passwd":   "root:x:0:0::/root:/bin/bash\nnode:x:33:33::/srv:/bin/false\nlast:x:9:9::/:/bin/sh", // no newline at its end
		"etc/group":    "root:x:0:\nsudo:x:27:\n",
		"etc/shadow":   "root:*:1::::::\nuser:$6$old:1::::::\n",
		"usr/bin/sudo": "", "usr/bin/bash": "",
	})
	for range 2 { // a start cut short prepares again
		if err := prepare(root, "hut", someIDs); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"etc/passwd": "root:x:0:0::/root:/bin/bash\nlast:x:9:9::/:/bin/sh\n" +
			"node:x:1000:1000::/home/node:/bin/bash\nuser:x:1000:1000::/home/user:/bin/bash\n",
		"etc/group":           "root:x:0:\nsudo:x:27:\nnode:x:1000:\nuser:x:1000:\n",
		"etc/shadow":          "root:*:1::::::\nnode:*:19000:0:99999:7:::\nuser:*:19000:0:99999:7:::\n",
		"etc/sudoers.d/bothy": sudoers,
		"etc/hostname":        "hut\n",
		"etc/resolv.conf":     "",
	} {
		if got, err := os.ReadFile(filepath.Join(root, name)); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
	for name, owner := range map[string]uint32{
		"home/node": 701_000, "home/user": 701_000, "etc/sudoers.d/bothy": 700_000, "etc/passwd": 700_000,
	} {
		info, err := os.Stat(filepath.Join(root, name))
		if err != nil || info.Sys().(*syscall.Stat_t).Uid != owner {
			t.Errorf("%s is not owned by %d: %v", name, owner, err)
		}
	}
}

func TestPrepareFillsABareImage(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := prepare(root, "hut", someIDs); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, "etc/passwd"))
	if err != nil || !strings.HasPrefix(string(got), "root:x:0:0:root:/root:/bin/sh\nnode:") || !strings.HasSuffix(string(got), ":/bin/sh\n") {
		t.Errorf("passwd %q, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(root, "etc/sudoers.d")); err == nil {
		t.Error("sudo's rules without sudo")
	}
}

// TestPrepareNeverLeavesTheRoot gives it an image whose links lead outside.
func TestPrepareNeverLeavesTheRoot(t *testing.T) {
	for name, link := range map[string]string{
		"etc/passwd": "passwd", "etc/hostname": "hostname", "etc": "", "home": "", "home/node": "",
	} {
		t.Run(name, func(t *testing.T) {
			victim, root := t.TempDir(), tree(t, map[string]string{"keep": ""})
			precious := filepath.Join(victim, "passwd")
			if err := os.WriteFile(precious, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(filepath.Join(victim, link), path); err != nil {
				t.Fatal(err)
			}
			if err := prepare(root, "hut", someIDs); err == nil {
				t.Error("a link that leads outside was taken")
			}
			entries, err := os.ReadDir(victim)
			got, readErr := os.ReadFile(precious)
			if err != nil || readErr != nil || len(entries) != 1 || string(got) != "precious" {
				t.Errorf("the outside changed: %v, %q", entries, got)
			}
			info, err := os.Stat(victim)
			if err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
				t.Errorf("the outside changed its owner: %v", err)
			}
		})
	}
}
