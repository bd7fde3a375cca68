package container

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/runtime"
)

// TestProgramsAreSeenByAllComputersAndChangedByNone puts a directory of an
// image on the shelf while a computer runs.
func TestProgramsAreSeenByAllComputersAndChangedByNone(t *testing.T) {
	n := newNode(t, 0)
	id := n.started(n.spec())
	st, err := n.Inspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "..", "a/b", ".half-1", strings.Repeat("x", 101)} {
		if err := n.Shelve(t.Context(), name, st.Image, "/etc/skel"); !errors.Is(err, runtime.ErrInvalid) || n.Shelved(name) {
			t.Errorf("shelve %q: %v", name, err)
		}
	}
	if err := n.Shelve(t.Context(), "tool-1", st.Image, "/nowhere"); !errors.Is(err, runtime.ErrInvalid) || n.Shelved("tool-1") {
		t.Errorf("shelve what is not there: %v", err)
	}
	for range 2 {
		if err := n.Shelve(t.Context(), "tool-1", st.Image, "/etc/skel"); err != nil || !n.Shelved("tool-1") {
			t.Fatal(err)
		}
	}
	at := runtime.ProgramsDir + "/tool-1"
	if got := n.says(id, "", "ls -A "+at+" | grep -c . && cat "+at+"/.profile | head -c 1"); !strings.HasSuffix(got, "#") {
		t.Errorf("inside there is %q", got)
	}
	for what, script := range map[string]string{
		"changing one": "echo x >> " + at + "/.profile", "adding one": "touch " + runtime.ProgramsDir + "/mine",
		"removing one": "rm -r " + at, "writing again": "mount -o remount,rw " + runtime.ProgramsDir, "taking it away": "umount " + runtime.ProgramsDir,
	} {
		if exit, out := n.sh(id, "root", script); exit.Code == 0 {
			t.Errorf("%s worked: %s", what, out)
		}
	}
	if err := n.Shelve(t.Context(), "tool-2", st.Image, "/etc/skel"); err != nil || n.Shelved("tool-1") || !n.Shelved("tool-2") {
		t.Errorf("a newer version beside the older: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(n.programs(), halfShelved+"*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	if err := os.Mkdir(filepath.Join(n.programs(), halfShelved+"x"), 0o700); err != nil {
		t.Fatal(err)
	}
	n.leave()
	n.open(0)
	if left, _ := filepath.Glob(filepath.Join(n.programs(), halfShelved+"*")); len(left) > 0 || !n.Shelved("tool-2") {
		t.Errorf("after a restart: %v, the program is there: %v", left, n.Shelved("tool-2"))
	}
}
