package client

import (
	"context"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Agents are stored definitions of who runs messages.
type Agents struct{ c *Client }

// Agents are the account's agents.
func (c *Client) Agents() Agents { return Agents{c} }

// List lists agents, newest first.
func (a Agents) List(ctx context.Context, p Page) (wire.List[wire.Agent], error) {
	return get[wire.List[wire.Agent]](ctx, a.c, query(path("agents"), "limit", p.limit(), "offset", p.offset()))
}

// Get returns an agent.
func (a Agents) Get(ctx context.Context, id string) (wire.Agent, error) {
	one, err := get[wire.OneAgent](ctx, a.c, path("agents", id))
	return one.Agent, err
}

// Create stores an agent.
func (a Agents) Create(ctx context.Context, w wire.WriteAgent) (wire.Agent, error) {
	one, err := post[wire.OneAgent](ctx, a.c, path("agents"), w)
	return one.Agent, err
}

// Update changes an agent.
func (a Agents) Update(ctx context.Context, id string, w wire.WriteAgent) (wire.Agent, error) {
	one, err := patch[wire.OneAgent](ctx, a.c, path("agents", id), w)
	return one.Agent, err
}

// Delete removes an agent.
func (a Agents) Delete(ctx context.Context, id string) error {
	return remove(ctx, a.c, path("agents", id))
}
