package tokens

import (
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/actors/agent"
)

func TestTextIsCountedByTheVocabulary(t *testing.T) {
	c := New()
	for text, want := range map[string]int64{"": 0, "hello world": 2, "The quick brown fox jumps over the lazy dog.": 10} {
		if got := c.Text(text); got != want {
			t.Errorf("%q has %d tokens, want %d", text, got, want)
		}
	}
}

func TestLongTextIsCountedPieceByPiece(t *testing.T) {
	c := New()
	text := strings.Repeat("Some words, and then some more of them.\n", 2000)
	codec, err := c.codec()
	if err != nil {
		t.Fatal(err)
	}
	ids, _, err := codec.Encode(text)
	if err != nil {
		t.Fatal(err)
	}
	if got, exact := c.Text(text), int64(len(ids)); got < exact || got > exact+exact/50 {
		t.Errorf("counted %d, the whole at once has %d", got, exact)
	}
}

func TestHostileTextIsCountedInBoundedTime(t *testing.T) {
	c := New()
	for name, text := range map[string]string{
		"one letter":  strings.Repeat("a", 1<<18),
		"base64":      strings.Repeat("QmFzZTY0IGlzIGxvbmc", 1<<14),
		"one emoji":   strings.Repeat("🦊", 1<<16),
		"not text":    strings.Repeat("\xff\xfe", 1<<16),
		"continuings": strings.Repeat("\x80", 1<<17),
	} {
		begun := time.Now()
		if c.Text(text) == 0 {
			t.Errorf("%s: nothing counted", name)
		}
		if took := time.Since(begun); took > 30*time.Second {
			t.Errorf("%s: a quarter of a MiB took %s", name, took)
		}
	}
}

func TestUsageIsCountedOnlyWhenTheVendorIsSilent(t *testing.T) {
	c := New()
	req := agent.Request{Entries: []agent.Entry{{Kind: agent.User, Text: "hello world"}}, Tools: agent.Tools()}
	reply := agent.Reply{Entries: []agent.Entry{{Kind: agent.Text, Text: "hello"}}}
	counted := c.Usage("openai", req, reply)
	if counted.InputTokens < 100 || counted.OutputTokens < 1 {
		t.Errorf("a silent vendor was counted as %+v", counted)
	}
	if other := c.Usage("anthropic", req, reply); other.InputTokens <= counted.InputTokens {
		t.Errorf("another vocabulary counted %d, not more than %d", other.InputTokens, counted.InputTokens)
	}
	reply.Usage = agent.Usage{InputTokens: 3, OutputTokens: 4}
	if got := c.Usage("openai", req, reply); got != reply.Usage {
		t.Errorf("the vendor's own usage became %+v", got)
	}
}

func TestPicturesAreCountedByTheirArea(t *testing.T) {
	c, bare := New(), agent.Entry{Kind: agent.ToolResult, Result: &agent.Result{Text: "x"}}
	for _, tt := range []struct{ width, height, most, least int64 }{
		{1, 1, 400, 258}, {768, 768, 1500, 765}, {8000, 8000, 4800, 4784}, {0, 0, 4800, 4784},
	} {
		with := bare
		with.Result = &agent.Result{Text: "x", Pictures: []agent.Picture{{Width: int(tt.width), Height: int(tt.height)}}}
		if got := c.Entries([]agent.Entry{with}) - c.Entries([]agent.Entry{bare}); got < tt.least || got > tt.most {
			t.Errorf("%d x %d: %d tokens, want %d to %d", tt.width, tt.height, got, tt.least, tt.most)
		}
	}
}
