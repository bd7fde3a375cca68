package agent_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/script"
)

func TestScriptRunsBlocksWithARealShell(t *testing.T) {
	c := newMemory()
	c.real = t.TempDir()
	message := "Please:\n```python file=hello.py\nprint('hello')\n```\n```bash\necho one\necho two\n```\n~~~sh\nprintf 'END\\n'\n~~~\n"
	if _, err := exec.LookPath("python3"); err == nil {
		message += "```python\nimport os\nprint('in', os.getcwd())\nx = '''\nEND\n'''\n```\n"
	}
	entries, end := drive(t, agent.Loop{}, script.Model{}, c, []agent.Entry{user(message)})
	if end.Outcome != agent.Completed || c.files["hello.py"] != "print('hello')\n" {
		t.Fatalf("%+v, files %v", end, c.files)
	}
	for _, want := range []string{"Block 1 (file hello.py): created hello.py, 15 bytes", "exit code 0", "one\ntwo", "END", "not a language model"} {
		if !strings.Contains(end.Text, want) {
			t.Errorf("the answer lacks %q:\n%s", want, end.Text)
		}
	}
	for _, e := range entries {
		if e.Result != nil && e.Result.Status != agent.Done {
			t.Errorf("%s: %s", e.Result.Status, e.Result.Text)
		}
	}
}

func TestScriptStopsAtTheFirstFailure(t *testing.T) {
	c := newMemory()
	c.real = t.TempDir()
	_, end := drive(t, agent.Loop{}, script.Model{}, c, []agent.Entry{user("```bash\nfalse\ntouch never\n```\n```bash\ntouch neither\n```\n")})
	if !strings.HasPrefix(end.Text, "Stopped: block 1 (bash) failed.") || !strings.Contains(end.Text, "exit code 1") ||
		!strings.Contains(end.Text, "Block 2 (bash): not run") {
		t.Errorf("answer:\n%s", end.Text)
	}
	if left, err := os.ReadDir(c.real); err != nil || len(left) > 0 {
		t.Errorf("something ran after the failure: %v, %v", left, err)
	}
}

func TestScriptExplainsItself(t *testing.T) {
	c := newMemory()
	entries, end := drive(t, agent.Loop{}, script.Model{}, c, []agent.Entry{user("Create a hello.py file")})
	for _, want := range []string{"not a language model", "OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "file=PATH"} {
		if !strings.Contains(end.Text, want) {
			t.Errorf("the explanation lacks %q:\n%s", want, end.Text)
		}
	}
	if len(entries) != 2 || len(c.ran) > 0 {
		t.Errorf("plain words ran something: %v", c.ran)
	}
}
