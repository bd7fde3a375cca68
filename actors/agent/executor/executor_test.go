package executor

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/catalog"
)

var update = flag.Bool("update", false, "write what listeners say now as what they are to say")

// hear is what a listener says of a whole output, one line each.
func hear(t *testing.T, l Listener, output []byte) []byte {
	t.Helper()
	var all bytes.Buffer
	for line := range bytes.Lines(output) {
		for _, said := range l.Line(bytes.TrimSuffix(line, []byte("\n"))) {
			b, err := json.Marshal(said)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(append(b, '\n'))
		}
	}
	return all.Bytes()
}

func TestWhatEachExecutorPrintsIsUnderstood(t *testing.T) {
	for _, e := range All() {
		t.Run(e.Name, func(t *testing.T) {
			output, err := os.ReadFile(filepath.Join("testdata", e.Name+".jsonl"))
			if err != nil {
				t.Fatal(err)
			}
			got := hear(t, e.Listen(), output)
			golden := filepath.Join("testdata", e.Name+".golden")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestHowEachExecutorIsStarted(t *testing.T) {
	for _, e := range All() {
		turn := Turn{Program: "/p/" + e.Name, Model: "gpt-5", VendorModel: "gpt-5", Conversation: "thread_1", Protocol: e.Protocols[0], Gateway: "http://127.0.0.1:4321", Token: "the-token", Dir: "/workspace/x", Instructions: "Say \"no\".",
			Effort: agent.Low, Prompt: "do it", WindowTokens: 1000, MaxOutput: 100, Servers: []Server{{"a b", "http://127.0.0.1:4321/mcp/a%20b"}, {"a_b", "http://127.0.0.1:4321/mcp/a_b"}}}
		first := e.Command(turn)
		turn.Session = "sess-1"
		next := e.Command(turn)
		if first.Argv[0] != turn.Program || slices.Contains(first.Argv, "sess-1") || !slices.Contains(next.Argv, "sess-1") {
			t.Errorf("%s is started by %q, goes on by %q", e.Name, first.Argv, next.Argv)
		}
		whole := strings.Join(slices.Concat(first.Argv, first.Env), "\n")
		if !strings.Contains(whole, turn.Gateway) || !strings.Contains(whole, "gpt-5") {
			t.Errorf("%s does not know where its model is: %s", e.Name, whole)
		}
		for _, server := range turn.Servers {
			if settings := whole + strings.Join(slices.Collect(maps.Values(first.Files)), "\n"); !strings.Contains(settings, server.URL) || !strings.Contains(settings, "a_b_2") {
				t.Errorf("%s does not know the server %s: %s", e.Name, server.Name, settings)
			}
		}
		if strings.Contains(strings.Join(first.Argv, " "), turn.Token) {
			t.Errorf("%s: its token can be seen by everybody: %q", e.Name, first.Argv)
		}
		if !strings.HasSuffix(first.Stdin, "do it") {
			t.Errorf("%s reads %q", e.Name, first.Stdin)
		}
	}
}

func TestTheTableIsSound(t *testing.T) {
	for _, e := range All() {
		if found, ok := Find(e.Name); !ok || found.Name != e.Name {
			t.Errorf("%s is not found", e.Name)
		}
		for _, p := range e.Packages {
			if strings.LastIndexByte(p, '@') < 1 {
				t.Errorf("%s: %s names no version", e.Name, p)
			}
		}
		if !strings.HasPrefix(e.Kept(), e.Name+"-") {
			t.Errorf("%s is kept as %s", e.Name, e.Kept())
		}
	}
	if e, ok := For(catalog.OpenAI); !ok || e.Name != "codex" {
		t.Errorf("a model of OpenAI's is for %s", e.Name)
	}
	if _, ok := For(catalog.Embedded); ok {
		t.Error("script needs no executor")
	}
	if _, ok := Find("vim"); ok {
		t.Error("there is an executor vim")
	}
}

func FuzzListeners(f *testing.F) {
	for _, e := range All() {
		output, err := os.ReadFile(filepath.Join("testdata", e.Name+".jsonl"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(output)
	}
	f.Fuzz(func(t *testing.T, output []byte) {
		for _, e := range All() {
			calls := map[string]bool{}
			l := e.Listen()
			for line := range bytes.Lines(output) {
				for _, said := range l.Line(line) {
					switch {
					case said.Entry == nil:
					case said.Entry.Call != nil:
						calls[said.Entry.Call.ID] = true
					case said.Entry.Result != nil && !calls[said.Entry.Result.Call]:
						t.Errorf("%s: a result without its call: %+v", e.Name, said.Entry.Result)
					}
				}
			}
		}
	})
}
