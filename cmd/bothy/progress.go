package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Bounds of what is shown of a command's output; all of it is in the thread.
const (
	headLines = 20
	tailLines = 10
)

// progress draws a run's events for people, as they come. It is a function of
// the events it has seen and writes nothing itself.
type progress struct {
	colour bool
	open   string          // item whose text stands on a line without an end
	told   map[string]bool // items that were drawn, at least in part
	agent  string          // who spoke last; "" is the run's own agent
}

func newProgress(colour bool) *progress { return &progress{colour: colour, told: map[string]bool{}} }

// draw is what an event adds to the screen.
func (p *progress) draw(e wire.Event) string { return p.speaker(e) + p.event(e) }

// speaker tells when another agent of the run speaks than before.
func (p *progress) speaker(e wire.Event) string {
	name := e.AgentName
	if e.ParentID != "" && name == "" {
		name = e.AgentID
	}
	if name == p.agent {
		return ""
	}
	p.agent = name
	if name == "" {
		return p.faint("← back from it")
	}
	return p.faint("→ " + name)
}

func (p *progress) event(e wire.Event) string {
	switch e.Type {
	case wire.ThreadCreated:
		return p.faint("thread " + e.Thread.ID)
	case wire.ResponseStarted:
		return p.started(e)
	case wire.ContentPartDelta:
		return p.text(e.ItemID, e.Delta, "")
	case wire.ReasoningDelta:
		return p.text(e.ItemID, e.Delta, ansiFaint)
	case wire.OutputItemAdded, wire.ToolStarted:
		return p.call(e.Item)
	case wire.ItemCompleted:
		return p.item(e.Item)
	case wire.ResponseNotice:
		return p.line(ansiYellow, "! "+e.Message)
	case wire.Log:
		return p.faint(e.Message)
	case wire.StreamCompleted, wire.StreamError:
		return p.over(e)
	}
	return ""
}

func (p *progress) started(e wire.Event) string {
	if e.Response == nil || e.Response.Model == "" {
		return ""
	}
	return p.faint("run " + e.RunID + " with " + e.Response.Model)
}

// text adds a piece of an item that grows.
func (p *progress) text(item string, d *wire.Delta, style string) string {
	if d == nil {
		return ""
	}
	var before string
	if p.open != item {
		before = p.endLine()
	}
	p.open, p.told[item] = item, true
	return before + p.paint(style, clean(d.Text))
}

// call shows what a tool is asked to do, once.
func (p *progress) call(item *wire.Item) string {
	if item == nil || item.Type != "tool_call" || item.Tool == nil || p.told[item.ID] {
		return ""
	}
	p.told[item.ID] = true
	what := item.Tool.Command
	mark := "$ "
	if what == "" {
		mark, what = "• ", strings.TrimSpace(item.Name+" "+item.Tool.FilePath)
		if item.Tool.Server != "" {
			what = item.Tool.Server + ": " + item.Tool.Name
		}
	}
	return p.line(ansiBold, mark+strings.ReplaceAll(strings.TrimRight(what, "\n"), "\n", "\n  "))
}

// item shows what a completed item adds to what was drawn of it.
func (p *progress) item(item *wire.Item) string {
	if item == nil {
		return ""
	}
	switch item.Type {
	case "tool_call":
		return p.call(item) + p.result(item)
	case "text", "message":
		if p.told[item.ID] {
			return p.endLine()
		}
		p.told[item.ID] = true
		return p.line("", item.Content)
	case "reasoning":
		if p.told[item.ID] {
			return p.endLine()
		}
		return p.faint(item.Content)
	case "file_change":
		return p.faint(item.Kind + " " + item.Path)
	}
	return ""
}

// result is how a tool call ended.
func (p *progress) result(item *wire.Item) string {
	var end []string
	style := ansiFaint
	if code := item.Tool.ExitCode; code != nil {
		end = append(end, fmt.Sprintf("exit %d", *code))
		if *code != 0 {
			style = ansiRed
		}
	}
	if item.Status != "" && item.Status != "completed" {
		end, style = append(end, item.Status), ansiRed
	}
	if ms := item.Tool.DurationMS; ms > 0 {
		end = append(end, "in "+span(time.Duration(ms)*time.Millisecond))
	}
	var drawn string
	if output := shorten(strings.TrimRight(item.Tool.Output, "\n")); output != "" {
		drawn = p.line("", "  "+strings.ReplaceAll(output, "\n", "\n  "))
	}
	if len(end) > 0 {
		drawn += p.line(style, "  "+strings.Join(end, " "))
	}
	return drawn
}

// shorten keeps the first and last lines of a long output.
func shorten(output string) string {
	lines := strings.Split(output, "\n")
	left := len(lines) - headLines - tailLines
	if left <= 1 {
		return output
	}
	kept := append([]string(nil), lines[:headLines]...)
	kept = append(kept, fmt.Sprintf("… %d lines …", left))
	return strings.Join(append(kept, lines[len(lines)-tailLines:]...), "\n")
}

// over is the last line of a run.
func (p *progress) over(e wire.Event) string {
	p.told = map[string]bool{} // ids of the next run begin anew
	mark, style, parts := "✓", ansiGreen, []string{"done"}
	if e.Type == wire.StreamError {
		mark, style, parts = "✗", ansiRed, []string{e.Message}
	}
	if e.Run != nil && e.Run.Tokens != nil {
		parts = append(parts, fmt.Sprintf("%d tokens in, %d out", e.Run.Tokens.Input, e.Run.Tokens.Output))
	}
	if e.Run != nil && e.Run.Cost != nil {
		parts = append(parts, dollars(*e.Run.Cost))
	}
	return p.line(style, mark+" "+strings.Join(parts, " · "))
}

// span is a duration for people.
func span(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

// endLine ends the line that an item's text has left open.
func (p *progress) endLine() string {
	if p.open == "" {
		return ""
	}
	p.open = ""
	return "\n"
}

func (p *progress) faint(text string) string { return p.line(ansiFaint, text) }

// line is text on lines of its own.
func (p *progress) line(style, text string) string {
	text = strings.TrimRight(clean(text), "\n")
	if text == "" {
		return p.endLine()
	}
	return p.endLine() + p.paint(style, text) + "\n"
}

// Styles of a terminal.
const (
	ansiBold   = "\x1b[1m"
	ansiFaint  = "\x1b[2m"
	ansiRed    = "\x1b[31m"
	ansiGreen  = "\x1b[32m"
	ansiYellow = "\x1b[33m"
	ansiPlain  = "\x1b[0m"
)

func (p *progress) paint(style, text string) string {
	if !p.colour || style == "" || text == "" {
		return text
	}
	return style + text + ansiPlain
}
