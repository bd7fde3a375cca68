package agentcomputer

import "github.com/bothy-computer/bothy/cluster/state"

// autoReload is what an account wants done when its balance is low. Nothing
// can be charged here, so it is kept and does not fire.
type autoReload struct {
	Enabled               bool    `json:"enabled"`
	BalanceThresholdCents int64   `json:"balance_threshold_cents"`
	ReloadAmountCents     int64   `json:"reload_amount_cents"`
	MonthlyReloadLimit    *int64  `json:"monthly_reload_limit"`
	MonthlySpendLimit     *int64  `json:"monthly_spend_limit_cents"`
	LastSyncError         *string `json:"last_sync_error,omitempty"`
}

func autoReloadOf(account state.Account) autoReload {
	var r autoReload
	if account.MonthlyLimit != nil {
		limit := int64(*account.MonthlyLimit / microUSDPerCent)
		r.MonthlySpendLimit = &limit
	}
	return r
}
