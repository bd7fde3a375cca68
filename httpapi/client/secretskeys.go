package client

import (
	"context"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Secrets is the key that seals what users entrust to the cluster. Its calls
// need an admin key.
type Secrets struct{ c *Client }

// Secrets is the cluster's.
func (c *Client) Secrets() Secrets { return Secrets{c} }

// Key tells which key seals, and how far its rotation is.
func (s Secrets) Key(ctx context.Context) (wire.SecretsKey, error) {
	return get[wire.SecretsKey](ctx, s.c, path("admin", "secrets-key"))
}

// Rotate replaces the key. It is refused while that goes on.
func (s Secrets) Rotate(ctx context.Context) (wire.SecretsKey, error) {
	return postOnce[wire.SecretsKey](ctx, s.c, path("admin", "secrets-key", "rotate"), nil)
}
