package build

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/runtime"
)

var update = flag.Bool("update", false, "write the Dockerfiles in testdata anew")

func TestDockerfile(t *testing.T) {
	index := Installers{Archives: map[string]string{"nodejs": "https://mirror.example/node-{version}-linux-{arch}.tar.gz"}}
	tests := map[string]struct {
		recipe     Recipe
		installers Installers
	}{
		"nothing": {},
		"quickstart": {recipe: Recipe{
			Runtimes: map[string]string{"python": "3.12", "nodejs": "22"}, Python: []string{"pandas", "numpy"},
		}},
		"every_runtime": {recipe: Recipe{Base: "debian", Runtimes: map[string]string{
			"python": "3.11", "nodejs": "20", "go": "1.22", "php": "8.2", "java": "17", "ruby": "3.1", "rust": "stable",
		}}},
		"everything": {
			recipe: Recipe{
				Base: "docker.io/library/debian:12", Runtimes: map[string]string{"nodejs": "22"},
				System: []string{"imagemagick", "ffmpeg", "g++", "ffmpeg"}, Python: []string{"pandas[excel]>=2, <3"}, Node: []string{"tsx", "@types/node@22"},
				Extensions:   "ENV GREETING=\"it's $USER\"\r\nRUN pip install custom-package",
				SetupScripts: []string{"npm ci\n", "  ", "cat <<SETUP\nhello\nSETUP\r\n", "#!/usr/bin/env bash\nset -o pipefail\nfalse | true", "#!/usr/bin/python3\nprint('hi')\n"},
			},
			installers: index,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := tt.recipe.Validate(DefaultRuntimes()); err != nil {
				t.Fatal(err)
			}
			got, file := Dockerfile(tt.recipe, tt.installers), filepath.Join("testdata", name+".dockerfile")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s is not what the recipe gives now:\n%s", file, got)
			}
			if report := CheckExtensions(tt.recipe, tt.installers, Options{}); len(report.Errors)+len(report.Warnings) > 0 {
				t.Errorf("its check says %+v", report)
			}
		})
	}
}

// recipes draws recipes that an HTTP layer would let through.
func recipes() *rapid.Generator[Recipe] {
	available := DefaultRuntimes()
	list := func(kind Kind) *rapid.Generator[[]string] {
		of := map[Kind]string{
			System: `[a-z0-9][a-z0-9+.-]{1,12}(:[a-z0-9][a-z0-9-]{0,5})?(=[A-Za-z0-9][A-Za-z0-9.+:~-]{0,6})?`,
			Python: `[A-Za-z0-9][A-Za-z0-9._-]{0,12}(\[[a-z, ]{1,8}\])?( ?(===|==|~=|!=|<=|>=|<|>) ?[0-9][A-Za-z0-9.*+!_-]{0,4}){0,2}`,
			Node:   `(@[A-Za-z0-9~._-]{1,8}/)?[A-Za-z0-9][A-Za-z0-9._~-]{0,12}(@[A-Za-z0-9^~<>=*][A-Za-z0-9.^~<>=|*+ _-]{0,8})?`,
		}[kind]
		return rapid.SliceOfN(rapid.StringMatching(of).Filter(func(s string) bool { return CheckPackage(kind, s) == nil }), 0, 4)
	}
	return rapid.Custom(func(t *rapid.T) Recipe {
		r := Recipe{
			Base:   rapid.SampledFrom([]string{"", "debian", "host", "docker.io/library/python:3.12", "env-x:0123456789ab"}).Draw(t, "base"),
			System: list(System).Draw(t, "system"), Python: list(Python).Draw(t, "python"), Node: list(Node).Draw(t, "node"),
			SetupScripts: rapid.SliceOfN(rapid.OneOf(rapid.String(), rapid.StringMatching(`(#! ?/bin/[a-z]+\r?\n)?(SETUP(_1)?\r?\n|<<EOF\n|\\\n|\$\{x:-|'|"|# escape=\x60\n|FROM x\n){0,6}\\?`)), 0, 3).Draw(t, "scripts"),
			Extensions:   strings.Join(rapid.SliceOfN(rapid.SampledFrom(legalInstructions), 0, 5).Draw(t, "extensions"), rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "end of line")),
			Runtimes:     map[string]string{},
		}
		for language, versions := range available {
			if rapid.Bool().Draw(t, language) {
				r.Runtimes[language] = rapid.SampledFrom(versions).Draw(t, language+" version")
			}
		}
		return r
	}).Filter(func(r Recipe) bool { return r.Validate(available) == nil })
}

var legalInstructions = []string{
	"RUN pip install pandas", "ENV A=1 B=\"two words\"", "RUN <<EOF\nset -e\necho $A\nEOF", "USER node", "WORKDIR sub", "LABEL a=b",
	"COPY <<EOF <<\"OTHER\" /etc/\none $A\nEOF\ntwo\nOTHER", "ARG VERSION=1\nRUN echo $VERSION \\\n  && true", "CMD [\"bash\"]", "# only said", "EXPOSE 80/tcp",
}

func TestRecipeThatValidatesIsPlanned(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := recipes().Draw(t, "recipe")
		in := Installers{}
		if rapid.Bool().Draw(t, "archives") {
			in.Archives = map[string]string{"python": "http://mirror.example/it's/{arch}/{version}.tar.gz"}
		}
		if report := CheckExtensions(r, in, Options{}); len(report.Errors) > 0 {
			t.Fatalf("the check says %v of\n%s", report.Errors, Dockerfile(r, in))
		}
		plan, err := NewPlan(Dockerfile(r, in), bare())
		if err != nil {
			t.Fatal(err)
		}
		if want := instructionsOf(r); plan.Steps != want {
			t.Fatalf("%d steps of a recipe of %d:\n%s", plan.Steps, want, Dockerfile(r, in))
		}
	})
}

