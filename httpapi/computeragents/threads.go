package computeragents

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Scopes of this door's keys.
const (
	readThreads  = "threads:read"
	writeThreads = "threads:write"
	execute      = "execute" // starts runs and computers without changing what they are
)

// maxMessagesInThread bounds the messages that come with a single thread: the
// newest. All of them are in the list of messages.
const maxMessagesInThread = 1000

func (a *API) threadRoutes() []door.Route {
	read, write, run := []string{readThreads}, []string{writeThreads}, []string{writeThreads, execute}
	return []door.Route{
		{Method: "POST", Path: "/threads", Scopes: run, Long: true, Serve: a.Handle(a.createThread)},
		{Method: "GET", Path: "/threads", Scopes: read, Serve: a.Handle(a.listThreads)},
		{Method: "GET", Path: "/threads/:id", Scopes: read, Serve: a.Handle(a.getThread)},
		{Method: "PATCH", Path: "/threads/:id", Scopes: write, Serve: a.Handle(a.patchThread)},
		{Method: "DELETE", Path: "/threads/:id", Scopes: write, Serve: a.Handle(a.deleteThread)},
		{Method: "GET", Path: "/threads/:id/messages", Scopes: read, Serve: a.Handle(a.listMessages)},
		{Method: "POST", Path: "/threads/:id/messages", Scopes: run, Long: true, Serve: a.Handle(a.postMessage)},
		{Method: "GET", Path: "/threads/:id/events", Scopes: read, Long: true, Serve: a.Handle(a.followThread)},
		{Method: "POST", Path: "/threads/:id/cancel", Scopes: run, Serve: a.Handle(a.cancelThread)},
		{Method: "POST", Path: "/threads/:id/resume", Scopes: run, Serve: a.Handle(a.resumeThread)},
		{Method: "POST", Path: "/threads/:id/copy", Scopes: write, Serve: a.Handle(a.copyThread)},
	}
}

// createThread serves POST /threads: an empty thread, one with its first run,
// streamed or answered at its end, or one that a schedule speaks in.
func (a *API) createThread(c *gin.Context) error {
	var req wire.CreateThread
	if err := a.ReadAny(c, &req); err != nil {
		return err
	}
	if req.Schedule.Given() {
		return a.scheduleThread(c, req)
	}
	caller, err := a.Caller(c)
	if err != nil {
		return err
	}
	thread, run, err := a.newThread(req)
	if err != nil {
		return err
	}
	switch {
	case run != nil && (req.Stream == nil || *req.Stream):
		return a.stream(c, caller, *run)
	case run != nil:
		return a.answer(c, caller, *run)
	}
	if err := door.Require(c, writeThreads); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), a.Patience.Request)
	defer cancel()
	made, err := a.Threads.Create(ctx, caller, thread)
	if err != nil {
		return err
	}
	a.OwnerNow(c, made.Computer)
	c.JSON(http.StatusCreated, wire.OneThread{Thread: threadOf(made)})
	return nil
}

// listThreads serves GET /threads.
func (a *API) listThreads(c *gin.Context) error {
	page, err := door.Page(c)
	if err != nil {
		return err
	}
	filter, err := threadFilter(c)
	if err != nil {
		return err
	}
	var list state.List[state.Thread]
	err = a.LookAll(c, func(v *state.View) (err error) {
		list, err = v.Threads(door.CallerOf(c).Account, filter, page)
		return err
	})
	if err != nil {
		return err
	}
	a.ok(c, listOf(list, page, threadOf))
	return nil
}

func threadFilter(c *gin.Context) (f state.ThreadFilter, err error) {
	for _, q := range []struct {
		name string
		into *string
	}{{"environmentId", (*string)(&f.Environment)}, {"agentId", (*string)(&f.Agent)}, {"appId", &f.App}} {
		*q.into = c.Query(q.name)
		if err := name(q.name, *q.into); err != nil {
			return f, err
		}
	}
	if text := c.Query("status"); text != "" && text != "all" {
		if f.Status, err = threadStatus(text); err != nil {
			return f, err
		}
	}
	f.CreatedAfter, err = door.Since(c, "createdAfter")
	return f, err
}

func threadStatus(text string) (state.ThreadStatus, error) {
	status := state.ThreadStatus(text)
	if !slices.Contains(state.ThreadStatuses(), status) {
		return "", invalid("status", "status must be active, running, completed, failed or cancelled")
	}
	return status, nil
}

// listOf turns a page of records into its wire form.
func listOf[T, W any](list state.List[T], page state.Page, turn func(T) W) wire.List[W] {
	data := make([]W, 0, len(list.Items))
	for _, rec := range list.Items {
		data = append(data, turn(rec))
	}
	return wire.ListOf(data, list.HasMore(page), list.Total)
}

func threadID(c *gin.Context) (state.ThreadID, error) {
	id, err := door.ID(c, "id", "Thread")
	return state.ThreadID(id), err
}

// getThread serves GET /threads/:id, with its messages.
func (a *API) getThread(c *gin.Context) error {
	id, err := threadID(c)
	if err != nil {
		return err
	}
	reply, err := get(a, c, func(v *state.View, account state.AccountID) (wire.Thread, error) {
		t, err := v.Thread(account, id)
		if err != nil {
			return wire.Thread{}, err
		}
		skip := max(0, t.Messages-maxMessagesInThread)
		said, err := v.Messages(account, id, state.Page{Limit: maxMessagesInThread, Offset: skip}, false)
		if err != nil {
			return wire.Thread{}, err
		}
		whole := threadOf(t)
		for _, m := range said.Items {
			whole.Messages = append(whole.Messages, messageOf(m))
		}
		return whole, a.Owner(c, v, t.Computer)
	})
	if err != nil {
		return err
	}
	a.ok(c, wire.OneThread{Thread: reply})
	return nil
}

