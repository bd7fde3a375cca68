package workspace

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

// furnished is a workspace with a little of everything.
func furnished(t testing.TB) (*FS, string) {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"src/deep", "empty"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string]string{
		"README.md": "hello\nworld\n", "src/a.go": "package a\nfunc A() {}\n", "src/deep/b.go": "// A.B\nfunc b() {}\n", "bytes": "\xff\xfe", "none": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("README.md", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	return openAt(t, dir), dir
}

// TestOperations shows each operation as a client sends it and is answered,
// byte for byte.
func TestOperations(t *testing.T) {
	for _, tt := range []struct{ op, want, then, reads string }{
		{`{"operation":"read_text","path":"/home/node/workspace/README.md"}`, `{"content":"hello\nworld\n"}`, "", ""},
		{`{"operation":"read_text","path":"none"}`, `{"content":""}`, "", ""},
		{`{"operation":"read_text","path":"link"}`, `{"content":"hello\nworld\n"}`, "", ""},
		{`{"operation":"read_bytes","path":"/code/bytes"}`, `{"content_base64":"//4="}`, "", ""},
		{`{"operation":"read_bytes","path":"none"}`, `{"content_base64":""}`, "", ""},
		{`{"operation":"read_range","path":"README.md","offset":6,"length":3}`, `{"content_base64":"d29y"}`, "", ""},
		{`{"operation":"read_range","path":"README.md","offset":11,"length":99}`, `{"content_base64":"Cg=="}`, "", ""},
		{`{"operation":"read_range","path":"README.md","offset":99,"length":1}`, `{"content_base64":""}`, "", ""},
		{`{"operation":"read_range","path":"README.md"}`, `{"content_base64":""}`, "", ""},
		{`{"operation":"write_text","path":"/home/node/workspace/new/n.txt","content":"é","mode":493}`, `{}`, "new/n.txt", "é"},
		{`{"operation":"write_text","path":"README.md","content":""}`, `{}`, "README.md", ""},
		{`{"operation":"write_bytes","path":"b","content_base64":"//4=","mode":-1}`, `{}`, "b", "\xff\xfe"},
		{`{"operation":"write_range","path":"README.md","offset":14,"content_base64":"eA=="}`, `{}`, "README.md", "hello\nworld\n\x00\x00x"},
		{`{"operation":"list","path":""}`, `{"entries":[` +
			`{"path":"README.md","name":"README.md","type":"file","size_bytes":12,"mode":416},` +
			`{"path":"bytes","name":"bytes","type":"file","size_bytes":2,"mode":416},` +
			`{"path":"empty","name":"empty","type":"directory","mode":493},` +
			`{"path":"link","name":"link","type":"file","mode":511},` +
			`{"path":"none","name":"none","type":"file","size_bytes":0,"mode":416},` +
			`{"path":"out","name":"out","type":"file","mode":511},` +
			`{"path":"pipe","name":"pipe","type":"file","mode":384},` +
			`{"path":"src","name":"src","type":"directory","mode":493}]}`, "", ""},
		{`{"operation":"list","path":"/workspace/src","recursive":true}`, `{"entries":[` +
			`{"path":"src/a.go","name":"a.go","type":"file","size_bytes":22,"mode":416},` +
			`{"path":"src/deep","name":"deep","type":"directory","mode":493},` +
			`{"path":"src/deep/b.go","name":"b.go","type":"file","size_bytes":19,"mode":416}]}`, "", ""},
		{`{"operation":"list","path":"empty"}`, `{"entries":[]}`, "", ""},
		{`{"operation":"stat","path":"link"}`, `{"stat":{"path":"link","type":"file","size_bytes":12,"mode":416}}`, "", ""},
		{`{"operation":"stat","path":"/home/node/workspace/src/"}`, `{"stat":{"path":"src","type":"directory","mode":493}}`, "", ""},
		{`{"operation":"exists","path":"."}`, `{"exists":true}`, "", ""},
		{`{"operation":"exists","path":"nowhere"}`, `{"exists":false}`, "", ""},
		{`{"operation":"exists","path":"none/below"}`, `{"exists":false}`, "", ""},
		{`{"operation":"mkdir","path":"x"}`, `{}`, "", ""},
		{`{"operation":"mkdir","path":"x/y/z","recursive":true}`, `{}`, "", ""},
		{`{"operation":"mkdir","path":"src/deep","recursive":true}`, `{}`, "src/deep/b.go", "// A.B\nfunc b() {}\n"},
		{`{"operation":"move","path":"README.md","to":"/workspace/docs/r.md"}`, `{}`, "docs/r.md", "hello\nworld\n"},
		{`{"operation":"move","path":"bytes","to":"none"}`, `{}`, "none", "\xff\xfe"},
		{`{"operation":"remove","path":"src","recursive":true}`, `{}`, "README.md", "hello\nworld\n"},
		{`{"operation":"remove","path":"out"}`, `{}`, "", ""},
		{`{"operation":"remove","recursive":true}`, `{}`, "", ""},
		{`{"operation":"patch","path":"README.md","edits":[{"find":"l","replace":"L"},{"find":"LL","replace":""}]}`, `{"version":8481886186390702507}`, "README.md", "heo\nworLd\n"},
		{`{"operation":"patch","path":"README.md","set_contents":"","edits":[{"find":"","replace":""}]}`, `{"version":7183457195969485844}`, "README.md", ""},
		{`{"operation":"patch","path":"p/new","set_contents":"x"}`, `{"version":3274422879871479876}`, "p/new", "x"},
		{`{"operation":"grep","pattern":"FUNC","case_insensitive":true}`, `{"matches":[{"path":"src/a.go","line":2,"match":"func A() {}"},{"path":"src/deep/b.go","line":2,"match":"func b() {}"}]}`, "", ""},
		{`{"operation":"grep","path":"src","pattern":"A.B"}`, `{"matches":[{"path":"src/deep/b.go","line":1,"match":"// A.B"}]}`, "", ""},
		{`{"operation":"grep","path":"src","pattern":"^func .\\(","regex":true,"max_matches":1}`, ``, "", ""},
		{`{"operation":"grep","pattern":"zzz"}`, `{"matches":[]}`, "", ""},
	} {
		t.Run(tt.op, func(t *testing.T) {
			w, dir := furnished(t)
			got, err := w.Do(t.Context(), parse(t, tt.op))
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			if tt.want != "" && string(text) != tt.want {
				t.Errorf("answers\n%s, not\n%s", text, tt.want)
			}
			if tt.want == "" && (len(got.Matches) != 1 || !got.Truncated) {
				t.Errorf("of two one and more: %s", text)
			}
			if tt.then != "" {
				if text, err := os.ReadFile(filepath.Join(dir, tt.then)); err != nil || string(text) != tt.reads {
					t.Errorf("%s is %q, %v", tt.then, text, err)
				}
			}
		})
	}
}

func parse(t testing.TB, text string) Op {
	t.Helper()
	var op Op
	if err := json.Unmarshal([]byte(text), &op); err != nil {
		t.Fatal(err)
	}
	return op
}

// TestRefusedOperations: each says what is wrong, and changes nothing.
func TestRefusedOperations(t *testing.T) {
	huge := strings.Repeat("x", MaxContentBytes+1)
	for name, tt := range map[string]struct {
		op   Op
		is   error
		says string
	}{
		"no operation":       {Op{}, runtime.ErrInvalid, "operation"},
		"unknown":            {Op{Verb: "format"}, runtime.ErrInvalid, "operation"},
		"another place":      {Op{Verb: ReadText, Path: "/etc/passwd"}, runtime.ErrInvalid, "path"},
		"up":                 {Op{Verb: WriteText, Path: "src/../../x"}, runtime.ErrInvalid, `".."`},
		"line break":         {Op{Verb: Mkdir, Path: "a\nb"}, runtime.ErrInvalid, "line break"},
		"move up":            {Op{Verb: Move, Path: "none", To: "../x"}, runtime.ErrInvalid, "to: "},
		"move nowhere":       {Op{Verb: Move, Path: "none"}, runtime.ErrInvalid, "to: "},
		"move the root":      {Op{Verb: Move, Path: ".", To: "x"}, runtime.ErrInvalid, "itself"},
		"move over the root": {Op{Verb: Move, Path: "none", To: "/workspace"}, runtime.ErrInvalid, "itself"},
		"move into itself":   {Op{Verb: Move, Path: "src", To: "src/x"}, runtime.ErrInvalid, "src"},
		"move onto full":     {Op{Verb: Move, Path: "empty", To: "src"}, fs.ErrExist, "src"},
		"move nothing":       {Op{Verb: Move, Path: "gone", To: "x"}, fs.ErrNotExist, "gone"},
		"read nothing":       {Op{Verb: ReadText, Path: "gone"}, fs.ErrNotExist, "gone"},
		"read a directory":   {Op{Verb: ReadText, Path: "src"}, runtime.ErrInvalid, "directory"},
		"read the root":      {Op{Verb: ReadBytes}, runtime.ErrInvalid, "directory"},
		"read a pipe":        {Op{Verb: ReadBytes, Path: "pipe"}, runtime.ErrInvalid, "regular"},
		"read out":           {Op{Verb: ReadText, Path: "out"}, runtime.ErrInvalid, "out of the workspace"},
		"read no text":       {Op{Verb: ReadText, Path: "bytes"}, runtime.ErrInvalid, "UTF-8"},
		"range before":       {Op{Verb: ReadRange, Path: "none", Offset: -1}, runtime.ErrInvalid, "offset"},
		"range back":         {Op{Verb: ReadRange, Path: "none", Length: -1}, runtime.ErrInvalid, "length"},
		"range too long":     {Op{Verb: ReadRange, Path: "none", Length: MaxContentBytes + 1}, runtime.ErrInvalid, "16777216"},
		"mode":               {Op{Verb: WriteText, Path: "x", Mode: 0o1000}, runtime.ErrInvalid, "mode: 512 is over 511"},
		"write too much":     {Op{Verb: WriteText, Path: "x", Content: huge}, runtime.ErrInvalid, "content: it has"},
		"bytes too many":     {Op{Verb: WriteBytes, Path: "x", ContentBase64: []byte(huge)}, runtime.ErrInvalid, "content_base64"},
		"write the root":     {Op{Verb: WriteText}, runtime.ErrInvalid, "itself"},
		"write a directory":  {Op{Verb: WriteText, Path: "src"}, runtime.ErrInvalid, "directory"},
		"write below a file": {Op{Verb: WriteBytes, Path: "none/x"}, runtime.ErrInvalid, "directory"},
		"write into a pipe":  {Op{Verb: WriteRange, Path: "pipe", ContentBase64: []byte("x")}, runtime.ErrInvalid, "regular"},
		"write out":          {Op{Verb: WriteRange, Path: "out"}, runtime.ErrInvalid, "out of the workspace"},
		"write before":       {Op{Verb: WriteRange, Path: "none", Offset: -1}, runtime.ErrInvalid, "offset"},
		"write far":          {Op{Verb: WriteRange, Path: "none", Offset: MaxFileBytes, ContentBase64: []byte("x")}, runtime.ErrInvalid, "offset"},
		"mkdir orphan":       {Op{Verb: Mkdir, Path: "x/y"}, fs.ErrNotExist, "x/y"},
		"mkdir twice":        {Op{Verb: Mkdir, Path: "src"}, fs.ErrExist, "src"},
		"mkdir over a file":  {Op{Verb: Mkdir, Path: "none", Recursive: true}, runtime.ErrInvalid, "directory"},
		"remove a directory": {Op{Verb: Remove, Path: "empty"}, runtime.ErrInvalid, "recursive"},
		"remove the root":    {Op{Verb: Remove, Path: "."}, runtime.ErrInvalid, "recursive"},
		"remove nothing":     {Op{Verb: Remove, Path: "gone", Recursive: true}, fs.ErrNotExist, "gone"},
		"list a file":        {Op{Verb: List, Path: "none"}, runtime.ErrInvalid, "directory"},
		"list nothing":       {Op{Verb: List, Path: "gone"}, fs.ErrNotExist, "gone"},
		"stat nothing":       {Op{Verb: Stat, Path: "gone"}, fs.ErrNotExist, "gone"},
		"patch nothing":      {Op{Verb: Patch, Path: "gone", Edits: []Edit{{"a", "b"}}}, fs.ErrNotExist, "gone"},
		"patch no edits":     {Op{Verb: Patch, Path: "README.md"}, runtime.ErrInvalid, "edits"},
		"patch many edits":   {Op{Verb: Patch, Path: "README.md", Edits: make([]Edit, MaxEdits+1)}, runtime.ErrInvalid, "256"},
		"patch empty find":   {Op{Verb: Patch, Path: "README.md", Edits: []Edit{{"hello", ""}, {"", "x"}}}, runtime.ErrInvalid, "edits[1].find"},
		"patch absent find":  {Op{Verb: Patch, Path: "README.md", Edits: []Edit{{"hello", ""}, {"hello", "x"}}}, runtime.ErrInvalid, "edits[1].find"},
		"patch too large":    {Op{Verb: Patch, Path: "README.md", Edits: []Edit{{"l", huge}}}, runtime.ErrInvalid, "edits[0].replace"},
		"set too much":       {Op{Verb: Patch, Path: "README.md", SetContents: &huge}, runtime.ErrInvalid, "set_contents"},
		"patch a link":       {Op{Verb: Patch, Path: "link", Edits: []Edit{{"hello", "x"}}}, runtime.ErrInvalid, "link"},
		"grep nothing":       {Op{Verb: Grep}, runtime.ErrInvalid, "pattern"},
		"grep no regex":      {Op{Verb: Grep, Pattern: "(", Regex: true}, runtime.ErrInvalid, "RE2"},
		"grep long":          {Op{Verb: Grep, Pattern: strings.Repeat("x", MaxPatternBytes+1)}, runtime.ErrInvalid, "1024"},
		"grep too many":      {Op{Verb: Grep, Pattern: "x", MaxMatches: MaxMatches + 1}, runtime.ErrInvalid, "max_matches"},
		"grep less":          {Op{Verb: Grep, Pattern: "x", MaxMatches: -1}, runtime.ErrInvalid, "max_matches"},
		"grep nowhere":       {Op{Verb: Grep, Path: "gone", Pattern: "x"}, fs.ErrNotExist, "gone"},
	} {
		t.Run(name, func(t *testing.T) {
			w, dir := furnished(t)
			before := everything(t, dir)
			_, err := w.Do(t.Context(), tt.op)
			if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), dir) {
				t.Errorf("%v; want it to be %q and to say %q", err, tt.is, tt.says)
			}
			if after := everything(t, dir); after != before {
				t.Errorf("it changed\n%s to\n%s", before, after)
			}
		})
	}
}

