package rebyte

import (
	"encoding/json"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// maxContentEvents bounds the events of a task's content.
const maxContentEvents = 10_000

// said is a prompt with what was said.
type said struct {
	wire.Prompt
	UserPrompt string           `json:"userPrompt"`
	Response   *string          `json:"response,omitempty"`
	Events     []wire.TaskEvent `json:"events,omitempty"`
}

// taskContent serves GET /tasks/:id/content.
func (a *API) taskContent(c *gin.Context) error {
	with := c.Query("include")
	if with != "" && with != "events" {
		return invalid("include", "include must be events")
	}
	var reply struct {
		ID      string `json:"id"`
		Status  string `json:"status"`
		Prompts []said `json:"prompts"`
	}
	err := a.task(c, func(v *state.View, t state.Thread) (err error) {
		reply.ID, reply.Status = string(t.ID), taskStatus(t)
		reply.Prompts, err = content(v, t, with == "events")
		return err
	})
	if err == nil {
		c.JSON(http.StatusOK, reply)
	}
	return err
}

func content(v *state.View, t state.Thread, events bool) ([]said, error) {
	all, err := prompts(v, t)
	if err != nil {
		return nil, err
	}
	asked, answered, err := messages(v, t)
	if err != nil {
		return nil, err
	}
	list, shown := []said{}, 0
	for _, r := range all {
		s := said{Prompt: promptOf(r), UserPrompt: asked[r.ID]}
		if r.Waiting != nil {
			s.UserPrompt = r.Waiting.Content
		}
		if text, ok := answered[r.ID]; ok {
			s.Response = &text
		}
		if events {
			if s.Events, err = eventsOf(v, r); err != nil {
				return nil, err
			}
			if shown += len(s.Events); shown > maxContentEvents {
				return nil, fault.New(fault.TooLarge, "the task has more than %d events; read them at its events route", maxContentEvents)
			}
		}
		list = append(list, s)
	}
	return list, nil
}

// messages are what was asked and answered in each of a task's runs.
func messages(v *state.View, t state.Thread) (asked, answered map[state.RunID]string, err error) {
	asked, answered = map[state.RunID]string{}, map[state.RunID]string{}
	list, err := v.Messages(t.Account, t.ID, state.Page{Limit: 2 * maxPrompts}, true)
	for _, m := range list.Items {
		if m.Role == "user" {
			asked[m.Run] = m.Content
		} else {
			answered[m.Run] = m.Content
		}
	}
	return asked, answered, err
}

// answerOf is what a run answered, or "".
func answerOf(v *state.View, t state.Thread, run state.RunID) (string, error) {
	list, err := v.Messages(t.Account, t.ID, state.Page{Limit: 2}, true)
	for _, m := range list.Items {
		if m.Run == run && m.Role == "assistant" {
			return m.Content, err
		}
	}
	return "", err
}

// eventsOf are the events of a run so far.
func eventsOf(v *state.View, r state.Run) (list []wire.TaskEvent, err error) {
	if r.FirstSeq == 0 {
		return nil, nil // it waits
	}
	err = v.Events(r.Thread, r.FirstSeq-1, func(e state.Event) bool {
		if r.LastSeq != 0 && e.Seq > r.LastSeq {
			return false
		}
		if line, ok := eventOf(e); ok && e.Run == r.ID {
			list = append(list, line)
		}
		return len(list) <= maxContentEvents
	})
	return list, err
}

// eventOf translates an entry of the log; ok is false for what streams do not
// show. Each entry is at most one event, so that its seq is one event's. Pieces
// of a text are text_delta, which clients that want whole texts leave alone.
func eventOf(e state.Event) (line wire.TaskEvent, ok bool) {
	line = wire.TaskEvent{Seq: e.Seq, Timestamp: wire.At(e.At)}
	p := &line.Payload
	switch e.Kind {
	case state.EventRunStarted:
		line.EventType, p.Model = "start", e.Model
	case state.EventText:
		line.EventType, p.Text = "text_delta", e.Text
		if e.Type != state.ItemText {
			line.EventType = "reasoning_delta"
		}
	case state.EventNotice:
		line.EventType, p.Message = "notice", e.Text
	case state.EventRunCompleted:
		line.EventType, p.Result = "result", &e.Text
		if e.Status != string(state.RunSuccess) {
			line.EventType, p.Result, p.Message = "error", nil, e.Error
		}
	case state.EventItemCompleted:
		return line, item(&line, e)
	default:
		return line, false
	}
	return line, true
}

func item(line *wire.TaskEvent, e state.Event) bool {
	p := &line.Payload
	if e.Status == state.ItemIncomplete {
		return false
	}
	switch e.Type {
	case state.ItemText:
		line.EventType, p.Text = "text", e.Text
	case state.ItemReasoning:
		line.EventType, p.Text = "reasoning", e.Text
	case state.ItemFileChange:
		line.EventType, p.Path, p.Change = "file_change", e.Path, e.Change
	case state.ItemToolCall, state.ItemToolResult:
		if e.Tool == nil {
			return false
		}
		p.ID, p.ToolID, p.Name, p.ToolName = e.Tool.ID, e.Tool.ID, e.Tool.Name, e.Tool.Name
		if e.Type == state.ItemToolResult {
			line.EventType, p.Output, p.ExitCode = "tool_result", &e.Tool.Output, e.Tool.ExitCode
			return true
		}
		line.EventType = "tool_use"
		if json.Valid([]byte(e.Tool.Arguments)) {
			p.Input = json.RawMessage(e.Tool.Arguments)
			p.Params = p.Input
		}
	default:
		return false
	}
	return true
}
