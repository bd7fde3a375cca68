package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

// The size of a frame that is printed where there is no terminal.
const (
	onceWidth  = 160
	onceHeight = 200
)

// maxHeard bounds what is remembered of a text that a run writes.
const maxHeard = 4 << 10

// activity is what a run is doing, in a line.
type activity struct {
	line string
	text string // of the message that it writes
}

// hear takes an event and reports whether the line changed.
func (a *activity) hear(e wire.Event) bool {
	before := a.line
	switch e.Type {
	case wire.ContentPartDelta:
		if e.Delta != nil {
			a.text += e.Delta.Text
			a.text = a.text[max(0, len(a.text)-maxHeard):]
			a.line = lastLine(a.text)
		}
	case wire.ReasoningDelta:
		a.line = "thinking"
	case wire.OutputItemAdded, wire.ToolStarted, wire.ItemCompleted:
		a.text = ""
		if e.Item != nil && e.Item.Type == "tool_call" && e.Item.Tool != nil {
			a.line = callLine(e)
		}
	case wire.ResponseNotice:
		a.line = "! " + e.Message
	}
	return a.line != before
}

// callLine is a tool call in a line.
func callLine(e wire.Event) string {
	what := strings.TrimSpace(e.Item.Name + " " + e.Item.Tool.FilePath)
	if command := e.Item.Tool.Command; command != "" {
		what = "$ " + lastLine(command)
	}
	if code := e.Item.Tool.ExitCode; code != nil {
		what += fmt.Sprintf(" → exit %d", *code)
	}
	return what
}

// lastLine is the last line of a text that says anything.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(strings.ToValidUTF8(text, "")), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// frame is what is shown at one moment, in parts.
type frame struct {
	head      []string
	nodes     []string
	runs      []string
	computers []string
}

// frame draws what was seen last. trouble says why it is not what there is now.
func (p *topper) frame(now time.Time, trouble error) frame {
	s := p.seen.Status
	leader := s.Leader
	if leader == "" {
		leader = "none: writes wait"
	}
	f := frame{head: []string{fmt.Sprintf("bothy %s · %s · leader %s · %d computers · %d runs, %d waiting · as %s sees it",
		s.Version, now.Format(time.TimeOnly), leader, s.Computers, s.RunsRunning, s.RunsPending, s.Node)}}
	switch {
	case trouble != nil:
		f.head = append(f.head, "! not what there is now: "+plain(trouble.Error()))
	case !s.Ready:
		f.head = append(f.head, fmt.Sprintf("! %s is not ready: %s", s.Node, plain(s.Problem)))
	}
	f.nodes = rows(s.Nodes, nodeColumns)
	f.runs = rows(p.seen.Runs.Data, p.runColumns(now))
	f.computers = rows(sortComputers(p.seen.Computers.Data), topComputerColumns(now))
	return f
}

func (p *topper) runColumns(now time.Time) []column[wire.Thread] {
	return []column[wire.Thread]{
		{head: "run", cell: func(t wire.Thread) string { return or(t.RunID) }},
		{head: "thread", cell: func(t wire.Thread) string { return t.ID }},
		{head: "since", cell: func(t wire.Thread) string { return age(now, &t.UpdatedAt) }},
		{head: "tokens", cell: func(t wire.Thread) string { return fmt.Sprint(t.TotalTokens) }},
		{head: "cost", cell: func(t wire.Thread) string { return dollars(t.TotalCost) }},
		{head: "title", cell: func(t wire.Thread) string { return or(t.Title) }},
		{head: "doing", cell: func(t wire.Thread) string { return p.now(t.ID) }},
	}
}

func topComputerColumns(now time.Time) []column[wire.Computer] {
	return []column[wire.Computer]{
		{head: "computer", cell: func(c wire.Computer) string { return c.ID }},
		{head: "phase", cell: func(c wire.Computer) string { return c.Phase }},
		{head: "node", cell: func(c wire.Computer) string { return or(c.Node) }},
		{head: "runs", cell: func(c wire.Computer) string { return fmt.Sprint(c.Runs) }},
		{head: "up", cell: func(c wire.Computer) string { return age(now, c.StartedAt) }},
		{head: "memory", cell: memoryOf},
		{head: "cores", cell: func(c wire.Computer) string { return fmt.Sprintf("%g", float64(c.MilliCPU)/1000) }},
		{head: "image", cell: func(c wire.Computer) string { return c.Image }},
		{head: "name", cell: func(c wire.Computer) string { return c.Name }},
	}
}

// sortComputers has those that run first, and otherwise keeps the order.
func sortComputers(all []wire.Computer) []wire.Computer {
	var running, rest []wire.Computer
	for _, c := range all {
		if c.Phase == "running" {
			running = append(running, c)
		} else {
			rest = append(rest, c)
		}
	}
	return append(running, rest...)
}

// age is how long ago a time was.
func age(now time.Time, at *wire.Time) string {
	if at == nil || at.IsZero() {
		return ""
	}
	switch d := max(0, now.Sub(at.Time)); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%dd", int(d.Hours())/24)
	}
}

// rows is a table in lines, its head first.
func rows[T any](all []T, columns []column[T]) []string {
	var b bytes.Buffer
	if err := table(&b, all, columns); err != nil {
		return []string{err.Error()}
	}
	return strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
}

// lines fits the frame into a screen. Of what does not fit, runs keep half of
// the room that nodes leave, and computers the rest.
func (f frame) lines(width, height int) []string {
	room := max(0, height-len(f.head)-2)
	nodes := clip(f.nodes, max(2, room/2))
	room = max(0, room-len(nodes)-1)
	runs := clip(f.runs, max(2, room-min(len(f.computers), room/2)))
	computers := clip(f.computers, max(2, room-len(runs)))
	all := append([]string(nil), f.head...)
	for _, part := range [][]string{nodes, runs, computers} {
		all = append(append(all, ""), part...)
	}
	all = all[:min(len(all), max(1, height))]
	for i, line := range all {
		if runes := []rune(line); len(runes) > width {
			all[i] = string(runes[:max(0, width-1)]) + "…"
		}
	}
	return all
}

// clip keeps the first lines of a table and says how many more there are.
func clip(lines []string, most int) []string {
	if len(lines) <= most {
		return lines
	}
	return append(append([]string(nil), lines[:most-1]...), fmt.Sprintf("… %d more", len(lines)-most+1))
}

// memoryOf is what a computer may use; - is the node's default.
func memoryOf(c wire.Computer) string {
	if c.MemoryBytes == 0 {
		return "-"
	}
	return Bytes(c.MemoryBytes).String()
}
