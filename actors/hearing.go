package actors

import (
	"bytes"
	"context"
	"strings"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/executor"
	"github.com/bothy-computer/bothy/cluster/state"
)

// maxLineBytes bounds one line of an executor's output; a longer one is left
// out.
const maxLineBytes = 4 << 20

// hearing takes down what an executor says while it works: it cuts its output
// into lines and commits what they mean. Whoever says more waits meanwhile.
type hearing struct {
	*execution
	listener executor.Listener
	prefix   string // makes the executor's ids unique in the thread
	stop     context.CancelCauseFunc

	line    []byte
	skipped bool
	step    int
	ran     bool              // the last entry was a result, so that the next begins a step
	heard   bool              // anything that matters was said
	answer  string            // the last words
	names   map[string]string // of tools, by the ids of their calls
	failure string            // why the turn failed
	failed  error             // why nothing more can be committed
}

// Write takes a piece of output. Its failure ends the executor.
func (h *hearing) Write(p []byte) (int, error) {
	all := len(p)
	for h.failed == nil {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			break
		}
		h.keep(p[:end])
		h.close()
		p = p[end+1:]
	}
	h.keep(p)
	return all, h.failed
}

func (h *hearing) keep(p []byte) {
	if h.skipped = h.skipped || len(h.line)+len(p) > maxLineBytes; h.skipped {
		h.line = nil
		return
	}
	h.line = append(h.line, p...)
}

// close takes in a line that has ended.
func (h *hearing) close() {
	if h.skipped {
		h.log.Warn("a line of an executor's output is too long", "executor", h.executor.Name, "limit", maxLineBytes)
	} else if len(bytes.TrimSpace(h.line)) > 0 {
		for _, s := range h.listener.Line(h.line) {
			if h.failed == nil {
				h.failed = h.take(s)
			}
		}
	}
	h.line, h.skipped = h.line[:0], false
	if h.failed != nil {
		h.stop(h.failed)
	}
}

// end takes in what came after the last line's end.
func (h *hearing) end() {
	if h.failed == nil {
		h.close()
	}
}

// take commits one thing that was said.
func (h *hearing) take(s executor.Said) error {
	switch {
	case s.Session != "" && s.Session != h.session:
		h.session = s.Session
		if h.voice.within != "" {
			return nil
		}
		return h.commit(state.Append{Session: &state.Session{Executor: h.executor.Name, ID: s.Session}})
	case s.Failure != "":
		h.failure = s.Failure
	case s.Warning != "":
		h.debug("%s: %s", h.executor.Name, clip(s.Warning))
	case s.Entry != nil:
		return h.enter(*s.Entry)
	}
	return nil
}

// enter adds an entry to the transcript.
func (h *hearing) enter(e agent.Entry) error {
	h.heard = true
	if result := e.Kind == agent.ToolResult; !result && h.ran || h.step == 0 {
		h.step++
		h.ran = false
	} else if result {
		h.ran = true
	}
	e.ID, e.Step = h.unique(e.ID), h.step
	if e.Call != nil {
		call := *e.Call
		call.ID, call.Arguments = h.unique(call.ID), agent.Shorten(call.Arguments)
		e.Call = &call
		h.names[call.ID] = call.Name
	}
	if e.Result != nil {
		result := *e.Result
		result.Call, result.Text = h.unique(result.Call), agent.Shorten(result.Text)
		e.Result = &result
	}
	if e.Kind == agent.Text {
		h.answer = e.Text
	}
	var changed []state.Event
	if e.Result != nil {
		changed = h.machine.changes(h.ctx, h.names[e.Result.Call], &e)
	}
	for _, part := range splitText([]agent.Entry{e}) {
		events, err := eventsOf(part, state.ItemComplete)
		if err != nil {
			return err
		}
		events = append(events, changed...)
		h.add(part)
		if err := h.commit(state.Append{Events: h.voice.all(events)}); err != nil {
			return err
		}
	}
	return nil
}

// maxForeignID bounds an id that an executor made.
const maxForeignID = 64

// unique makes of an executor's id one that is unique in the thread and safe
// as a file name.
func (h *hearing) unique(id string) string {
	safe := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, id)
	return h.prefix + "_" + safe[:min(len(safe), maxForeignID)]
}
