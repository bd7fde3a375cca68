package build

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/image"
)

// here is a machine with two images.
func here() Options {
	images := map[string]Base{
		"debian": {Digest: "sha256:d", Config: image.Config{Env: []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8"}, Cmd: []string{"/bin/bash"}}},
		"python": {Digest: "sha256:p", Config: image.Config{
			Env: []string{"PYTHON=3"}, Entrypoint: []string{"python3"}, Cmd: []string{"-i"}, User: "app:app", WorkDir: "/srv", Desktop: "/bin/desktop",
		}},
	}
	return Options{Platform: "linux/arm64/v8", Image: func(name string) (Base, error) {
		base, ok := images[name]
		if !ok {
			return Base{}, fmt.Errorf("image %s: %w", name, runtime.ErrNoImage)
		}
		return base, nil
	}}
}

// TestPlan compares plans with transcripts of them. Look at what changes before
// you write them anew: a step that is told otherwise is built otherwise.
func TestPlan(t *testing.T) {
	files, err := filepath.Glob("testdata/plans/*.dockerfile")
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".dockerfile")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			plan, err := NewPlan(string(text), here())
			if err != nil {
				t.Fatal(err)
			}
			got, golden := told(plan), strings.TrimSuffix(file, "dockerfile")+"plan"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("the plan is now\n%s", got)
			}
		})
	}
}

// told is a plan as a transcript.
func told(p Plan) string {
	var b strings.Builder
	for i, stage := range p.Stages {
		fmt.Fprintf(&b, "stage %d %q from %q %d\n", i, stage.Name, stage.Image, stage.From)
		for _, step := range stage.Steps {
			fmt.Fprintf(&b, "STEP %d/%d: %s (line %d, key %.8s)\n", step.Number, p.Steps, step.Text, step.Line, step.Key)
			switch do := step.Action.(type) {
			case Run:
				fmt.Fprintf(&b, "  run %q\n  in %s as %s, offline %t\n  with %q\n", do.Argv, do.Dir, do.User, do.Offline, do.Env)
				for _, d := range do.Documents {
					fmt.Fprintf(&b, "  and %s %o %q\n", d.Path, d.Mode, d.Data)
				}
			case Files:
				for _, f := range do.Files {
					fmt.Fprintf(&b, "  write %s %o %q %q\n", f.Path, f.Mode, f.Owner, f.Data)
				}
			case Copy:
				fmt.Fprintf(&b, "  copy %q of %q %d to %s %o %q\n", do.Sources, do.Image, do.Stage, do.Dest, do.Mode, do.Owner)
			case Dir:
				fmt.Fprintf(&b, "  make %s of %s\n", do.Path, do.User)
			}
		}
	}
	fmt.Fprintf(&b, "config %+q\n", p.Config)
	return b.String()
}

func TestPlanOfNoImage(t *testing.T) {
	for _, text := range []string{"FROM nosuch", "FROM debian\nCOPY --from=nosuch /a /b"} {
		_, err := NewPlan(text, here())
		if !errors.Is(err, runtime.ErrNoImage) || !strings.Contains(err.Error(), "the image nosuch on line") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := NewPlan("FROM debian\nRUNN", here()); !errors.Is(err, runtime.ErrInvalid) {
		t.Error(err)
	}
}

// Keys are the same for the same effect, and for nothing else.
func TestKeys(t *testing.T) {
	const text = "FROM debian AS a\nARG V=1\nENV A=$V\nRUN make\nFROM debian\nCOPY --from=a /x /y\nUSER node\nWORKDIR /w\nRUN <<EOF\nls\nEOF\n"
	key := func(text string, o Options) string {
		t.Helper()
		plan, err := NewPlan(text, o)
		if err != nil {
			t.Fatal(err)
		}
		return plan.Key
	}
	want := key(text, here())
	for name, same := range map[string]string{
		"comments and lines": strings.ReplaceAll(text, "RUN", "\n# said\nRUN"),
		"labels and ports":   text + "LABEL a=b\nEXPOSE 80\nCMD [\"x\"]\n",
		"a stage's name":     strings.NewReplacer("AS a", "AS b", "from=a", "from=b").Replace(text),
		"a stage not needed": "FROM python\nRUN x\n" + text,
		"casing":             strings.ReplaceAll(text, "RUN", "run"),
	} {
		if got := key(same, here()); got != want {
			t.Errorf("%s: another key", name)
		}
	}
	for old, other := range map[string]string{
		"make": "make all", "V=1": "V=2", "/x /y": "/x /z", "=a /x": "=a --chmod=755 /x", "USER node": "USER root", "/w": "/v", "ls": "ls -l", "AS a\n": "AS a\nRUN true\n",
		"FROM debian\nCOPY": "FROM python\nCOPY", "RUN make": "SHELL [\"bash\"]\nRUN make", "RUN <<EOF": "RUN --network=none <<EOF",
	} {
		if got := key(strings.Replace(text, old, other, 1), here()); got == want {
			t.Errorf("%s for %s: the same key", other, old)
		}
	}
	if key(text, here()) == key(text, bare()) {
		t.Error("another base, the same key")
	}
}

// Maps have no order; a plan has.
func TestPlanIsTheSameAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := Dockerfile(recipes().Draw(t, "recipe"), Installers{})
		a, err := NewPlan(text, bare())
		if err != nil {
			t.Fatal(err)
		}
		b, err := NewPlan(text, bare())
		if err != nil || !reflect.DeepEqual(a, b) {
			t.Fatalf("%v\n%s\n%s", err, told(a), told(b))
		}
		for i, stage := range a.Stages {
			if stage.From >= i {
				t.Fatalf("stage %d stands on %d", i, stage.From)
			}
		}
	})
}
