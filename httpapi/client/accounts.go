package client

import (
	"context"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Self names the caller's own account in admin calls.
const Self = "self"

// Accounts are tenants. All their calls need an admin key.
type Accounts struct{ c *Client }

// Accounts are the cluster's tenants.
func (c *Client) Accounts() Accounts { return Accounts{c} }

// List lists accounts, newest first.
func (a Accounts) List(ctx context.Context, p Page) (wire.List[wire.Account], error) {
	return get[wire.List[wire.Account]](ctx, a.c, query(path("admin", "accounts"), "limit", p.limit(), "offset", p.offset()))
}

// Get returns an account.
func (a Accounts) Get(ctx context.Context, id string) (wire.Account, error) {
	one, err := get[wire.OneAccount](ctx, a.c, path("admin", "accounts", id))
	return one.Account, err
}

// Create makes an account with its owner; a nil balance is the configured one.
func (a Accounts) Create(ctx context.Context, name string, balance *wire.USD) (wire.Account, error) {
	one, err := postOnce[wire.OneAccount](ctx, a.c, path("admin", "accounts"), wire.CreateAccount{Name: name, Balance: balance})
	return one.Account, err
}

// Users are people and programs of accounts.
type Users struct{ c *Client }

// Users are the users of accounts; their calls need an admin key.
func (c *Client) Users() Users { return Users{c} }

// List lists an account's users.
func (u Users) List(ctx context.Context, account string, p Page) (wire.List[wire.User], error) {
	return get[wire.List[wire.User]](ctx, u.c, query(path("admin", "accounts", account, "users"), "limit", p.limit(), "offset", p.offset()))
}

// Add adds a user; role is owner, admin or member ("").
func (u Users) Add(ctx context.Context, account, name, role string) (wire.User, error) {
	one, err := postOnce[wire.OneUser](ctx, u.c, path("admin", "accounts", account, "users"), wire.AddUser{Name: name, Role: role})
	return one.User, err
}

// Keys let callers in.
type Keys struct{ c *Client }

// Keys are the keys of accounts; their calls need an admin key.
func (c *Client) Keys() Keys { return Keys{c} }

// List lists an account's keys, without their text.
func (k Keys) List(ctx context.Context, account string, p Page) (wire.List[wire.Key], error) {
	return get[wire.List[wire.Key]](ctx, k.c, query(path("admin", "accounts", account, "keys"), "limit", p.limit(), "offset", p.offset()))
}

// Create makes a key. Its text is in the reply and nowhere else.
func (k Keys) Create(ctx context.Context, account string, w wire.CreateKey) (wire.NewKey, error) {
	return postOnce[wire.NewKey](ctx, k.c, path("admin", "accounts", account, "keys"), w)
}

// Revoke ends a key at once.
func (k Keys) Revoke(ctx context.Context, account, id string) error {
	return remove(ctx, k.c, path("admin", "accounts", account, "keys", id))
}
