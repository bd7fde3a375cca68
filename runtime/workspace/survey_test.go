package workspace_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

func surveyed(t *testing.T, w *workspace.FS) *workspace.Survey {
	t.Helper()
	s, err := w.Survey(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestASurveyFindsEveryChange(t *testing.T) {
	dir := t.TempDir()
	w, err := workspace.Open(runtime.WorkspaceRoot{Path: dir, UID: os.Getuid(), GID: os.Getgid()})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	write := func(name, text string) {
		t.Helper()
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("same", "x")
	write("a/changed", "one")
	write("gone", "x")
	write(".git/HEAD", "ref")
	write("bad\xffname", "x")
	before := surveyed(t, w)
	write("a/changed", "two")
	write("a/new", "x")
	write(".git/index", "x")
	write("lib/node_modules/x/index.js", "x")
	write("bad\xffname", "yy")
	for _, err := range []error{os.Remove(filepath.Join(dir, "gone")), os.Symlink("same", filepath.Join(dir, "link"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := []workspace.Change{{Path: "a/changed", Kind: workspace.Modified}, {Path: "a/new", Kind: workspace.Created},
		{Path: "gone", Kind: workspace.Deleted}, {Path: "link", Kind: workspace.Created}}
	if got := surveyed(t, w).Since(before); !slices.Equal(got, want) {
		t.Fatalf("changes are %v, want %v", got, want)
	}
	for max, cut := range map[int]bool{3: true, 4: false} {
		if s, err := w.Survey(t.Context(), max); err != nil || s.Truncated != cut {
			t.Errorf("of at most %d files: truncated %v, %v", max, s.Truncated, err)
		}
	}
}

func TestTextsThatCannotBeCompared(t *testing.T) {
	dir := t.TempDir()
	w, err := workspace.Open(runtime.WorkspaceRoot{Path: dir, UID: os.Getuid(), GID: os.Getgid()})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for name, content := range map[string]string{"binary": "a\x00b", "latin": "caf\xe9", "large": strings.Repeat("x", workspace.MaxTextBytes+1), "text": "plain"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"binary": "binary", "latin": "binary", "large": "large", "link": "link", "text": "", "none": ""} {
		got, err := w.Text(name)
		if err != nil || got.Opaque != want {
			t.Errorf("%s is %+v, %v, want %q", name, got, err, want)
		}
	}
	if text, _ := w.Text("text"); string(text.Content) != "plain" {
		t.Errorf("a text reads %q", text.Content)
	}
}

func TestADiffLeadsFromOneTextToTheOther(t *testing.T) {
	lines := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "-c", "+d", "", "--- x", "same", "same"}), 0, 12)
	rapid.Check(t, func(t *rapid.T) {
		end := rapid.SampledFrom([]string{"", "\n"})
		before := strings.Join(lines.Draw(t, "before"), "\n") + end.Draw(t, "end")
		after := strings.Join(lines.Draw(t, "after"), "\n") + end.Draw(t, "end")
		got := workspace.Compare(workspace.Change{Path: "f", Kind: workspace.Modified}, []byte(before), []byte(after))
		if before == after {
			if got != (workspace.Lines{}) {
				t.Fatalf("equal texts differ: %+v", got)
			}
			return
		}
		if patched := apply(t, before, got.Unified); patched != after {
			t.Fatalf("patched to %q, want %q\n%s", patched, after, got.Unified)
		}
		grown := len(slices.Collect(strings.Lines(after))) - len(slices.Collect(strings.Lines(before)))
		if got.Additions-got.Deletions != grown {
			t.Fatalf("%d lines came and %d went, but it grew by %d", got.Additions, got.Deletions, grown)
		}
	})
}

// apply does what patch(1) does with a unified diff.
func apply(t *rapid.T, text, unified string) string {
	was := slices.Collect(strings.Lines(text))
	var is strings.Builder
	at := 0
	lines := slices.Collect(strings.Lines(unified))
	for i, line := range lines[2:] {
		body := line[1:]
		if i+3 < len(lines) && strings.HasPrefix(lines[i+3], "\\") {
			body = strings.TrimSuffix(body, "\n")
		}
		switch line[0] {
		case '@':
			var from, count int
			if _, err := fmt.Sscanf(line, "@@ -%d,%d ", &from, &count); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if count > 0 {
				from--
			}
			for ; at < from; at++ {
				is.WriteString(was[at])
			}
		case ' ', '-':
			if was[at] != body {
				t.Fatalf("line %d is %q, the diff says %q", at, was[at], body)
			}
			if at++; line[0] == ' ' {
				is.WriteString(body)
			}
		case '+':
			is.WriteString(body)
		}
	}
	return is.String() + strings.Join(was[at:], "")
}
