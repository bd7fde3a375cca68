package client

import (
	"context"
	"encoding/json"
	"io"
	"net/http"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Tasks are work given to computers.
type Tasks struct{ c *Client }

// Tasks are the account's tasks, as far as the key's user sees them.
func (c *Client) Tasks() Tasks { return Tasks{c} }

// List lists tasks, newest first.
func (t Tasks) List(ctx context.Context, p Page) (wire.PageOf[wire.Task], error) {
	return get[wire.PageOf[wire.Task]](ctx, t.c, query(path("tasks"), "limit", p.limit(), "offset", p.offset()))
}

// Get returns a task with its prompts.
func (t Tasks) Get(ctx context.Context, id string) (wire.TaskInFull, error) {
	return get[wire.TaskInFull](ctx, t.c, path("tasks", id))
}

// Create makes a task and begins its first prompt.
func (t Tasks) Create(ctx context.Context, w wire.CreateTask) (wire.CreatedTask, error) {
	return post[wire.CreatedTask](ctx, t.c, path("tasks"), w)
}

// Prompt asks more of a task; while it is busy the prompt waits.
func (t Tasks) Prompt(ctx context.Context, id string, w wire.WritePrompt) (wire.CreatedPrompt, error) {
	return post[wire.CreatedPrompt](ctx, t.c, path("tasks", id, "prompts"), w)
}

// Cancel ends what a task works on and what waits.
func (t Tasks) Cancel(ctx context.Context, id string) error {
	_, err := post[map[string]any](ctx, t.c, path("tasks", id, "cancel"), nil)
	return err
}

// Show says who may read a task: private, shared or public.
func (t Tasks) Show(ctx context.Context, id, visibility string) (wire.TaskVisibility, error) {
	return patch[wire.TaskVisibility](ctx, t.c, path("tasks", id, "visibility"), wire.TaskVisibility{Visibility: visibility})
}

// Delete removes a task, and a computer that was made for it alone.
func (t Tasks) Delete(ctx context.Context, id string) error {
	return remove(ctx, t.c, path("tasks", id))
}

// Upload sends a file that a prompt is then given. It is sent once.
func (t Tasks) Upload(ctx context.Context, filename string, content io.Reader) (wire.PromptFile, error) {
	place, err := post[wire.Upload](ctx, t.c, path("files"), map[string]string{"filename": filename})
	if err != nil {
		return wire.PromptFile{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, place.UploadURL, content)
	if err != nil {
		return wire.PromptFile{}, err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	resp, err := t.c.HTTP.Do(req)
	if err != nil {
		return wire.PromptFile{}, unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return wire.PromptFile{}, refusal(resp)
	}
	return wire.PromptFile{ID: place.ID, Filename: place.Filename}, nil
}

// Watch hands over what the newest prompt of a task does, from its beginning,
// each event once, and says how it ended. ErrStop leaves it to go on by itself.
func (t Tasks) Watch(ctx context.Context, id string, each func(wire.TaskEvent) error) (wire.TaskDone, error) {
	w := &taskWatch{each: each}
	open := func(ctx context.Context, _ uint64) (*http.Response, error) {
		return t.c.send(ctx, request{method: http.MethodGet, path: path("tasks", id, "events"), accept: "text/event-stream"}, "")
	}
	err := ended(t.c.follow(ctx, open, w))
	return w.done, err
}

// taskWatch reads a task's stream, which begins anew each time it is opened.
type taskWatch struct {
	last uint64
	each func(wire.TaskEvent) error
	done wire.TaskDone
}

func (w *taskWatch) start()       {}
func (w *taskWatch) seen() uint64 { return w.last }

func (w *taskWatch) dispatch(_, data string) error {
	if data == "" {
		return nil
	}
	var line struct {
		wire.TaskEvent
		wire.TaskDone
	}
	if err := json.Unmarshal([]byte(data), &line); err != nil {
		return fault.New(fault.Internal, "an event cannot be read: %w", err)
	}
	switch {
	case line.EventType == "":
		w.done = line.TaskDone
		return ErrStop
	case line.Seq <= w.last:
		return nil // seen before the stream broke off
	}
	w.last = line.Seq
	return w.each(line.TaskEvent)
}

// Webhooks are addresses that are told what tasks do.
type Webhooks struct{ c *Client }

// Webhooks are the account's webhooks.
func (c *Client) Webhooks() Webhooks { return Webhooks{c} }

// List lists webhooks, newest first.
func (w Webhooks) List(ctx context.Context) (wire.Webhooks, error) {
	return get[wire.Webhooks](ctx, w.c, path("webhooks"))
}

// Get returns a webhook.
func (w Webhooks) Get(ctx context.Context, id string) (wire.Webhook, error) {
	return get[wire.Webhook](ctx, w.c, path("webhooks", id))
}

// Create makes a webhook; the same address again finds the one that is there.
func (w Webhooks) Create(ctx context.Context, write wire.WriteWebhook) (wire.Webhook, error) {
	return post[wire.Webhook](ctx, w.c, path("webhooks"), write)
}

// Delete removes a webhook.
func (w Webhooks) Delete(ctx context.Context, id string) error {
	return remove(ctx, w.c, path("webhooks", id))
}
