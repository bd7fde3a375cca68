package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// fences are the code blocks of README.md in a language.
func fences(t *testing.T, language string) []string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, found := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, found[1])
	}
	if len(blocks) == 0 {
		t.Fatalf("README.md has no %s", language)
	}
	return blocks
}

// TestReadmeCommandsWork runs what the README tells a newcomer to run.
func TestReadmeCommandsWork(t *testing.T) {
	t.Parallel()
	p := launch(t, "data")[0]
	root := filepath.Dir(p.dir)
	if err := os.Mkdir(filepath.Join(root, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(binary, filepath.Join(root, "bin", "bothy")); err != nil {
		t.Fatal(err)
	}
	var said string
	for _, block := range fences(t, "bash") {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", strings.ReplaceAll(block, defaultURL, p.url))
		cmd.Dir = root
		cmd.Env = append(childEnv(os.Environ(), ""), urlVariable+"="+p.url)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, block, out)
		}
		said += string(out)
	}
	for _, text := range []string{"hello from ", "stream.completed", "the file is still here:", "uid=1000(node)", `"leader": "data"`,
		`"handle":"my-box"`, `"stdout":"Linux`, `/p/my-box/8000/`, `"state":"creating"`, `"ssh_user":"my-box"`,
		"STEP 1/", "FROM testbase-base", `jq-1.`, "0 9 * * MON-FRI"} {
		if !strings.Contains(said, text) {
			t.Errorf("%q is not in:\n%s", text, said)
		}
	}
}

// TestReadmeConfigurationIsValid reads its configuration as a node would.
func TestReadmeConfigurationIsValid(t *testing.T) {
	for _, block := range fences(t, "yaml") {
		if _, err := load(t, block, nil); err != nil {
			t.Errorf("%v in:\n%s", err, block)
		}
	}
}

// TestReadmeNamesWhatIsThere looks for each file and function of its table.
func TestReadmeNamesWhatIsThere(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| \\d \\| `([^`]+)` \\| `([^`]+)`").FindAllStringSubmatch(string(text), -1)
	if len(rows) < 6 {
		t.Fatalf("%d rows in the table", len(rows))
	}
	for _, row := range rows {
		source, err := os.ReadFile(filepath.Join("../..", row[1]))
		if err != nil {
			t.Error(err)
			continue
		}
		name := row[2][strings.LastIndex(row[2], ".")+1:]
		if !regexp.MustCompile(`(?m)^func (\([^)]*\) )?` + name + `\(`).Match(source) {
			t.Errorf("%s has no function %s", row[1], name)
		}
	}
}

// TestThePromisesAreHeld looks for each test that SPEC.md names, where it says.
func TestThePromisesAreHeld(t *testing.T) {
	text, err := os.ReadFile("../../deploy/SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, row := range regexp.MustCompile("(?m)^\\| [^|]* \\| ([^|]*) \\|$").FindAllStringSubmatch(string(text), -1) {
		dir := ""
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			if !strings.HasPrefix(name[1], "Test") {
				dir = name[1]
				continue
			}
			found++
			if !hasTest(t, filepath.Join("../..", dir), name[1]) {
				t.Errorf("%s has no %s", dir, name[1])
			}
		}
	}
	if found < 20 {
		t.Fatalf("SPEC.md names %d tests", found)
	}
}

func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}
