package workspace

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/runtime"
)

const outsideSecret = "not for computers"

// outside makes a directory with a workspace in it and a file and a directory
// beside it, and returns the workspace and a check that nothing beside it has
// changed.
func outside(t testing.TB) (string, func(errorf func(string, ...any))) {
	t.Helper()
	dir := t.TempDir()
	home := filepath.Join(dir, "workspace")
	for _, d := range []string{home, filepath.Join(dir, "beside")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"secret", "beside/secret"} {
		if err := os.WriteFile(filepath.Join(dir, f), []byte(outsideSecret), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return home, func(errorf func(string, ...any)) {
		for at, want := range map[string]string{dir: "beside secret workspace", filepath.Join(dir, "beside"): "secret"} {
			entries, err := os.ReadDir(at)
			var names []string
			for _, e := range entries {
				names = append(names, e.Name())
			}
			if err != nil || strings.Join(names, " ") != want {
				errorf("%s holds %v, %v", at, names, err)
			}
		}
		for _, f := range []string{"secret", "beside/secret"} {
			path := filepath.Join(dir, f)
			text, err := os.ReadFile(path)
			info, statErr := os.Lstat(path)
			if err = errors.Join(err, statErr); err != nil || string(text) != outsideSecret || info.Mode() != 0o644 {
				errorf("%s: %q, %v, %v", path, text, info, err)
			}
		}
	}
}

// do performs an operation of a user and returns all content that it showed.
func do(w *FS, verb, a, b string) string {
	ctx := context.Background()
	var shown string
	switch verb {
	case "read":
		data, _ := w.ReadFile(a, 1<<20)
		shown = string(data)
	case "open":
		if r, _, err := w.Open(a); err == nil {
			data, _ := io.ReadAll(r)
			shown = string(data)
			r.Close()
		}
	case "grep":
		found, _ := w.Grep(ctx, a, GrepOptions{Pattern: ".", Regex: true})
		for _, m := range found.Matches {
			shown += m.Text
		}
	case "list":
		all, _ := w.List(ctx, a, ListOptions{})
		for _, e := range all.Entries {
			shown += e.Path + " "
		}
	case "write":
		_, _ = w.Write(ctx, a, strings.NewReader("mine"), WriteOptions{Mode: 0o600})
	case "mkdir":
		_ = w.MkdirAll(a)
	case "move":
		_ = w.Move(a, b)
	case "remove":
		_ = w.Remove(ctx, a, true)
	case "stat":
		_, _ = w.Stat(a)
	case "range":
		data, _ := w.ReadRange(a, 0, 1<<10)
		shown = string(data)
	case "overwrite":
		_ = w.WriteRange(ctx, a, 2, []byte("mine"))
	case "patch":
		_, _ = w.Patch(ctx, a, []Edit{{"not", "mine"}})
	case "exists":
		_, _ = w.Exists(a)
	}
	return shown
}

var verbNames = []string{"read", "open", "grep", "list", "write", "mkdir", "move", "remove", "stat", "range", "overwrite", "patch", "exists"}

// TestNoPathLeadsOut: a computer makes links as it likes, a user asks for what
// they like, and nothing outside is shown or changed.
func TestNoPathLeadsOut(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		home, unchanged := outside(t)
		w := openAt(t, home)
		defer w.Close()
		name := rapid.SampledFrom([]string{"a", "b", "c", "a/b", "b/a", "a/b/c", "c/secret", "secret", "beside/secret"})
		target := rapid.OneOf(name, rapid.SampledFrom([]string{
			"..", "../..", ".", "../secret", "../beside", "../../secret", "/", "/etc", filepath.Dir(home), filepath.Join(filepath.Dir(home), "secret"), "/proc/self/cwd", "a", "/proc/self/root",
		}))
		asked := rapid.OneOf(name, target, rapid.Map(name, func(s string) string { return "/workspace/" + s }), rapid.String())
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			if rapid.Bool().Draw(rt, "computer") {
				at := filepath.Join(home, rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "link"))
				_ = os.RemoveAll(at)
				_ = os.Symlink(target.Draw(rt, "target"), at)
				continue
			}
			verb := rapid.SampledFrom(verbNames).Draw(rt, "verb")
			shown := do(w, verb, asked.Draw(rt, "a"), asked.Draw(rt, "b"))
			if strings.Contains(shown, outsideSecret) || strings.Contains(shown, "passwd") {
				rt.Fatalf("%s showed %.80q", verb, shown)
			}
		}
		unchanged(rt.Errorf)
	})
}

// attacker swaps a directory of a workspace and a link out of it as fast as it
// can, until the test ends.
func attacker(t *testing.T, home string) {
	t.Helper()
	at, spare := filepath.Join(home, "d"), filepath.Join(home, "spare")
	beside := filepath.Join(filepath.Dir(home), "beside")
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.MkdirAll(filepath.Join(at, "sub"), 0o755)
			_ = os.WriteFile(filepath.Join(at, "secret"), []byte("own"), 0o644)
			_ = os.Rename(at, spare)
			_ = os.Symlink(beside, at)
			_ = os.Remove(at)
			_ = os.Rename(spare, at)
			_ = os.Rename(filepath.Join(at, "sub"), filepath.Join(at, "was"))
			_ = os.Symlink(beside, filepath.Join(at, "sub"))
			_ = os.Remove(filepath.Join(at, "sub"))
			_ = os.Rename(filepath.Join(at, "was"), filepath.Join(at, "sub"))
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
}

// TestNoRaceLeadsOut: a user works below a name that the computer makes a link
// again and again. Each verb is tried alone, so that none is spared by what
// another did.
func TestNoRaceLeadsOut(t *testing.T) {
	for _, verb := range verbNames {
		t.Run(verb, func(t *testing.T) {
			home, unchanged := outside(t)
			w := openAt(t, home)
			attacker(t, home)
			for range 300 {
				for _, name := range []string{"d/secret", "d/sub/secret", "d/new/file", "d"} {
					if shown := do(w, verb, name, "d/other"); strings.Contains(shown, outsideSecret) {
						t.Fatalf("%s showed a secret", verb)
					}
				}
			}
			unchanged(t.Errorf)
		})
	}
}

func TestALinkOutSaysSo(t *testing.T) {
	home, unchanged := outside(t)
	w := openAt(t, home)
	for link, target := range map[string]string{"up": "../secret", "abs": filepath.Join(filepath.Dir(home), "secret"), "dir": "../beside"} {
		if err := os.Symlink(target, filepath.Join(home, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"up", "abs", "dir/secret"} {
		if _, err := w.ReadFile(name, 100); !errors.Is(err, runtime.ErrInvalid) || !strings.Contains(err.Error(), "out of the workspace") || strings.Contains(err.Error(), home) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Replacing or removing a link is about the link.
	if _, err := w.Write(t.Context(), "up", strings.NewReader("own"), WriteOptions{}); err != nil {
		t.Error(err)
	}
	if err := w.Remove(t.Context(), "dir", true); err != nil {
		t.Error(err)
	}
	unchanged(t.Errorf)
}
