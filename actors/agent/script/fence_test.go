package script

import (
	"os/exec"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/actors/agent"
)

func TestParse(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want []block
	}{
		"no fence":                       {"Create a hello.py file", nil},
		"inline code is none":            {"Use ```ls``` here", nil},
		"two backticks are none":         {"``\nls\n``\n", nil},
		"a block":                        {"a\n```bash\nls\n```\nb", []block{{"bash", "ls\n", true}}},
		"tildes hold backticks":          {"~~~sh\n```\n~~~", []block{{"sh", "```\n", true}}},
		"a longer fence holds a shorter": {"````md file=x\n```bash\nls\n```\n````", []block{{"md file=x", "```bash\nls\n```\n", true}}},
		"a shorter fence closes nothing": {"````sh\nls\n```\n", []block{{"sh", "ls\n```\n", false}}},
		"info on a closing line":         {"```sh\nls\n``` x\n```\n", []block{{"sh", "ls\n``` x\n", true}}},
		"an indented fence":              {"  ```sh\n  a\n    b\nc\n  ```\n", []block{{"sh", "a\n  b\nc\n", true}}},
		"four spaces are no fence":       {"    ```sh\nls\n", nil},
		"carriage returns":               {"```sh\r\nls\r\n```\r\n", []block{{"sh", "ls\n", true}}},
		"an empty block":                 {"```sh\n```\n", []block{{"sh", "", true}}},
		"not closed":                     {"```sh\nls", []block{{"sh", "ls\n", false}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := parse(tt.text)
			if len(got) != len(tt.want) {
				t.Fatalf("got %+v, want %+v", got, tt.want)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Errorf("block %d is %+v, want %+v", i, got[i], tt.want[i])
				}
			}
		})
	}
}

func TestReadInfo(t *testing.T) {
	for info, want := range map[string][3]string{
		"Python":                       {"python", "", ""},
		"python file=a/b.py":           {"python", "a/b.py", ""},
		`file="a b.txt"`:               {"", "a b.txt", ""},
		`text title=x file="a b.txt"`:  {"text", "a b.txt", ""},
		"bash retry":                   {"bash", "", "retry"},
		"retry":                        {"retry", "", ""},
		`file="never closed and so on`: {"", "never closed and so on", ""},
		"":                             {"", "", ""},
	} {
		language, file, retry := readInfo(info)
		if language != want[0] || file != want[1] || retry != (want[2] != "") {
			t.Errorf("%q reads as %q, %q, %v", info, language, file, retry)
		}
	}
}

func TestWhatIsFencedComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOf(rapid.StringMatching("[ a-z`~]{0,8}")).Draw(t, "lines")
		code := ""
		for _, line := range lines {
			code += line + "\n"
		}
		mark := strings.Repeat("`", 9)
		got := parse("before\n" + mark + "sh\n" + code + mark + "\nafter")
		if len(got) != 1 || got[0].code != code || !got[0].closed {
			t.Fatalf("%q came back as %+v", code, got)
		}
	})
}

func FuzzPlan(f *testing.F) {
	for _, seed := range []string{"Create a hello.py file", "```bash\nls\n```", "~~~python file=\"a b\"\n```\n~~~", "````\n```\n````\n```node\nEND\nEND_1\n```", "```sh\n\x00\xff", "   ```js\r\n\r\n```"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, message string) {
		p := planOf(message)
		total := 0
		for _, piece := range p.pieces {
			call, err := piece.call("c")
			if err != nil {
				t.Fatal(err)
			}
			args, err := agent.ParseArguments(*call)
			if err != nil && !strings.Contains(err.Error(), "bytes") {
				t.Fatalf("the tool refuses %s: %v", call.Arguments, err)
			}
			if shell, ok := args.(agent.ShellArgs); ok {
				total += len(shell.Command)
			}
		}
		if total > 60*len(message)+60 {
			t.Fatalf("%d bytes of message became %d bytes of commands", len(message), total)
		}
	})
}

func TestHeredocGivesExactlyTheCode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		code := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"END", "END_1", "'$x'", "\\", "`ls`", ""}), 1, 6).Draw(t, "lines"), "\n") + "\n"
		out, err := exec.Command("sh", "-c", heredoc("cat", code)).CombinedOutput()
		if err != nil || string(out) != code {
			t.Fatalf("%q came out as %q, %v", code, out, err)
		}
	})
}
