package agent_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/agenttest"
)

func TestReadingAPictureShowsIt(t *testing.T) {
	c := newMemory()
	wide := agenttest.Picture("wide.png", 40, 30)
	for name, content := range map[string][]byte{
		"wide.png": wide.Content, "broken.png": wide.Content[:20], "long.png": agenttest.Picture("", 9000, 1).Content,
		"huge.png": append(slices.Clone(wide.Content), make([]byte, agent.MaxPictureBytes)...), "dump.bin": {0, 1, 2, 3},
		"padded.png": append(slices.Clone(wide.Content), make([]byte, 2<<20)...), // more than is read of other files
	} {
		if _, err := c.WriteFile(t.Context(), name, content); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"wide.png": "40 x 30", "padded.png": "40 x 30", "broken.png": "", "long.png": "", "huge.png": "", "dump.bin": ""} {
		r := run(t, c, "read_file", agent.ReadFileArgs{Path: name})
		if want == "" {
			if r.Status != agent.Failed || len(r.Pictures) > 0 || !strings.Contains(r.Text, "is not text") {
				t.Errorf("%s: %+v", name, r)
			}
			continue
		}
		if r.Status != agent.Done || len(r.Pictures) != 1 || r.Pictures[0].Path != name || r.Pictures[0].Content != nil || !strings.Contains(r.Text, want) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// looks is a run that looks at pictures of this many bytes, one in a step.
func looks(name string, sizes ...int64) []agent.Entry {
	entries := []agent.Entry{{Kind: agent.User, ID: name, Text: "look"}}
	for i, size := range sizes {
		id := fmt.Sprintf("%s%d", name, i)
		entries = append(entries,
			agent.Entry{Kind: agent.ToolCall, ID: id, Step: i + 1, Call: &agent.Call{ID: id, Name: "read_file"}, Stop: agent.StopEnd},
			agent.Entry{Kind: agent.ToolResult, ID: id + "r", Step: i + 1, Result: &agent.Result{Call: id, Status: agent.Done, Text: "a picture",
				Pictures: []agent.Picture{{Path: id, Type: "image/png", Bytes: size}}}})
	}
	return entries
}

func TestTheNewestPicturesOfARunAreShown(t *testing.T) {
	const mega = 1 << 20
	for name, tt := range map[string]struct {
		entries []agent.Entry
		want    string
	}{
		"all that fit":       {looks("a", 1, 1), "a0 a1"},
		"of this run alone":  {slices.Concat(looks("a", 1, 1), looks("b", 1)), "b0"},
		"eight":              {looks("a", 1, 1, 1, 1, 1, 1, 1, 1, 1, 1), "a2 a3 a4 a5 a6 a7 a8 a9"},
		"within their bytes": {looks("a", 3*mega, 3*mega, 3*mega, 1), "a1 a2 a3"},
	} {
		before := fmt.Sprintf("%+v", tt.entries[2].Result)
		var shown []string
		for _, e := range agent.View(tt.entries) {
			if e.Result != nil {
				for _, p := range e.Result.Pictures {
					shown = append(shown, p.Path)
				}
			}
		}
		if got := strings.Join(shown, " "); got != tt.want {
			t.Errorf("%s: shown are %q, want %q", name, got, tt.want)
		}
		if before != fmt.Sprintf("%+v", tt.entries[2].Result) {
			t.Errorf("%s: the transcript was changed", name)
		}
	}
}

func TestAPictureThatIsGoneIsTakenOut(t *testing.T) {
	entries := agent.View(looks("a", 1, 1))
	req := agent.Request{Entries: entries}.WithPictures(func(p agent.Picture) ([]byte, bool) { return []byte("x"), p.Path == "a1" })
	if len(req.Entries[2].Result.Pictures) != 0 || !bytes.Equal(req.Entries[4].Result.Pictures[0].Content, []byte("x")) {
		t.Errorf("%+v, %+v", req.Entries[2].Result, req.Entries[4].Result)
	}
	if entries[4].Result.Pictures[0].Content != nil {
		t.Error("the transcript was changed")
	}
}
