package build

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// hostile are texts that have hurt some reader of Dockerfiles, and a few of
// each form for a fuzzer to begin with.
func hostile(f *testing.F) {
	plans, err := filepath.Glob("testdata/plans/*.dockerfile")
	if err != nil {
		f.Fatal(err)
	}
	recipes, err := filepath.Glob("testdata/*.dockerfile")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(plans, recipes...) {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	for _, text := range []string{
		"FROM a\nENV A=$A$A\nENV A=$A$A\nENV A=$A$A", "FROM a\nENV A=${a:-${b:-${c:-$d}}}", "FROM a\nENV A=xyxy B=${A//x/${A%y}} C=${A##*x} D=${A/y/\\}}",
		"FROM a\nENV A=${A%\\} B=${A#\\*} C=${A/*/x}", "FROM a\nRUN <<A <<B <<A\nA\nB\nA", "FROM a\nCOPY <<A <<A /x/\n$A\nA\n$A\nA", "FROM a\nRUN <<<<A\nA", "FROM a\nCOPY <<../../A /\n../../A",
		"FROM a\nONBUILD ONBUILD RUN <<A\nA", "FROM a\n# check=skip=all;error=true\nFROM a", "\xef\xbb\xbf# escape=`\n#syntax=x\nFROM a", "# escape=\\\n# escape=`\nFROM a",
		"FROM a\nRUN --mount=type=secret,id=x --network=none --device=y ls", "FROM a\nHEALTHCHECK --interval=1s CMD x\nHEALTHCHECK NONE", "FROM a\nSHELL []\nRUN []\nCMD []\nENTRYPOINT []",
		"FROM --platform=$A a AS b\nFROM b\nFROM 0\nCOPY --from=0 . .", "FROM a\nUSER\nUSER \"\"\nWORKDIR \"\"\nVOLUME [\"\"]\nLABEL a\nEXPOSE", "{\"syntax\":\"x\"}", "FROM a\nRUN \\\n\n#\n\\\n x",
		"FROM a\nENV $A=b \"c d\"=e\nARG $A=b =c", "FROM a\nADD --checksum=x --chmod=$A <<A /$A\nA", "#!/x\nFROM a", "ARG A\nARG A=$A\nFROM ${A:?}",
	} {
		f.Add(text)
	}
}

func FuzzCheck(f *testing.F) {
	hostile(f)
	f.Fuzz(func(t *testing.T, text string) {
		begun := time.Now()
		got := Check(text, Options{Image: bare().Image})
		soon(t, begun)
		for i, p := range append(got.Errors, got.Warnings...) {
			if p.Line < 1 || p.Line > strings.Count(text, "\n")+1 || !utf8.ValidString(p.Text) || strings.Contains(p.Text, "\n") || len(p.Text) > 2*maxReasonBytes {
				t.Errorf("problem %d: %+v", i, p)
			}
		}
		_, err := NewPlan(text, bare())
		var bad *SyntaxError
		switch {
		case (err == nil) != (len(got.Errors) == 0):
			t.Errorf("the check says %v, the plan %v", got.Errors, err)
		case err != nil && (!errors.As(err, &bad) || !strings.HasPrefix(err.Error(), "Dockerfile syntax error on line ")):
			t.Errorf("the plan says %v", err)
		}
	})
}

func FuzzPlan(f *testing.F) {
	hostile(f)
	f.Fuzz(func(t *testing.T, text string) {
		begun := time.Now()
		plan, err := NewPlan(text, bare())
		soon(t, begun)
		if err != nil {
			return
		}
		n := 0
		for i, stage := range plan.Stages {
			for _, step := range stage.Steps {
				if n++; step.Number != n || len(step.Key) != 64 || len(step.Text) > maxTextBytes+3 || strings.Contains(step.Text, "\n") {
					t.Errorf("step %d is %+v", n, step)
				}
				legal(t, i, step.Action)
			}
		}
		if n != plan.Steps || plan.Stages[len(plan.Stages)-1].Key != plan.Key {
			t.Errorf("%d steps of %d", n, plan.Steps)
		}
	})
}

// legal tells what no executor should have to look at again.
func legal(t *testing.T, stage int, a Action) {
	clean := func(p string) {
		if !path.IsAbs(p) || path.Clean(p) != p {
			t.Errorf("the path %q in %+v", p, a)
		}
	}
	switch do := a.(type) {
	case Run:
		clean(do.Dir)
		if len(do.Argv) == 0 || do.User == "" || len(strings.Join(do.Env, "")) > 2*maxEnvironmentBytes {
			t.Errorf("%+v", do)
		}
	case Files:
		for _, f := range do.Files {
			if clean(f.Path); f.Path == "/" || f.Mode == 0 || f.Mode > 0o7777 {
				t.Errorf("%+v", f)
			}
		}
	case Copy:
		if do.Stage >= stage || (do.Stage < 0) == (do.Image == "") || len(do.Sources) == 0 || do.Mode > 0o7777 || do.From == "" {
			t.Errorf("%+v", do)
		}
		for _, source := range do.Sources {
			clean(source)
		}
		clean("/" + strings.Trim(do.Dest, "/"))
	case Dir:
		clean(do.Path)
	}
}

// soon bounds what one text may cost. It is far above what any takes, for
// machines that do other things too.
func soon(t *testing.T, begun time.Time) {
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

func FuzzExtensions(f *testing.F) {
	f.Add("RUN ls\nRUN <<SETUP\nSETUP")
	f.Add("RUN ls \\")
	f.Add("# escape=`\nRUN ls `\n")
	f.Fuzz(func(t *testing.T, extensions string) {
		r := Recipe{System: []string{"jq"}, SetupScripts: []string{"echo last"}, Extensions: extensions}
		if r.Validate(nil) != nil || len(CheckExtensions(r, Installers{}, Options{}).Errors) > 0 {
			return
		}
		plan, err := NewPlan(Dockerfile(r, Installers{}), bare())
		if err != nil {
			t.Fatal(err)
		}
		stage := plan.Stages[len(plan.Stages)-1]
		last, ok := stage.Steps[len(stage.Steps)-1].Action.(Run)
		if !ok || last.Argv[len(last.Argv)-1] != "set -e\necho last\n" {
			t.Errorf("the setup script became %+v", last)
		}
	})
}
