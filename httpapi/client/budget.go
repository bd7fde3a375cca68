package client

import (
	"context"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Budget is an account's money.
type Budget struct {
	c       *Client
	account string
}

// Budget is the money of the caller's own account.
func (c *Client) Budget() Budget { return Budget{c: c} }

// BudgetOf is the money of an account; its calls need an admin key.
func (c *Client) BudgetOf(account string) Budget { return Budget{c, account} }

func (b Budget) path(more ...string) string {
	if b.account == "" {
		return path(append([]string{"billing", "budget"}, more...)...)
	}
	return path(append([]string{"admin", "accounts", b.account, "budget"}, more...)...)
}

// Get returns what there is, was spent and may be spent.
func (b Budget) Get(ctx context.Context) (wire.Budget, error) {
	return get[wire.Budget](ctx, b.c, b.path())
}

// Set changes limits.
func (b Budget) Set(ctx context.Context, w wire.PatchBudget) (wire.Budget, error) {
	return patch[wire.Budget](ctx, b.c, b.path(), w)
}

// Add adds money.
func (b Budget) Add(ctx context.Context, amount wire.USD, description string) (wire.IncreasedBudget, error) {
	return post[wire.IncreasedBudget](ctx, b.c, b.path("increase"), wire.IncreaseBudget{Amount: &amount, Description: description})
}
