package computeragents

import (
	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const preferencesPath = "/billing/preferences"

func (a *API) preferenceRoutes() []door.Route {
	read := []string{readBilling, writeBilling}
	return []door.Route{
		{Method: "GET", Path: preferencesPath, Scopes: read, Serve: a.Handle(a.getPreferences)},
		{Method: "GET", Path: "/project", Scopes: []string{"environments:read", "threads:read"}, Serve: a.Handle(a.getProject)},
	}
}

// bareRoutes are those whose path under /v1 is another dialect's.
func (a *API) bareRoutes() []door.Route {
	return []door.Route{{Method: "PATCH", Path: preferencesPath, Scopes: []string{readBilling, writeBilling}, Serve: a.PatchPreferences()}}
}

func preferencesOf(account state.Account, user state.UserID) wire.Preferences {
	p := wire.Preferences{UserID: string(user), Billing: wire.BillingPreferences{UsageBillingEnabled: !account.Unbilled,
		MonthlyResourceSpendLimit: limit(account.MonthlyLimit), PauseOnLimit: true}, Usage: wire.MonthlyUsage{Spend: wire.USD(account.MonthSpent)}}
	if !account.Unbilled {
		p.Usage.Metered = p.Usage.Spend
	}
	return p
}

// getPreferences serves GET /billing/preferences.
func (a *API) getPreferences(c *gin.Context) error {
	account, err := a.account(c)
	if err == nil {
		a.ok(c, preferencesOf(account, door.CallerOf(c).User))
	}
	return err
}

// PatchPreferences serves PATCH /billing/preferences to callers that were let
// in, also by the dialect that has the same path under /v1.
func (a *API) PatchPreferences() gin.HandlerFunc { return a.Handle(a.patchPreferences) }

// patchPreferences sets the monthly limit: whoever may see it may tighten it,
// loosening it is spending.
func (a *API) patchPreferences(c *gin.Context) error {
	var req wire.PatchPreferences
	if err := a.Read(c, &req); err != nil {
		return err
	}
	account, err := a.account(c)
	if err != nil {
		return err
	}
	if err := fixedPreferences(account, req); err != nil {
		return err
	}
	change := req.MonthlyResourceSpendLimit
	if change.Given() && change.Value < 0 {
		return invalid("monthlyResourceSpendLimit", "monthlyResourceSpendLimit must not be negative")
	}
	if raises(account.MonthlyLimit, change) {
		if err := door.Require(c, writeBilling); err != nil {
			return err
		}
	}
	if change.Set {
		if account, err = a.Money.SetLimits(c.Request.Context(), Limits(account.ID, wire.PatchBudget{MonthlyLimit: change})); err != nil {
			return err
		}
	}
	a.ok(c, preferencesOf(account, door.CallerOf(c).User))
	return nil
}

// fixedPreferences refuses to change what cannot be chosen here.
func fixedPreferences(account state.Account, req wire.PatchPreferences) error {
	for _, f := range []struct {
		field string
		given wire.Optional[bool]
		is    bool
		why   string
	}{
		{"usageBillingEnabled", req.UsageBillingEnabled, !account.Unbilled, "whether an account is charged is set when it is made"},
		{"pauseOnLimit", req.PauseOnLimit, true, "a limit always stops what would go beyond it"},
		{"resourceEmailAlerts", req.ResourceEmailAlerts, false, "no mail is sent"},
	} {
		if f.given.Given() && f.given.Value != f.is {
			return invalid(f.field, "%s can only be %t: %s", f.field, f.is, f.why)
		}
	}
	if req.Inference.Given() {
		return invalid("inference", "inference can only be null: models are configured by whoever runs the cluster")
	}
	return nil
}

// getProject serves GET /project. There are no projects: the account is what
// holds everything.
func (a *API) getProject(c *gin.Context) error {
	account, err := a.account(c)
	if err == nil {
		a.ok(c, wire.OneProject{Project: wire.Project{ID: string(account.ID), Name: account.Name, UserID: string(door.CallerOf(c).User),
			CreatedAt: wire.At(account.CreatedAt), UpdatedAt: wire.At(account.UpdatedAt)}})
	}
	return err
}