// patchThread serves PATCH /threads/:id.
func (a *API) patchThread(c *gin.Context) error {
	id, err := threadID(c)
	if err != nil {
		return err
	}
	var req wire.PatchThread
	if err := a.Read(c, &req); err != nil {
		return err
	}
	patch, err := threadPatch(id, req)
	if err != nil {
		return err
	}
	t, err := a.Threads.Patch(c.Request.Context(), door.CallerOf(c), patch)
	if err != nil {
		return err
	}
	a.OwnerNow(c, t.Computer)
	a.ok(c, wire.OneThread{Thread: threadOf(t)})
	return nil
}

func threadPatch(id state.ThreadID, req wire.PatchThread) (state.PatchThread, error) {
	patch := state.PatchThread{Thread: id}
	if req.Title != nil {
		if err := name("title", *req.Title); err != nil {
			return patch, err
		}
		patch.Title = req.Title
	}
	if req.Status != nil {
		status, err := threadStatus(*req.Status)
		if err != nil {
			return patch, err
		}
		if status == state.ThreadRunning {
			return patch, invalid("status", "status becomes running by a message, not by hand")
		}
		patch.Status = &status
	}
	if req.AgentID.Set {
		agent := state.AgentID(req.AgentID.Value)
		if err := identifier("agentId", string(agent)); err != nil {
			return patch, err
		}
		patch.Agent = &agent
	}
	if req.Metadata.Set {
		m, err := object("metadata", req.Metadata.Value)
		if err != nil {
			return patch, err
		}
		patch.Metadata = m
		if m == nil {
			patch.Metadata = []byte("{}") // null: none any more
		}
	}
	return patch, nil
}

// deleteThread serves DELETE /threads/:id.
func (a *API) deleteThread(c *gin.Context) error {
	id, err := threadID(c)
	if err != nil {
		return err
	}
	if err := a.Threads.Delete(c.Request.Context(), door.CallerOf(c), id); err != nil {
		return err
	}
	a.ok(c, wire.Done{Success: true, Deleted: true})
	return nil
}

// cancelThread serves POST /threads/:id/cancel.
func (a *API) cancelThread(c *gin.Context) error {
	id, err := threadID(c)
	if err != nil {
		return err
	}
	if err := a.Runs.Cancel(c.Request.Context(), door.CallerOf(c), id); err != nil {
		return err
	}
	a.ok(c, wire.CancelledThread{Success: true, Cancelled: true, ThreadID: string(id)})
	return nil
}

// resumeThread serves POST /threads/:id/resume.
func (a *API) resumeThread(c *gin.Context) error {
	id, err := threadID(c)
	if err != nil {
		return err
	}
	caller, err := a.Caller(c)
	if err != nil {
		return err
	}
	t, err := a.Runs.Resume(c.Request.Context(), caller, id)
	if err != nil {
		return err
	}
	a.OwnerNow(c, t.Computer)
	a.ok(c, wire.OneThread{Thread: threadOf(t)})
	return nil
}

// copyThread serves POST /threads/:id/copy.
func (a *API) copyThread(c *gin.Context) error {
	id, err := threadID(c)
	if err != nil {
		return err
	}
	var req wire.CopyThread
	if err := a.ReadAny(c, &req); err != nil {
		return err
	}
	if err := name("title", req.Title); err != nil {
		return err
	}
	caller, err := a.Caller(c)
	if err != nil {
		return err
	}
	t, err := a.Threads.Copy(c.Request.Context(), caller, id, req.Title)
	if err != nil {
		return err
	}
	a.OwnerNow(c, t.Computer)
	c.JSON(http.StatusCreated, wire.CopiedThread{Thread: threadOf(t), EnvironmentID: string(t.Environment), MessagesCopied: t.Messages})
	return nil
}

// threadOf is a thread on the wire, without its messages.
func threadOf(t state.Thread) wire.Thread {
	return wire.Thread{
		ID: string(t.ID), UserID: string(t.User), EnvironmentID: string(t.Environment), AgentID: maybe(t.Agent),
		Title: maybe(t.Title), Status: string(t.Status), MessageCount: t.Messages,
		InputTokens: t.InputTokens, OutputTokens: t.OutputTokens, TotalTokens: t.InputTokens + t.OutputTokens,
		TotalCost: wire.USD(t.Cost), AppID: maybe(t.App), Metadata: rawObject(t.Metadata), ComputerID: string(t.Computer),
		RunID: maybe(t.Run), LastEventID: t.LastSeq, CreatedAt: wire.At(t.CreatedAt), UpdatedAt: wire.At(t.UpdatedAt),
	}
}

// maybe is null for what is empty.
func maybe[T ~string](v T) *string {
	if v == "" {
		return nil
	}
	s := string(v)
	return &s
}

// rawObject is a stored JSON object, or an empty one.
func rawObject(b []byte) json.RawMessage {
	if len(b) == 0 {
		return json.RawMessage("{}")
	}
	return b
}
