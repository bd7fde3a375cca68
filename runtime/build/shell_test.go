package build

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// machine runs scripts with commands that only write down how they were
// called, and with no other.
type machine struct{ dir string }

// recorder writes a line for each call: its name and arguments, with what is
// between them unmistakable.
const recorder = `#!/bin/sh
{ printf '%%s' "${0##*/}"; [ $# = 0 ] || printf ' <%%s>' "$@"; echo; } >>%q
%s
`

func newMachine(t *testing.T, commands map[string]string) machine {
	t.Helper()
	m := machine{t.TempDir()}
	grep, err := exec.LookPath("grep")
	if err == nil {
		err = os.Symlink(grep, filepath.Join(m.dir, "grep"))
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mkdir", "rm", "rmdir", "mv", "ln", "tar"} {
		m.add(t, name, "")
	}
	for name, does := range commands {
		m.add(t, name, does)
	}
	return m
}

func (m machine) add(t *testing.T, name, does string) {
	t.Helper()
	text := fmt.Sprintf(recorder, filepath.Join(m.dir, "calls"), does)
	if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// run runs the first RUN of a Dockerfile and reports what it called, what it
// wrote and how it ended.
func (m machine) run(t interface{ Fatal(...any) }, dockerfile string) (calls []string, output string, err error) {
	plan, err := NewPlan(dockerfile, bare())
	if err != nil {
		t.Fatal(err)
	}
	steps := plan.Stages[0].Steps
	at := slices.IndexFunc(steps, func(s Step) bool { _, ok := s.Action.(Run); return ok })
	do := steps[at].Action.(Run)
	log := filepath.Join(m.dir, "calls")
	if err := os.WriteFile(log, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(do.Argv[0], do.Argv[1:]...)
	cmd.Env = []string{"PATH=" + m.dir}
	out, err := cmd.CombinedOutput()
	text, failed := os.ReadFile(log)
	if failed != nil {
		t.Fatal(failed)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"), string(out), err
}

func TestPackagesArriveAsGiven(t *testing.T) {
	m := newMachine(t, map[string]string{"apt-get": "", "python3": "", "npm": ""})
	rapid.Check(t, func(t *rapid.T) {
		r := recipes().Draw(t, "recipe")
		for _, tt := range []struct {
			recipe Recipe
			names  []string
			prefix string
		}{
			{Recipe{System: r.System}, r.System, "apt-get <install> <-y> <--no-install-recommends>"},
			{Recipe{Python: r.Python}, r.Python, "python3 <-m> <pip> <install> <--no-cache-dir>"},
			{Recipe{Node: r.Node}, r.Node, "npm <install> <--global> <--no-fund> <--no-audit>"},
		} {
			if len(tt.names) == 0 {
				continue
			}
			calls, output, err := m.run(t, Dockerfile(tt.recipe, Installers{}))
			want := tt.prefix
			for _, name := range slices.Compact(slices.Sorted(slices.Values(tt.names))) {
				want += " <" + name + ">"
			}
			if err != nil || !slices.Contains(calls, want) {
				t.Fatalf("%v %s\n%q is not among\n%s", err, output, want, strings.Join(calls, "\n"))
			}
		}
	})
}

func TestRuntimeTakesTheFirstWay(t *testing.T) {
	const curl = "curl <-fsSL> <--retry> <2> <-o> "
	version := func(v string) string { return "echo Python " + v }
	// A version that is there once somebody installed it.
	later := `[ -e "${0%/*}/installed" ] && echo Python 3.12.1 || echo Python 3.11.2`
	installs := `[ "$1" = update ] || : >"${0%/*}/installed"`
	candidate := `echo "  Candidate: 3.12.1-1"`
	archive := Installers{Archives: map[string]string{"python": "https://mirror.example/it's/{version}-{arch}.tar.gz"}}
	tests := map[string]struct {
		commands   map[string]string
		installers Installers
		want       string // a call
		never      string // the name of a command
	}{
		"the base has it":       {map[string]string{"python3": version("3.12.9"), "apt-get": ""}, archive, "python3 <--version>", "apt-get"},
		"an archive":            {map[string]string{"python3": later, "curl": installs, "uname": "echo x86_64", "apt-get": ""}, archive, curl + "</tmp/runtime.tar.gz> <https://mirror.example/it's/3.12-amd64.tar.gz>", "apt-get"},
		"its package":           {map[string]string{"python3": later, "apt-get": installs, "apt-cache": candidate, "curl": ""}, Installers{}, "apt-get <install> <-y> <--no-install-recommends> <python3> <python3-pip> <python3-venv>", "curl"},
		"another version":       {map[string]string{"python3": later, "apt-get": "", "apt-cache": `echo "  Candidate: 3.11.2-1"`, "mise": installs, "curl": ""}, Installers{}, "mise <install> <python@3.12>", "curl"},
		"not a longer one":      {map[string]string{"python3": later, "apt-get": "", "apt-cache": `echo "  Candidate: 3.121"`, "mise": installs}, Installers{}, "mise <install> <python@3.12>", "curl"},
		"no apt":                {map[string]string{"python3": later, "mise": installs, "curl": ""}, Installers{}, "mise <install> <python@3.12>", "curl"},
		"mise itself":           {map[string]string{"python3": later, "curl": `printf ': >"%s/installed"; :\nprintf "#!/bin/sh\n" >%s/mise\n' "$PWD" "$PWD"`}, Installers{}, curl + "</tmp/mise.sh> <https://mise.run>", "apt-get"},
		"curl by the way":       {map[string]string{"python3": later, "apt-get": `[ "$1" = update ] || printf '#!/bin/sh\n' >"${0%/*}/curl"`, "apt-cache": ""}, Installers{}, "apt-get <install> <-y> <--no-install-recommends> <curl> <ca-certificates>", "mise"},
		"a listing that failed": {map[string]string{"python3": later, "apt-get": "exit 100", "apt-cache": candidate, "mise": installs}, Installers{}, "mise <install> <python@3.12>", "apt-cache"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, tt.commands)
			calls, output, err := m.run(t, Dockerfile(Recipe{Runtimes: map[string]string{"python": "3.12"}}, tt.installers))
			if !slices.Contains(calls, tt.want) {
				t.Errorf("%v\n%s\n%q is not among\n%s", err, output, tt.want, strings.Join(calls, "\n"))
			}
			if slices.ContainsFunc(calls, func(call string) bool { name, _, _ := strings.Cut(call, " "); return name == tt.never }) {
				t.Errorf("%s was called:\n%s", tt.never, strings.Join(calls, "\n"))
			}
		})
	}
}

// What fails fails with the installer's own words.
func TestInstallersFailAloud(t *testing.T) {
	says := `echo "E: $0 is broken" >&2; exit 7`
	python := Recipe{Runtimes: map[string]string{"python": "3.12"}}
	tests := map[string]struct {
		recipe   Recipe
		commands map[string]string
		want     string
	}{
		"apt":              {Recipe{System: []string{"jq"}}, map[string]string{"apt-get": `[ "$1" = update ] || { echo "E: Unable to locate package $4" >&2; exit 100; }`}, "E: Unable to locate package jq"},
		"apt's lists":      {Recipe{System: []string{"jq"}}, map[string]string{"apt-get": says}, "apt-get is broken"},
		"neither":          {Recipe{System: []string{"jq"}}, nil, "the base image has neither apt-get nor apk"},
		"pip":              {Recipe{Python: []string{"x"}}, map[string]string{"python3": `[ "$3" != install ] || { echo "ERROR: no x"; exit 1; }`}, "ERROR: no x"},
		"no python":        {Recipe{Python: []string{"x"}}, nil, "python3"},
		"npm":              {Recipe{Node: []string{"x"}}, map[string]string{"npm": says}, "npm is broken"},
		"no npm":           {Recipe{Node: []string{"x"}}, nil, "npm"},
		"curl":             {python, map[string]string{"curl": says}, "curl is broken"},
		"mise":             {python, map[string]string{"mise": says}, "mise is broken"},
		"another one wins": {python, map[string]string{"mise": "", "python3": "echo Python 2.7"}, "Python 3.12 was installed, but another one answers"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, output, err := newMachine(t, tt.commands).run(t, Dockerfile(tt.recipe, Installers{}))
			if err == nil || !strings.Contains(output, tt.want) {
				t.Errorf("%v\n%s", err, output)
			}
		})
	}
}

// Every line that any runtime can have is one that a shell takes.
func TestRuntimesAreShell(t *testing.T) {
	available := DefaultRuntimes()
	available["deno"] = []string{"2.1"} // an operator's own
	for language, versions := range available {
		for _, version := range versions {
			for _, in := range []Installers{{}, {Archives: map[string]string{language: "https://x/{arch}/{version}.tar.gz"}}} {
				text := Dockerfile(Recipe{Runtimes: map[string]string{language: version}}, in)
				plan, err := NewPlan(text, bare())
				if err != nil {
					t.Fatal(err)
				}
				steps := plan.Stages[0].Steps
				script := steps[len(steps)-1].Action.(Run).Argv[2]
				if out, err := exec.Command("/bin/sh", "-n", "-c", script).CombinedOutput(); err != nil {
					t.Errorf("%s %s: %s\n%s", language, version, out, script)
				}
				if strings.Contains(script, "%!") || strings.Contains(script, "{version}") || strings.Contains(script, "{arch}") {
					t.Errorf("%s %s:\n%s", language, version, script)
				}
			}
		}
	}
}
