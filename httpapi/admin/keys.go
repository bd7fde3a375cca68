package admin

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// scopes are all that a key can have.
var scopes = []string{"*", "threads:read", "threads:write", "agents:read", "agents:write", "environments:read",
	"environments:write", "schedules:read", "schedules:write", "billing:read", "billing:write", "execute", "audit:read"}

// maxKeyLife bounds how long an expiring key can live.
const maxKeyLife = 10 * 365 * 24 * time.Hour

// listKeys serves GET /v1/admin/accounts/:account/keys.
func (a *API) listKeys(c *gin.Context) error {
	page, err := door.Page(c)
	if err != nil {
		return err
	}
	list, err := look(a, c, func(v *state.View, account state.Account) (state.List[state.Key], error) {
		return v.Keys(account.ID, page)
	})
	if err == nil {
		a.ok(c, listed(list, page, a.keyOf))
	}
	return err
}

// createKey serves POST /v1/admin/accounts/:account/keys. The reply is the
// only place where the key's text is.
func (a *API) createKey(c *gin.Context) error {
	id, err := accountID(c)
	if err != nil {
		return err
	}
	var req wire.CreateKey
	if err := a.Read(c, &req); err != nil {
		return err
	}
	key, err := a.newKey(id, req)
	if err != nil {
		return err
	}
	text, made, err := a.Accounts.CreateKey(c.Request.Context(), key)
	if err != nil {
		return err
	}
	c.Header("Cache-Control", "no-store")
	c.JSON(http.StatusCreated, wire.NewKey{Key: a.keyOf(made), Text: text})
	return nil
}

func (a *API) newKey(account state.AccountID, req wire.CreateKey) (actors.NewKey, error) {
	key := actors.NewKey{Account: account, User: state.UserID(req.UserID), Name: req.Name, Scopes: req.Scopes,
		Dialect: req.Dialect, NoLimit: req.NoLimit, Admin: req.Admin}
	if err := named("name", req.Name, false); err != nil {
		return key, err
	}
	if req.UserID != "" && !door.LooksLikeID(req.UserID) {
		return key, invalid("userId", "userId is not an id")
	}
	if len(key.Scopes) == 0 {
		key.Scopes = []string{"*"}
	}
	for _, scope := range key.Scopes {
		if !slices.Contains(scopes, scope) {
			return key, invalid("scopes", "There is no scope %q; there are %s", scope, strings.Join(scopes, ", "))
		}
	}
	switch req.Dialect {
	case "", "tb", "ak", "rbk", "e2b":
	default:
		return key, invalid("dialect", "dialect must be tb, ak, rbk or e2b")
	}
	if req.ExpiresIn < 0 || req.ExpiresIn > int64(maxKeyLife/time.Second) {
		return key, invalid("expiresIn", "expiresIn must be 0 (never) to %d seconds", int64(maxKeyLife/time.Second))
	}
	if req.ExpiresIn > 0 {
		key.Expires = a.Now().Add(time.Duration(req.ExpiresIn) * time.Second)
	}
	return key, nil
}

// revokeKey serves DELETE /v1/admin/accounts/:account/keys/:key.
func (a *API) revokeKey(c *gin.Context) error {
	id, err := accountID(c)
	if err != nil {
		return err
	}
	key, err := door.ID(c, "key", "Key")
	if err != nil {
		return err
	}
	if err := a.Accounts.RevokeKey(c.Request.Context(), id, state.KeyID(key)); err != nil {
		return err
	}
	a.ok(c, wire.Done{Success: true, Deleted: true})
	return nil
}

func (a *API) keyOf(k state.Key) wire.Key {
	w := wire.Key{ID: string(k.ID), AccountID: string(k.Account), UserID: string(k.User), Name: k.Name, Prefix: k.Prefix,
		Scopes: k.Scopes, NoLimit: k.NoLimit, Admin: k.Admin, IsActive: k.Valid(a.Now()),
		ExpiresAt: wire.Maybe(k.ExpiresAt), RevokedAt: wire.Maybe(k.RevokedAt), CreatedAt: wire.At(k.CreatedAt)}
	if w.Scopes == nil {
		w.Scopes = []string{}
	}
	return w
}
