package client

import (
	"context"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Status says how the cluster is, as one node sees it. It needs an admin key
// and no leader.
func (c *Client) Status(ctx context.Context) (wire.ClusterStatus, error) {
	return get[wire.ClusterStatus](ctx, c, path("admin", "status"))
}

// Token makes a token that admits one node. It needs an admin key.
func (c *Client) Token(ctx context.Context) (wire.Token, error) {
	return postOnce[wire.Token](ctx, c, path("admin", "tokens"), nil)
}

// RemoveNode takes a node, by name or id, out of the cluster. It is refused
// while the node owns computers. It needs an admin key.
func (c *Client) RemoveNode(ctx context.Context, node string) error {
	return remove(ctx, c, path("admin", "nodes", node))
}

// AbandonNode is RemoveNode for a node that is away for ever: the computers that
// it owns lose what it alone had of them. It needs an admin key.
func (c *Client) AbandonNode(ctx context.Context, node string) error {
	return remove(ctx, c, path("admin", "nodes", node)+"?force=true")
}

// DrainNode has a node, by name or id, give away what it has and take nothing
// new. It does not wait. It needs an admin key.
func (c *Client) DrainNode(ctx context.Context, node string) (wire.Drain, error) {
	return post[wire.Drain](ctx, c, path("admin", "nodes", node, "drain"), nil)
}

// UndrainNode has a node take new work again. It needs an admin key.
func (c *Client) UndrainNode(ctx context.Context, node string) (wire.Drain, error) {
	return post[wire.Drain](ctx, c, path("admin", "nodes", node, "undrain"), nil)
}

// Drain says what is left on a node that drains. It needs an admin key.
func (c *Client) Drain(ctx context.Context, node string) (wire.Drain, error) {
	return get[wire.Drain](ctx, c, path("admin", "nodes", node, "drain"))
}

// Rebalance begins moves that even out what the nodes have, or only lists them.
// It needs an admin key.
func (c *Client) Rebalance(ctx context.Context, ask wire.Rebalance) (wire.Rebalanced, error) {
	return postOnce[wire.Rebalanced](ctx, c, path("admin", "rebalance"), ask)
}

// Health says how the node that answers is. It needs no key.
func (c *Client) Health(ctx context.Context) (wire.Health, error) {
	return get[wire.Health](ctx, c, path("health"))
}
