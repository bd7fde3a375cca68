package computeragents

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	readBilling  = "billing:read"
	writeBilling = "billing:write"
)

func (a *API) budgetRoutes() []door.Route {
	read, write := []string{readBilling, writeBilling}, []string{writeBilling}
	return []door.Route{
		{Method: "GET", Path: "/billing/budget", Scopes: read, Serve: a.Handle(a.getBudget)},
		{Method: "PATCH", Path: "/billing/budget", Scopes: read, Serve: a.Handle(a.patchBudget)},
		{Method: "POST", Path: "/billing/budget/increase", Scopes: write, Serve: a.Handle(a.increaseBudget)},
		{Method: "POST", Path: "/budget/increase", Scopes: write, Serve: a.Handle(a.increaseBudget)},
	}
}

func (a *API) account(c *gin.Context) (state.Account, error) {
	return get(a, c, func(v *state.View, id state.AccountID) (state.Account, error) { return v.Account(id, a.Now()) })
}

// getBudget serves GET /billing/budget.
func (a *API) getBudget(c *gin.Context) error {
	account, err := a.account(c)
	if err == nil {
		a.ok(c, BudgetOf(account, door.CallerOf(c).User))
	}
	return err
}

// patchBudget serves PATCH /billing/budget. Whoever may see the budget may
// tighten it; loosening it is spending.
func (a *API) patchBudget(c *gin.Context) error {
	var req wire.PatchBudget
	if err := a.Read(c, &req); err != nil {
		return err
	}
	account, err := a.account(c)
	if err != nil {
		return err
	}
	if raises(account.DailyLimit, req.DailyLimit) || raises(account.MonthlyLimit, req.MonthlyLimit) {
		if err := door.Require(c, writeBilling); err != nil {
			return err
		}
	}
	account, err = a.Money.SetLimits(c.Request.Context(), Limits(account.ID, req))
	if err == nil {
		a.ok(c, BudgetOf(account, door.CallerOf(c).User))
	}
	return err
}

// Limits is a budget's change as a command.
func Limits(account state.AccountID, req wire.PatchBudget) state.SetLimits {
	cmd := state.SetLimits{Account: account, SetDaily: req.DailyLimit.Set, SetMonthly: req.MonthlyLimit.Set}
	if req.DailyLimit.Given() {
		daily := state.MicroUSD(req.DailyLimit.Value)
		cmd.Daily = &daily
	}
	if req.MonthlyLimit.Given() {
		monthly := state.MicroUSD(req.MonthlyLimit.Value)
		cmd.Monthly = &monthly
	}
	return cmd
}

// raises reports whether a change lets more be spent than before.
func raises(have *state.MicroUSD, change wire.Optional[wire.USD]) bool {
	switch {
	case !change.Set || have == nil:
		return false
	case change.Null:
		return true
	}
	return state.MicroUSD(change.Value) > *have
}

// increaseBudget serves POST /budget/increase and /billing/budget/increase.
func (a *API) increaseBudget(c *gin.Context) error {
	var req wire.IncreaseBudget
	if err := a.Read(c, &req); err != nil {
		return err
	}
	caller, err := a.Caller(c)
	if err != nil {
		return err
	}
	amount, err := Amount(req)
	if err != nil {
		return err
	}
	before, after, err := a.Money.AddCredit(c.Request.Context(), caller.Account, amount, req.Description, caller.Idempotency)
	if err == nil {
		c.JSON(http.StatusOK, Increased(before, after, amount, caller.User))
	}
	return err
}

// Amount is what an increase adds.
func Amount(req wire.IncreaseBudget) (state.MicroUSD, error) {
	amount := req.Amount
	if amount == nil {
		amount = req.AmountUSD
	}
	switch {
	case amount == nil:
		return 0, invalid("amount", "Missing required field: amount")
	case *amount <= 0:
		return 0, invalid("amount", "amount must be more than 0")
	}
	return state.MicroUSD(*amount), long("description", req.Description)
}

// Increased is the reply to an increase.
func Increased(before, after state.Account, amount state.MicroUSD, user state.UserID) wire.IncreasedBudget {
	return wire.IncreasedBudget{
		Success: true, UserID: string(user), AddedAmount: wire.USD(amount),
		NewBalance: wire.USD(after.Balance), TotalSpent: wire.USD(after.TotalSpent),
		Budget: wire.BudgetChange{PreviousBalance: wire.USD(before.Balance), AddedAmount: wire.USD(amount), NewBalance: wire.USD(after.Balance)},
	}
}

// BudgetOf is an account's money on the wire.
func BudgetOf(a state.Account, user state.UserID) wire.Budget {
	return wire.Budget{
		UserID: string(user), AccountID: string(a.ID), Balance: wire.USD(a.Balance), Reserved: wire.USD(a.Reserved),
		TotalSpent: wire.USD(a.TotalSpent), DailyLimit: limit(a.DailyLimit), MonthlyLimit: limit(a.MonthlyLimit),
		DailySpent: wire.USD(a.DaySpent), MonthlySpent: wire.USD(a.MonthSpent), Unbilled: a.Unbilled,
		CreatedAt: wire.At(a.CreatedAt), UpdatedAt: wire.At(a.UpdatedAt),
	}
}
