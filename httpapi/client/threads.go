package client

import (
	"context"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Threads are conversations.
type Threads struct{ c *Client }

// Threads are the account's conversations.
func (c *Client) Threads() Threads { return Threads{c} }

// ThreadFilter narrows a list; empty fields match all.
type ThreadFilter struct {
	Environment, Agent, Status string
}

// List lists threads, newest first.
func (t Threads) List(ctx context.Context, f ThreadFilter, p Page) (wire.List[wire.Thread], error) {
	return get[wire.List[wire.Thread]](ctx, t.c, query(path("threads"), "environmentId", f.Environment, "agentId", f.Agent,
		"status", f.Status, "limit", p.limit(), "offset", p.offset()))
}

// Get returns a thread with its messages.
func (t Threads) Get(ctx context.Context, id string) (wire.Thread, error) {
	one, err := get[wire.OneThread](ctx, t.c, path("threads", id))
	return one.Thread, err
}

// Create makes an empty thread.
func (t Threads) Create(ctx context.Context, w wire.CreateThread) (wire.Thread, error) {
	one, err := post[wire.OneThread](ctx, t.c, path("threads"), w)
	return one.Thread, err
}

// Patch changes a thread.
func (t Threads) Patch(ctx context.Context, id string, w wire.PatchThread) (wire.Thread, error) {
	one, err := patch[wire.OneThread](ctx, t.c, path("threads", id), w)
	return one.Thread, err
}

// Delete hides a thread and stops its run.
func (t Threads) Delete(ctx context.Context, id string) error {
	return remove(ctx, t.c, path("threads", id))
}

// Messages lists a thread's messages, oldest first.
func (t Threads) Messages(ctx context.Context, id string, p Page) (wire.List[wire.Message], error) {
	return get[wire.List[wire.Message]](ctx, t.c, query(path("threads", id, "messages"), "limit", p.limit(), "offset", p.offset()))
}

// Cancel asks a thread's run to stop.
func (t Threads) Cancel(ctx context.Context, id string) error {
	_, err := postOnce[wire.CancelledThread](ctx, t.c, path("threads", id, "cancel"), nil)
	return err
}

// Resume goes on with a run that was cancelled or failed.
func (t Threads) Resume(ctx context.Context, id string) (wire.Thread, error) {
	one, err := post[wire.OneThread](ctx, t.c, path("threads", id, "resume"), nil)
	return one.Thread, err
}

// Copy makes a thread with another's messages; title may be "".
func (t Threads) Copy(ctx context.Context, id, title string) (wire.Thread, error) {
	one, err := post[wire.CopiedThread](ctx, t.c, path("threads", id, "copy"), wire.CopyThread{Title: title})
	return one.Thread, err
}

// Status is what a thread is doing, or how its newest run went.
func (t Threads) Status(ctx context.Context, id string) (wire.ThreadStatus, error) {
	return get[wire.ThreadStatus](ctx, t.c, path("threads", id, "status"))
}

// Logs is what was said and done in a thread, oldest first; a page's Limit is
// 1 to 1000.
func (t Threads) Logs(ctx context.Context, id string, p Page) (wire.ThreadLogs, error) {
	return get[wire.ThreadLogs](ctx, t.c, query(path("threads", id, "logs"), "limit", p.limit(), "offset", p.offset()))
}

// Steps is the same as steps; a page's Limit is 1 to 500.
func (t Threads) Steps(ctx context.Context, id string, p Page) (wire.List[wire.ThreadStep], error) {
	return get[wire.List[wire.ThreadStep]](ctx, t.c, query(path("threads", id, "steps"), "limit", p.limit(), "offset", p.offset()))
}

// Diffs is what a thread's runs changed in the workspace, or one of them. The
// page counts runs.
func (t Threads) Diffs(ctx context.Context, id, run string, p Page) (wire.ThreadDiffs, error) {
	return get[wire.ThreadDiffs](ctx, t.c, query(path("threads", id, "diffs"), "executionId", run, "limit", p.limit(), "offset", p.offset()))
}

// StepDiff is what one step changed.
func (t Threads) StepDiff(ctx context.Context, id, step string) (wire.StepDiff, error) {
	return get[wire.StepDiff](ctx, t.c, path("threads", id, "steps", step, "diff"))
}

// Search finds threads by what was said in them, the best first.
func (t Threads) Search(ctx context.Context, q wire.SearchThreads) (wire.FoundThreads, error) {
	return post[wire.FoundThreads](ctx, t.c, path("threads", "search"), q)
}