// instructionsOf counts what a recipe implies, extensions by their own plan.
func instructionsOf(r Recipe) int {
	n := len([]string{"FROM", "WORKDIR", "ARG", "ENV"})
	if len(r.Runtimes) > 0 {
		n += 1 + len(r.Runtimes)
	}
	for _, list := range [][]string{r.System, r.Python, r.Node} {
		n += min(len(list), 1)
	}
	for _, script := range r.SetupScripts {
		if strings.TrimSpace(script) != "" {
			n++
		}
	}
	plan, err := NewPlan("FROM scratch\n"+r.Extensions, bare())
	if err != nil {
		panic(err)
	}
	return n + plan.Steps - 1
}

func bare() Options {
	return Options{Image: func(name string) (Base, error) { return Base{Digest: "digest of " + name}, nil }}
}

func TestSameRecipeSameHash(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := recipes().Draw(t, "recipe")
		var pairs []string
		for language, version := range r.Runtimes {
			pairs = append(pairs, `"`+language+`":"`+version+`"`)
		}
		shuffled := r
		shuffled.Runtimes = nil
		if err := json.Unmarshal([]byte("{"+strings.Join(rapid.Permutation(pairs).Draw(t, "order"), ",")+"}"), &shuffled.Runtimes); err != nil {
			t.Fatal(err)
		}
		shuffled.System = append(rapid.Permutation(r.System).Draw(t, "system"), r.System...)
		if a, b := Hash(Dockerfile(r, Installers{})), Hash(Dockerfile(shuffled, Installers{})); a != b {
			t.Fatalf("%s and %s", a, b)
		}
	})
}

func TestEmptyRecipe(t *testing.T) {
	if !(Recipe{Base: "debian", Extensions: " \n", SetupScripts: []string{" "}}).Empty() || (Recipe{Node: []string{"tsx"}}).Empty() {
		t.Error("a recipe is empty when it adds nothing to its base")
	}
}

func TestTag(t *testing.T) {
	hash := Hash("FROM debian\n")
	tests := map[string]struct{ id, want string }{
		"as the page has it":  {"env_kJDvlIZ0mXZI0JrqbHj25", "env-kjdvliz0mxzi0jrqbhj25"},
		"signs that stay":     {"env_aB-c_d__e--f", "env-ab-c_d__e--f"},
		"begins with a dash":  {"env_-abc", "env--abc"},
		"begins with a line":  {"env__abc", "env--abc"},
		"ends with a dash":    {"env_abc-", "env-abc-0"},
		"ends with a line":    {"env_abc_", "env-abc-0"},
		"lines in a row":      {"env_a___b", "env-a---b"},
		"a dash after a line": {"env_a_-b", "env-a--b"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Tag(tt.id, hash); got != tt.want+":"+hash[:12] {
				t.Errorf("Tag(%q) = %q", tt.id, got)
			}
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		tag := Tag("env_"+rapid.StringMatching(`[A-Za-z0-9_-]{21}`).Draw(t, "id"), hash)
		repository, _, _ := strings.Cut(tag, ":")
		if !legalRepository.MatchString(repository) || CheckBase(tag) != nil {
			t.Fatalf("%q is no legal name", tag)
		}
	})
}

func TestValidateTellsEveryMistake(t *testing.T) {
	err := Recipe{
		Base: "a b", Runtimes: map[string]string{"python": "2.7", "cobol": "1"}, System: []string{"a; b"}, Python: []string{"git+https://x"}, Node: []string{"a b"},
		Extensions: "a\x00", SetupScripts: []string{"\xff"},
	}.Validate(DefaultRuntimes())
	if !errors.Is(err, runtime.ErrInvalid) {
		t.Fatal(err)
	}
	for _, want := range []string{`"a b" names no image`, `python has no version "2.7"; there are 3.9`, `"cobol"`, `"a; b"`, `"git+https://x"`, "dockerfileExtensions", "setupScripts[0]"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in\n%v", want, err)
		}
	}
}

// The most that a recipe may hold is still a Dockerfile.
func TestLargestRecipe(t *testing.T) {
	r := Recipe{Runtimes: map[string]string{}, Base: strings.Repeat("b", maxBaseBytes)}
	for language, versions := range DefaultRuntimes() {
		r.Runtimes[language] = versions[0]
	}
	for i := range maxPackages {
		name := fmt.Sprintf("p%0*d", maxPackageBytes-1, i)
		r.System, r.Python, r.Node = append(r.System, name), append(r.Python, name), append(r.Node, name)
	}
	line := strings.Repeat("x", 1023)
	r.Extensions = "RUN <<EOF\n" + strings.Repeat(line+"\n", maxExtensionsBytes/1024-1) + "EOF\n"
	r.SetupScripts = append(make([]string, maxScripts-2), strings.Repeat(line+"\\", maxScriptBytes/2048), strings.Repeat(line+"\n", maxScriptBytes/2048))
	if err := r.Validate(DefaultRuntimes()); err != nil {
		t.Fatal(err)
	}
	if got := CheckExtensions(r, Installers{}, Options{}); len(got.Errors) > 0 {
		t.Fatalf("%+v", got.Errors)
	}
	if _, err := NewPlan(Dockerfile(r, Installers{}), bare()); err != nil {
		t.Fatal(err)
	}
}
