package client

import (
	"context"
	"net/http"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Registries are those of images that the account logs in to.
type Registries struct{ c *Client }

// Registries are the account's.
func (c *Client) Registries() Registries { return Registries{c} }

// List lists them, without passwords.
func (r Registries) List(ctx context.Context) ([]wire.Registry, error) {
	all, err := get[wire.Registries](ctx, r.c, path("registries"))
	return all.Registries, err
}

// Set has the account log in to a registry from now on.
func (r Registries) Set(ctx context.Context, host string, login wire.SetRegistry) (wire.Registry, error) {
	var one wire.OneRegistry
	err := r.c.call(ctx, request{method: http.MethodPut, path: path("registries", host), body: login}, &one)
	return one.Registry, err
}

// Remove forgets how the account logs in to a registry.
func (r Registries) Remove(ctx context.Context, host string) error {
	return remove(ctx, r.c, path("registries", host))
}
