package agentcomputer

import (
	"encoding/json"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	readBilling  = "billing:read"
	writeBilling = "billing:write"
	// maxCents bounds an amount of money, a billion dollars.
	maxCents = 100_000_000_000
)

func (a *API) billingRoutes() []door.Route {
	return []door.Route{{Method: "PATCH", Path: "/billing/preferences", Scopes: []string{readBilling, writeBilling}, Serve: a.Handle(a.patchPreferences)}}
}

// autoReload is what an account wants done when its balance is low.
type autoReload struct {
	Enabled               bool    `json:"enabled"`
	BalanceThresholdCents int64   `json:"balance_threshold_cents"`
	ReloadAmountCents     int64   `json:"reload_amount_cents"`
	MonthlyReloadLimit    *int64  `json:"monthly_reload_limit"`
	MonthlySpendLimit     *int64  `json:"monthly_spend_limit_cents"`
	LastSyncError         *string `json:"last_sync_error,omitempty"`
}

// neverFires says why an auto-reload that is on does nothing.
const neverFires = "no payment processor is connected: the balance is raised by an administrator"

func autoReloadOf(account state.Account) autoReload {
	r := autoReload{Enabled: account.AutoReload.Enabled, BalanceThresholdCents: int64(account.AutoReload.Threshold / microUSDPerCent),
		ReloadAmountCents: int64(account.AutoReload.Amount / microUSDPerCent)}
	if r.Enabled {
		r.LastSyncError = maybe(neverFires)
	}
	if account.MonthlyLimit != nil {
		limit := int64(*account.MonthlyLimit / microUSDPerCent)
		r.MonthlySpendLimit = &limit
	}
	return r
}

// camelFields are those of a body that is the other dialect's.
var camelFields = []string{"usageBillingEnabled", "monthlyResourceSpendLimit", "pauseOnLimit", "resourceEmailAlerts", "inference"}

// patchPreferences serves PATCH /billing/preferences. The spend limit is the
// account's monthly limit: whoever may see it may tighten it, loosening it is
// spending.
func (a *API) patchPreferences(c *gin.Context) error {
	var fields map[string]json.RawMessage
	if err := a.Read(c, &fields); err != nil {
		return err
	}
	for _, field := range camelFields {
		if _, there := fields[field]; there {
			a.camel(c)
			return nil
		}
	}
	var req struct {
		Enabled   wire.Optional[bool]  `json:"auto_reload_enabled"`
		Threshold wire.Optional[int64] `json:"balance_threshold_cents"`
		Limit     wire.Optional[int64] `json:"monthly_spend_limit_cents"`
		Amount    wire.Optional[int64] `json:"reload_amount_cents"`
	}
	if err := a.Read(c, &req); err != nil {
		return err
	}
	for field, given := range map[string]bool{"auto_reload_enabled": req.Enabled.Given(), "balance_threshold_cents": req.Threshold.Given(),
		"monthly_spend_limit_cents": req.Limit.Set, "reload_amount_cents": req.Amount.Given()} {
		if !given {
			return invalid(field, "Missing required field: %s", field)
		}
	}
	for field, amount := range map[string]int64{"balance_threshold_cents": req.Threshold.Value, "monthly_spend_limit_cents": req.Limit.Value, "reload_amount_cents": req.Amount.Value} {
		if amount < 0 || amount > maxCents {
			return invalid(field, "%s must be from 0 to %d", field, int64(maxCents))
		}
	}
	var account state.Account
	err := a.Look(c, func(v *state.View) (err error) {
		account, err = v.Account(door.CallerOf(c).Account, a.Now())
		return err
	})
	if err != nil {
		return err
	}
	limit := state.MicroUSD(req.Limit.Value * microUSDPerCent)
	if account.MonthlyLimit != nil && (req.Limit.Null || limit > *account.MonthlyLimit) {
		if err := door.Require(c, writeBilling); err != nil {
			return err
		}
	}
	cmd := state.SetLimits{Account: account.ID, SetMonthly: true, AutoReload: &state.AutoReload{Enabled: req.Enabled.Value,
		Threshold: state.MicroUSD(req.Threshold.Value * microUSDPerCent), Amount: state.MicroUSD(req.Amount.Value * microUSDPerCent)}}
	if !req.Limit.Null {
		cmd.Monthly = &limit
	}
	account, err = a.Money.SetLimits(c.Request.Context(), cmd)
	if err == nil {
		ok(c, gin.H{"auto_reload": autoReloadOf(account)})
	}
	return err
}
