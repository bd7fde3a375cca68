package admin

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// listUsers serves GET /v1/admin/accounts/:account/users.
func (a *API) listUsers(c *gin.Context) error {
	page, err := door.Page(c)
	if err != nil {
		return err
	}
	list, err := look(a, c, func(v *state.View, account state.Account) (state.List[state.User], error) {
		return v.Users(account.ID, page)
	})
	if err == nil {
		a.ok(c, listed(list, page, userOf))
	}
	return err
}

// addUser serves POST /v1/admin/accounts/:account/users.
func (a *API) addUser(c *gin.Context) error {
	id, err := accountID(c)
	if err != nil {
		return err
	}
	var req wire.AddUser
	if err := a.Read(c, &req); err != nil {
		return err
	}
	if err := named("name", req.Name, true); err != nil {
		return err
	}
	switch req.Role {
	case "":
		req.Role = "member"
	case "owner", "admin", "member":
	default:
		return invalid("role", "role must be owner, admin or member")
	}
	user, err := a.Accounts.AddUser(c.Request.Context(), id, req.Name, req.Role)
	if err == nil {
		c.JSON(http.StatusCreated, wire.OneUser{User: userOf(user)})
	}
	return err
}

func userOf(u state.User) wire.User {
	return wire.User{ID: string(u.ID), AccountID: string(u.Account), Name: u.Name, Role: u.Role, CreatedAt: wire.At(u.CreatedAt)}
}