// everything tells all that is in a directory.
func everything(t testing.TB, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		all.WriteString(path + " " + d.Type().String())
		if d.Type().IsRegular() {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			all.WriteString(" " + string(text))
		}
		all.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

func TestModesAreWhatWasAskedFor(t *testing.T) {
	w, dir := furnished(t)
	for text, want := range map[string]fs.FileMode{
		`{"operation":"write_text","path":"a","mode":420}`:        0o644,
		`{"operation":"write_text","path":"b","mode":0}`:          0o644,
		`{"operation":"write_bytes","path":"c"}`:                  0o644,
		`{"operation":"write_bytes","path":"d","mode":-5}`:        0o644,
		`{"operation":"write_text","path":"none","mode":448}`:     0o700,
		`{"operation":"write_text","path":"README.md"}`:           0o644, // it was 0640
		`{"operation":"write_text","path":"x/y","mode":511}`:      0o777,
		`{"operation":"patch","path":"bytes","set_contents":"x"}`: 0o640, // kept
	} {
		op := parse(t, text)
		if _, err := w.Do(t.Context(), op); err != nil {
			t.Fatal(err)
		}
		expectOwner(t, filepath.Join(dir, op.Path), want)
	}
}

func TestAListThatIsTooLongIsRefused(t *testing.T) {
	w, dir := furnished(t)
	long := strings.Repeat("n", 200)
	at := filepath.Join(dir, long, long, long, long)
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range MaxListBytes / 800 {
		if err := os.Symlink("x", filepath.Join(at, "l"+strings.Repeat("0", 100)+string(rune('a'+i%26))+string(rune('a'+i/26%26))+string(rune('a'+i/676%26))+string(rune('a'+i/17576)))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Do(t.Context(), Op{Verb: List, Recursive: true}); !errors.Is(err, runtime.ErrInvalid) || !strings.Contains(err.Error(), "16777216") {
		t.Fatal(err)
	}
	if got, err := w.Do(t.Context(), Op{Verb: Grep, Pattern: "hello"}); err != nil || len(got.Matches) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
}

// TestABlankWorkspaceAnswersAsAnEmptyOne: nobody can tell whether a computer
// has a disk yet.
func TestABlankWorkspaceAnswersAsAnEmptyOne(t *testing.T) {
	w := openAt(t, t.TempDir())
	for verb := range verbs {
		if verbs[verb].mutates {
			continue
		}
		for _, path := range []string{"", "/workspace", "a", "a/b", "..", "/etc"} {
			op := Op{Verb: verb, Path: path, Pattern: "x"}
			want, wantErr := w.Do(t.Context(), op)
			got, err := Blank(op)
			wantText, _ := json.Marshal(want)
			text, _ := json.Marshal(got)
			kinds := []error{runtime.ErrInvalid, fs.ErrNotExist}
			for _, kind := range kinds {
				if errors.Is(err, kind) != errors.Is(wantErr, kind) {
					t.Errorf("%s %q: %v; an empty one says %v", verb, path, err, wantErr)
				}
			}
			if (err == nil) != (wantErr == nil) || err == nil && string(text) != string(wantText) {
				t.Errorf("%s %q: %s, %v; an empty one says %s, %v", verb, path, text, err, wantText, wantErr)
			}
		}
	}
}

// FuzzOp: no operation, whatever it says, shows or changes what is outside.
func FuzzOp(f *testing.F) {
	for verb := range verbs {
		for _, path := range []string{"d/f", "../secret", "/workspace/out", "out/secret", ""} {
			text, err := json.Marshal(Op{Verb: verb, Path: path, To: path, Content: "c", ContentBase64: []byte("b"), Mode: 420, Recursive: true,
				Length: 9, Edits: []Edit{{"c", "d"}}, Pattern: "."})
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Add([]byte(`{"operation":"patch","path":"d","set_contents":null,"edits":[{}]}`))
	f.Add([]byte(`{"operation":"write_bytes","path":"d","content_base64":"!"}`))
	home, unchanged := outside(f)
	for link, target := range map[string]string{"out": "../beside", "abs": "/", "self": "."} {
		if err := os.Symlink(target, filepath.Join(home, link)); err != nil {
			f.Fatal(err)
		}
	}
	w := openAt(f, home)
	f.Fuzz(func(t *testing.T, text []byte) {
		var op Op
		if json.Unmarshal(text, &op) != nil {
			return
		}
		got, err := w.Do(t.Context(), op)
		answer, marshalErr := json.Marshal(got)
		if marshalErr != nil {
			t.Fatal(marshalErr)
		}
		for _, e := range got.Entries {
			if again, err := Clean(e.Path); e.Path != "." && (err == nil && again != e.Path || filepath.IsAbs(e.Path)) {
				t.Fatalf("lists %q", e.Path)
			}
		}
		shown := string(answer) + string(got.ContentBase64)
		if strings.Contains(shown, outsideSecret) || strings.Contains(shown, filepath.Dir(home)) {
			t.Fatalf("%s shows %.200s", text, shown)
		}
		if err != nil && strings.Contains(err.Error(), filepath.Dir(home)) {
			t.Fatalf("%s says %v", text, err)
		}
		unchanged(t.Errorf)
	})
}
