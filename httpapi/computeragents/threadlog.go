package computeragents

import (
	"fmt"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Pages of what a thread did. Clients that know no pages send no limit.
const (
	maxLogs  = 1000
	maxSteps = 500
)

func (a *API) threadLogRoutes() []door.Route {
	read := []string{readThreads}
	return []door.Route{
		{Method: "POST", Path: "/threads/search", Scopes: read, Serve: a.Handle(a.searchThreads)},
		{Method: "GET", Path: "/threads/:id/status", Scopes: read, Serve: a.Handle(a.threadStatus)},
		{Method: "GET", Path: "/threads/:id/logs", Scopes: read, Serve: a.Handle(a.threadLogs)},
		{Method: "GET", Path: "/threads/:id/steps", Scopes: read, Serve: a.Handle(a.threadSteps)},
		{Method: "GET", Path: "/threads/:id/steps/:step/diff", Scopes: read, Serve: a.Handle(a.stepDiff)},
		{Method: "GET", Path: "/threads/:id/diffs", Scopes: read, Serve: a.Handle(a.threadDiffs)},
	}
}

// told is a thread with what was said and done in it.
type told struct {
	thread  state.Thread
	run     state.Run // the newest; the zero value before the first
	moments []moment
}

// tell reads a thread and, when all is set, its chronicle.
func (a *API) tell(c *gin.Context, all bool) (told, error) {
	id, err := threadID(c)
	if err != nil {
		return told{}, err
	}
	return get(a, c, func(v *state.View, account state.AccountID) (found told, err error) {
		if found.thread, err = v.Thread(account, id); err != nil {
			return found, err
		}
		if found.run, _, err = v.AnyRun(found.thread.LastRun); err != nil || !all {
			return found, err
		}
		found.moments, err = chronicle(v, found.thread)
		return found, err
	})
}

// took is how long the newest run took, or has taken by now.
func (t told) took(now time.Time) *string {
	if t.run.ID == "" {
		return nil
	}
	end := t.run.EndedAt
	if end.IsZero() {
		end = now
	}
	text := max(0, end.Sub(t.run.CreatedAt)).Round(time.Millisecond).String()
	return &text
}

// threadStatus serves GET /threads/:id/status.
func (a *API) threadStatus(c *gin.Context) error {
	t, err := a.tell(c, false)
	if err != nil {
		return err
	}
	reply := wire.ThreadStatus{ID: string(t.thread.ID), ThreadID: string(t.thread.ID), Status: string(t.thread.Status),
		RunID: maybe(t.run.ID), Duration: t.took(a.Now()), UpdatedAt: wire.At(t.thread.UpdatedAt)}
	reply.StartedAt, reply.CompletedAt = wire.Maybe(t.run.StartedAt), wire.Maybe(t.run.EndedAt)
	a.ok(c, reply)
	return nil
}

// threadLogs serves GET /threads/:id/logs.
func (a *API) threadLogs(c *gin.Context) error {
	page, err := door.PageUpTo(c, maxLogs)
	if err != nil {
		return err
	}
	t, err := a.tell(c, true)
	if err != nil {
		return err
	}
	logs := make([]wire.LogEntry, 0, len(t.moments))
	for _, m := range part(t.moments, page) {
		entry, err := logEntry(m, t.moments[0].at)
		if err != nil {
			return err
		}
		logs = append(logs, entry)
	}
	a.ok(c, wire.ThreadLogs{Object: "list", Logs: logs, Data: logs, TotalCount: len(t.moments), HasMore: page.Offset+len(logs) < len(t.moments),
		ThreadID: string(t.thread.ID), Status: string(t.thread.Status), Duration: t.took(a.Now()), TotalCost: wire.USD(t.thread.Cost),
		InputTokens: t.thread.InputTokens, OutputTokens: t.thread.OutputTokens, Environment: string(t.thread.Environment), AgentID: maybe(t.thread.Agent)})
	return nil
}

// part is a page of a list.
func part[T any](all []T, p state.Page) []T {
	from := min(p.Offset, len(all))
	return all[from:min(from+p.Limit, len(all))]
}

func logEntry(m moment, first time.Time) (wire.LogEntry, error) {
	about, err := m.metadata()
	at := wire.At(m.at)
	return wire.LogEntry{ID: m.id, Role: m.role, Content: m.text, Message: m.text, Timestamp: at, CreatedAt: at, Time: at,
		RelativeTime: fmt.Sprintf("+%s", max(0, m.at.Sub(first)).Round(time.Millisecond)), Type: m.level, EventType: m.kind,
		IsUserMessage: m.kind == "user_message", IsReasoning: m.kind == "reasoning", IsLLMResponse: m.kind == "assistant_message",
		IsActionSummary: m.role == "execution_log" && m.kind != "reasoning" && m.kind != "system", Metadata: about}, err
}

// threadSteps serves GET /threads/:id/steps.
func (a *API) threadSteps(c *gin.Context) error {
	page, err := door.PageUpTo(c, maxSteps)
	if err != nil {
		return err
	}
	t, err := a.tell(c, true)
	if err != nil {
		return err
	}
	steps := []wire.ThreadStep{}
	var source *string
	for i, m := range t.moments {
		if m.kind == "user_message" {
			source = maybe(m.said)
		}
		if i < page.Offset || len(steps) == page.Limit {
			continue
		}
		about, err := m.metadata()
		if err != nil {
			return err
		}
		steps = append(steps, wire.ThreadStep{ID: m.id, ThreadID: string(t.thread.ID), EnvironmentID: string(t.thread.Environment), Sequence: m.seq,
			SourceMessageID: source, StepKind: m.kind, EventType: &m.kind, Title: m.title, Metadata: about, CreatedAt: wire.At(m.at)})
	}
	a.ok(c, wire.ListOf(steps, page.Offset+len(steps) < len(t.moments), len(t.moments)))
	return nil
}

// stepDiff serves GET /threads/:id/steps/:step/diff: the changes of one file
// change, or of all that a tool made.
func (a *API) stepDiff(c *gin.Context) error {
	step := c.Param("step")
	path := c.Query("path")
	t, err := a.tell(c, true)
	if err != nil {
		return err
	}
	reply := wire.StepDiff{ThreadID: string(t.thread.ID), StepID: step, Path: maybe(path), ChangedPaths: []string{}}
	found := false
	var text strings.Builder
	for _, m := range t.moments {
		if m.id == step {
			found, reply.Sequence = true, m.seq
		}
		// The changes of a tool are numbered items of its result's.
		if m.id != step && !strings.HasPrefix(m.id, step+"_r_f") {
			continue
		}
		for _, change := range m.about.Changes {
			if path != "" && change.Path != path {
				continue
			}
			reply.ChangedPaths = append(reply.ChangedPaths, change.Path)
			reply.Additions += change.Additions
			reply.Deletions += change.Deletions
			text.WriteString(change.Diff)
		}
	}
	if !found {
		return fault.New(fault.NotFound, "Step not found: %s", step)
	}
	reply.Diff = text.String()
	a.ok(c, reply)
	return nil
}
