package admin

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/computeragents"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// listAccounts serves GET /v1/admin/accounts.
func (a *API) listAccounts(c *gin.Context) error {
	page, err := door.Page(c)
	if err != nil {
		return err
	}
	var list state.List[state.Account]
	err = a.LookAll(c, func(v *state.View) (err error) {
		list, err = v.Accounts(page)
		return err
	})
	if err == nil {
		a.ok(c, listed(list, page, accountOf))
	}
	return err
}

// createAccount serves POST /v1/admin/accounts.
func (a *API) createAccount(c *gin.Context) error {
	var req wire.CreateAccount
	if err := a.Read(c, &req); err != nil {
		return err
	}
	if err := named("name", req.Name, true); err != nil {
		return err
	}
	var balance *state.MicroUSD
	if req.Balance != nil {
		if *req.Balance < 0 {
			return invalid("balance", "balance must not be negative")
		}
		micro := state.MicroUSD(*req.Balance)
		balance = &micro
	}
	account, err := a.Accounts.Create(c.Request.Context(), req.Name, balance)
	if err == nil {
		c.JSON(http.StatusCreated, wire.OneAccount{Account: accountOf(account)})
	}
	return err
}

// getAccount serves GET /v1/admin/accounts/:account.
func (a *API) getAccount(c *gin.Context) error {
	account, err := look(a, c, func(_ *state.View, account state.Account) (state.Account, error) { return account, nil })
	if err == nil {
		a.ok(c, wire.OneAccount{Account: accountOf(account)})
	}
	return err
}

func accountOf(account state.Account) wire.Account {
	return wire.Account{ID: string(account.ID), Name: account.Name, Budget: computeragents.BudgetOf(account, ""),
		CreatedAt: wire.At(account.CreatedAt)}
}

// getBudget serves GET /v1/admin/accounts/:account/budget.
func (a *API) getBudget(c *gin.Context) error {
	account, err := look(a, c, func(_ *state.View, account state.Account) (state.Account, error) { return account, nil })
	if err == nil {
		a.ok(c, computeragents.BudgetOf(account, ""))
	}
	return err
}

// patchBudget serves PATCH /v1/admin/accounts/:account/budget.
func (a *API) patchBudget(c *gin.Context) error {
	id, err := accountID(c)
	if err != nil {
		return err
	}
	var req wire.PatchBudget
	if err := a.Read(c, &req); err != nil {
		return err
	}
	account, err := a.Money.SetLimits(c.Request.Context(), computeragents.Limits(id, req))
	if err == nil {
		a.ok(c, computeragents.BudgetOf(account, ""))
	}
	return err
}

// increaseBudget serves POST /v1/admin/accounts/:account/budget/increase.
func (a *API) increaseBudget(c *gin.Context) error {
	id, err := accountID(c)
	if err != nil {
		return err
	}
	var req wire.IncreaseBudget
	if err := a.Read(c, &req); err != nil {
		return err
	}
	caller, err := a.Caller(c)
	if err != nil {
		return err
	}
	amount, err := computeragents.Amount(req)
	if err != nil {
		return err
	}
	before, after, err := a.Money.AddCredit(c.Request.Context(), id, amount, req.Description, caller.Idempotency)
	if err == nil {
		a.ok(c, computeragents.Increased(before, after, amount, ""))
	}
	return err
}
