package client

import (
	"context"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Environments are recipes, each with a computer.
type Environments struct{ c *Client }

// Environments are the account's environments.
func (c *Client) Environments() Environments { return Environments{c} }

// List lists active environments, the default first.
func (e Environments) List(ctx context.Context, p Page) (wire.List[wire.Environment], error) {
	return get[wire.List[wire.Environment]](ctx, e.c, query(path("environments"), "limit", p.limit(), "offset", p.offset()))
}

// Get returns an environment.
func (e Environments) Get(ctx context.Context, id string) (wire.Environment, error) {
	one, err := get[wire.OneEnvironment](ctx, e.c, path("environments", id))
	return one.Environment, err
}

// Default returns the default environment, making it if there is none.
func (e Environments) Default(ctx context.Context) (wire.Environment, error) {
	return get[wire.Environment](ctx, e.c, path("environments", "default"))
}

// Create stores an environment.
func (e Environments) Create(ctx context.Context, w wire.WriteEnvironment) (wire.Environment, error) {
	one, err := post[wire.OneEnvironment](ctx, e.c, path("environments"), w)
	return one.Environment, err
}

// Update changes an environment.
func (e Environments) Update(ctx context.Context, id string, w wire.WriteEnvironment) (wire.Environment, error) {
	one, err := patch[wire.OneEnvironment](ctx, e.c, path("environments", id), w)
	return one.Environment, err
}

// SetDefault makes an environment the default one.
func (e Environments) SetDefault(ctx context.Context, id string) (wire.Environment, error) {
	one, err := post[wire.OneEnvironment](ctx, e.c, path("environments", id, "set-default"), nil)
	return one.Environment, err
}

// Start starts the environment's computer.
func (e Environments) Start(ctx context.Context, id string) (wire.StartedEnvironment, error) {
	return post[wire.StartedEnvironment](ctx, e.c, path("environments", id, "start"), nil)
}

// Stop stops the environment's computer.
func (e Environments) Stop(ctx context.Context, id string) (wire.StoppedEnvironment, error) {
	return post[wire.StoppedEnvironment](ctx, e.c, path("environments", id, "stop"), nil)
}

// Status says what the environment's computer does.
func (e Environments) Status(ctx context.Context, id string) (wire.EnvironmentStatus, error) {
	return get[wire.EnvironmentStatus](ctx, e.c, path("environments", id, "status"))
}

// Delete deactivates an environment; with hard it is gone for good.
func (e Environments) Delete(ctx context.Context, id string, hard bool) error {
	flag := ""
	if hard {
		flag = "true"
	}
	return remove(ctx, e.c, query(path("environments", id), "hard", flag))
}
