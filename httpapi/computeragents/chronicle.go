package computeragents

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// moment is one thing that was said or done in a thread, as logs and steps
// tell it.
type moment struct {
	id    string
	kind  string // a ThreadStep's stepKind
	role  string // user, assistant, execution_log
	level string // info, error, success, warning
	seq   uint64 // of its event; of a message, the newest event before it
	at    time.Time
	text  string
	title string
	about wire.EntryMetadata
	said  state.MessageID // of a message
}

// maxMoments bounds how much of a thread is told; nobody reads on beyond it.
const maxMoments = 20_000

// chronicle reads what was said and done in a thread, oldest first. What the
// assistant said is told by its items, so that it stands where it was said.
func chronicle(v *state.View, t state.Thread) ([]moment, error) {
	said, err := v.Messages(t.Account, t.ID, state.Page{Limit: maxMoments}, false)
	if err != nil {
		return nil, err
	}
	var all []moment
	rest := said.Items
	flush := func(seq uint64) {
		for len(rest) > 0 && rest[0].AfterSeq < seq {
			if rest[0].Role != "assistant" {
				all = append(all, messageMoment(rest[0]))
			}
			rest = rest[1:]
		}
	}
	calls := map[string]state.ToolCall{}
	err = v.Events(t.ID, 0, func(e state.Event) bool {
		flush(e.Seq)
		if m, ok := eventMoment(e, calls); ok {
			all = append(all, m)
		}
		return len(all) < maxMoments
	})
	flush(^uint64(0))
	return all[:min(len(all), maxMoments)], err
}

func messageMoment(m state.Message) moment {
	kind, role := "system", "execution_log"
	if m.Role == "user" {
		kind, role = "user_message", "user"
	}
	return moment{id: string(m.ID), kind: kind, role: role, level: "info", seq: m.AfterSeq, at: m.CreatedAt,
		text: m.Content, title: headline(m.Content), said: m.ID, about: wire.EntryMetadata{RunID: string(m.Run)}}
}

// eventMoment is an event that is worth telling. A tool's call is told with
// what came of it.
func eventMoment(e state.Event, calls map[string]state.ToolCall) (moment, bool) {
	m := moment{id: e.Item, role: "execution_log", level: "info", seq: e.Seq, at: e.At, text: e.Text,
		about: wire.EntryMetadata{RunID: string(e.Run), Sequence: e.Seq, Status: e.Status, AgentID: string(e.Agent), AgentName: e.AgentName}}
	switch e.Kind {
	case state.EventNotice, state.EventLog:
		m.id, m.kind = fmt.Sprintf("event_%d", e.Seq), "system"
		if e.Kind == state.EventNotice {
			m.level = "warning"
		}
	case state.EventRunCompleted:
		m.id, m.kind, m.level, m.about.Error = fmt.Sprintf("event_%d", e.Seq), "turn_completed", "success", e.Error
		m.text = "The run ended: " + e.Status
		if e.Status != string(state.RunSuccess) {
			m.level, m.text = "error", joinText(m.text, e.Error)
		}
	case state.EventItemCompleted:
		return itemMoment(m, e, calls)
	default:
		return m, false
	}
	m.title = headline(m.text)
	return m, true
}

func joinText(text, more string) string {
	if more == "" {
		return text
	}
	return text + ": " + more
}

func itemMoment(m moment, e state.Event, calls map[string]state.ToolCall) (moment, bool) {
	switch e.Type {
	case state.ItemText:
		m.kind, m.role = "assistant_message", "assistant"
		if e.Within != "" { // said to the agent that handed the task on, not to the user
			m.kind, m.role = "other", "execution_log"
		}
	case state.ItemReasoning:
		m.kind = "reasoning"
	case state.ItemToolCall:
		calls[e.Tool.ID] = *e.Tool
		return m, false
	case state.ItemToolResult:
		return toolMoment(m, *e.Tool, calls[e.Tool.ID]), true
	case state.ItemFileChange:
		change := fileChange(e)
		m.kind, m.text, m.about.Changes = "file_change", e.Change+" "+e.Path, []wire.FileChange{change}
	case state.ItemSummary:
		m.kind = "other"
	default:
		return m, false
	}
	m.title = headline(m.text)
	return m, true
}

func toolMoment(m moment, done, asked state.ToolCall) moment {
	done.Name, done.Arguments, done.Server, done.ServerTool = asked.Name, asked.Arguments, asked.Server, asked.ServerTool
	m.id, m.kind, m.level = done.ID, "mcp_tool_call", "success"
	if done.Failed {
		m.level = "error"
	}
	m.about.Tool = toolOf(done)
	switch what := m.about.Tool; what.Type {
	case "command_execution":
		m.kind, m.title = "command_execution", "$ "+what.Command
	case "file_write", "file_read":
		m.kind, m.title = "other", done.Name+" "+what.FilePath
	case "handoff":
		m.kind, m.title = "other", done.Name
	default:
		m.title = done.Name
		if what.Server != "" {
			m.title = what.Server + ": " + what.Name
		}
	}
	m.text = strings.TrimRight(m.title+"\n"+done.Output, "\n")
	m.title = headline(m.title)
	return m
}

// maxHeadline bounds a title made of a text, in bytes.
const maxHeadline = 120

// headline is a text's first line, cut.
func headline(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if len(line) <= maxHeadline {
		return line
	}
	return strings.ToValidUTF8(line[:maxHeadline], "") + "…"
}

// fileChange is a changed file with the lines that came and went, as far as
// they are known.
func fileChange(e state.Event) wire.FileChange {
	c := wire.FileChange{Path: e.Path, Kind: e.Change, Diff: e.Text}
	for i, line := range slices.Collect(strings.Lines(e.Text)) {
		switch {
		case i < 2: // the names
		case line[0] == '+':
			c.Additions++
		case line[0] == '-':
			c.Deletions++
		}
	}
	return c
}

func (m moment) metadata() (json.RawMessage, error) { return json.Marshal(m.about) }
