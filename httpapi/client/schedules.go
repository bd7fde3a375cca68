package client

import (
	"context"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Schedules say tasks to agents at their times.
type Schedules struct{ c *Client }

// Schedules are the account's schedules.
func (c *Client) Schedules() Schedules { return Schedules{c} }

// List lists schedules, newest first.
func (s Schedules) List(ctx context.Context, p Page) (wire.List[wire.Schedule], error) {
	return get[wire.List[wire.Schedule]](ctx, s.c, query(path("schedules"), "limit", p.limit(), "offset", p.offset()))
}

// Get returns a schedule.
func (s Schedules) Get(ctx context.Context, id string) (wire.Schedule, error) {
	one, err := get[wire.OneSchedule](ctx, s.c, path("schedules", id))
	return one.Schedule, err
}

// Create stores a schedule.
func (s Schedules) Create(ctx context.Context, w wire.WriteSchedule) (wire.Schedule, error) {
	one, err := post[wire.OneSchedule](ctx, s.c, path("schedules"), w)
	return one.Schedule, err
}

// Update changes a schedule; a change of its times begins them anew.
func (s Schedules) Update(ctx context.Context, id string, w wire.WriteSchedule) (wire.Schedule, error) {
	one, err := patch[wire.OneSchedule](ctx, s.c, path("schedules", id), w)
	return one.Schedule, err
}

// Enable begins a schedule's times again, from now.
func (s Schedules) Enable(ctx context.Context, id string) (wire.Schedule, error) {
	one, err := patch[wire.OneSchedule](ctx, s.c, path("schedules", id, "enable"), nil)
	return one.Schedule, err
}

// Disable lets a schedule's times pass.
func (s Schedules) Disable(ctx context.Context, id string) (wire.Schedule, error) {
	one, err := patch[wire.OneSchedule](ctx, s.c, path("schedules", id, "disable"), nil)
	return one.Schedule, err
}

// Trigger runs a schedule's task now.
func (s Schedules) Trigger(ctx context.Context, id string) (wire.TriggeredSchedule, error) {
	return post[wire.TriggeredSchedule](ctx, s.c, path("schedules", id, "trigger"), nil)
}

// Delete removes a schedule.
func (s Schedules) Delete(ctx context.Context, id string) error {
	return remove(ctx, s.c, path("schedules", id))
}
