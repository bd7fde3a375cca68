package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/bothy-computer/bothy/actors/agent"
)

// maxFiles bounds the files that one result leaves in the workspace.
const maxFiles = 16

// answer is what came of a call: what a server sent, or else why it sent none.
type answer struct {
	sent   *sdk.CallToolResult
	result agent.Result
}

// presenting turns what a server sent into what a model is told: words as
// they are, everything else as files of the workspace, which the user sees; models
// see those that are pictures.
type presenting struct {
	pool  *Pool
	call  string // its id
	parts []string
	files int
	seen  []agent.Picture
}

func (s *Set) present(ctx context.Context, l *link, call string, sent *sdk.CallToolResult) agent.Result {
	p := &presenting{pool: s.pool, call: call}
	for _, c := range sent.Content {
		p.add(ctx, c)
	}
	if len(p.parts) == 0 && sent.StructuredContent != nil {
		if b, err := json.Marshal(sent.StructuredContent); err == nil { // it came as JSON
			p.parts = append(p.parts, string(b))
		}
	}
	result := agent.Result{Status: agent.Done, Pictures: p.seen}
	if sent.IsError {
		result.Status = agent.Failed
	}
	text := l.hide(strings.Join(p.parts, "\n"))
	if text == "" {
		text = "(no output)"
	}
	if len(text) > agent.MaxToolOutputBytes {
		var told string
		if result.Saved, told = p.save(ctx, agent.OutputFile(call), []byte(text)); result.Saved != "" {
			told = fmt.Sprintf("the whole output, %d bytes, is in the workspace file %s; read parts of it with shell", len(text), result.Saved)
		}
		text = agent.Abridge(text, told)
	}
	result.Text = text
	return result
}

func (p *presenting) add(ctx context.Context, c sdk.Content) {
	switch c := c.(type) {
	case *sdk.TextContent:
		p.say("%s", c.Text)
	case *sdk.ImageContent:
		p.file(ctx, "image", c.MIMEType, c.Data)
	case *sdk.AudioContent:
		p.file(ctx, "audio", c.MIMEType, c.Data)
	case *sdk.ResourceLink:
		p.say("[resource %s, not brought: %s]", c.URI, strings.TrimSpace(strings.Join([]string{c.Name, c.MIMEType, c.Description}, " ")))
	case *sdk.EmbeddedResource:
		switch r := c.Resource; {
		case r == nil:
		case len(r.Blob) > 0:
			p.file(ctx, "resource "+r.URI, r.MIMEType, r.Blob)
		default:
			p.say("[resource %s]\n%s", r.URI, r.Text)
		}
	default:
		p.say("[content of a kind that is not known here]")
	}
}

func (p *presenting) say(format string, args ...any) {
	p.parts = append(p.parts, fmt.Sprintf(format, args...))
}

// file keeps what is no text in the workspace.
func (p *presenting) file(ctx context.Context, what, kind string, content []byte) {
	if p.files++; p.files > maxFiles {
		p.say("[%s, %s, %d bytes: not kept, a result may bring %d files]", what, kind, len(content), maxFiles)
		return
	}
	name := strings.TrimSuffix(agent.OutputFile(p.call), ".txt") + fmt.Sprintf("_%d%s", p.files, extension(kind))
	if saved, why := p.save(ctx, name, content); saved == "" {
		p.say("[%s, %s, %d bytes: %s]", what, kind, len(content), why)
		return
	}
	p.say("[%s, %s, %d bytes: it is in the workspace file %s]", what, kind, len(content), name)
	if picture, ok := agent.PictureOf(name, content); ok {
		p.seen = append(p.seen, picture)
	}
}

// save writes a file and returns its name, or why there is none.
func (p *presenting) save(ctx context.Context, name string, content []byte) (saved, why string) {
	computer, err := p.pool.Computer(ctx)
	if err == nil {
		_, err = computer.WriteFile(ctx, name, content)
	}
	if err != nil {
		return "", fmt.Sprintf("it could not be saved: %v", err)
	}
	return name, ""
}

// extensions are those that people know, of which a type may have many.
var extensions = map[string]string{"image/jpeg": ".jpg", "image/png": ".png", "image/gif": ".gif", "image/webp": ".webp",
	"image/svg+xml": ".svg", "audio/wav": ".wav", "audio/mpeg": ".mp3", "application/pdf": ".pdf", "application/json": ".json"}

func extension(kind string) string {
	bare, _, err := mime.ParseMediaType(kind)
	if known := extensions[bare]; err == nil && known != "" {
		return known
	}
	return ".bin"
}

// cut returns at most n bytes of the start of a text.
func cut(text string, n int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "..."
}
