// Package tokens counts tokens offline, for reservations and for the size of
// a transcript. Counts are estimates that err on the high side; what is paid
// is what the vendor says it used.
package tokens

import (
	"encoding/json"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/tiktoken-go/tokenizer"

	"github.com/bothy-computer/bothy/actors/agent"
)

const (
	// pieceBytes is how much text is encoded at once. Encoding takes time in
	// the square of a piece without spaces; cutting only adds a token or so.
	pieceBytes = 2 << 10
	// perEntry and perTool stand for what vendors put around each.
	perEntry, perTool = 8, 16
	perRequest        = 64
	// stateBytesPerToken turns opaque state, such as encrypted reasoning, into
	// tokens.
	stateBytesPerToken = 3
	// A picture's area in patches of 32 pixels squared. The fewest stand for what
	// some vendors count for any picture.
	patchSide, minPatches, maxPatches = 32, 128, 1920
	tokensPerTwoPatches               = 5
	// foreignPercent is added for vendors whose vocabulary is not this one.
	foreignPercent = 75
)

// Counter counts by OpenAI's o200k vocabulary, which is loaded at the first
// use. It is safe for use from several goroutines.
type Counter struct {
	codec func() (tokenizer.Codec, error)
}

// New makes a counter. It loads nothing yet.
func New() *Counter {
	return &Counter{codec: sync.OnceValues(func() (tokenizer.Codec, error) { return tokenizer.Get(tokenizer.O200kBase) })}
}

// Text counts one text.
func (c *Counter) Text(text string) int64 {
	codec, err := c.codec()
	if err != nil {
		return int64(len(text)) // no token is shorter than a byte
	}
	total := int64(0)
	for len(text) > 0 {
		piece := cut(text, pieceBytes)
		text = text[len(piece):]
		ids, _, err := codec.Encode(piece)
		if err != nil {
			total += int64(len(piece))
			continue
		}
		total += int64(len(ids))
	}
	return total
}

// Entries counts a transcript as a model is shown it.
func (c *Counter) Entries(entries []agent.Entry) int64 {
	total := int64(0)
	for _, e := range entries {
		total += perEntry + c.Text(e.Text) + int64(len(e.State))/stateBytesPerToken
		if e.Call != nil {
			total += c.Text(e.Call.Name) + c.Text(e.Call.Arguments)
		}
		if e.Result != nil {
			total += c.Text(e.Result.Text)
			for _, p := range e.Result.Pictures {
				total += picture(p)
			}
		}
	}
	return total
}

// picture is at least what any vendor counts for a picture. All of them count by
// area up to a bound, after they made it smaller: Anthropic 750 pixels a token up to
// 4,784, OpenAI's models 32 x 32 pixels up to 1,536 times 2.46 at the most.
func picture(p agent.Picture) int64 {
	patches := int64(maxPatches)
	if p.Width > 0 && p.Height > 0 {
		across, down := int64(p.Width+patchSide-1)/patchSide, int64(p.Height+patchSide-1)/patchSide
		patches = min(patches, max(across*down, minPatches))
	}
	return patches * tokensPerTwoPatches / 2
}

// Request counts the whole input of a call to a vendor's model.
func (c *Counter) Request(vendor string, req agent.Request) int64 {
	total := perRequest + c.Text(req.Instructions) + c.Entries(req.Entries)
	for _, t := range req.Tools {
		schema, err := json.Marshal(t.Schema)
		if err != nil {
			continue // such a tool cannot be sent either
		}
		total += perTool + c.Text(t.Name) + c.Text(t.Description) + c.Text(string(schema))
	}
	return For(vendor, total)
}

// For adapts a count to a vendor whose vocabulary is coarser.
func For(vendor string, count int64) int64 {
	if vendor == "openai" {
		return count
	}
	return count + count*foreignPercent/100
}

// Usage is what a call is charged for: what the vendor said, or a count of
// the request and the reply when it said nothing.
func (c *Counter) Usage(vendor string, req agent.Request, reply agent.Reply) agent.Usage {
	if reply.Usage != (agent.Usage{}) {
		return reply.Usage
	}
	return agent.Usage{InputTokens: c.Request(vendor, req), OutputTokens: For(vendor, c.Entries(reply.Entries))}
}

// cut returns at most n bytes of the start, after a space when there is one
// near the end, and never half a character.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	if at := strings.LastIndexAny(text[n/2:n], " \n"); at >= 0 {
		return text[:n/2+at+1]
	}
	for n > 1 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
