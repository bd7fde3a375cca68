package wire

// Preferences are what can be chosen about a bill. Most is as it is here: a
// limit stops what would go beyond it, and no mail is sent.
type Preferences struct {
	UserID    string             `json:"userId"`
	Billing   BillingPreferences `json:"billing"`
	Inference OwnInference       `json:"inference"`
	Usage     MonthlyUsage       `json:"usage"`
}

// BillingPreferences are how the account is billed.
type BillingPreferences struct {
	UsageBillingEnabled bool `json:"usageBillingEnabled"`
	// MonthlyResourceSpendLimit is the budget's monthlyLimit; null is none.
	MonthlyResourceSpendLimit *USD `json:"monthlyResourceSpendLimit"`
	PauseOnLimit              bool `json:"pauseOnLimit"`        // always true
	ResourceEmailAlerts       bool `json:"resourceEmailAlerts"` // always false
}

// OwnInference is about models that an account brings itself: none can.
type OwnInference struct {
	Enabled bool `json:"enabled"`
}

// MonthlyUsage is what was spent in this UTC month.
type MonthlyUsage struct {
	Spend   USD `json:"monthlyResourceSpend"`
	Metered USD `json:"monthlyMeteredResourceUsage"`
}

// PatchPreferences changes the one limit; the others may be said as they are.
type PatchPreferences struct {
	UsageBillingEnabled       Optional[bool]           `json:"usageBillingEnabled,omitzero"`
	MonthlyResourceSpendLimit Optional[USD]            `json:"monthlyResourceSpendLimit,omitzero"`
	PauseOnLimit              Optional[bool]           `json:"pauseOnLimit,omitzero"`
	ResourceEmailAlerts       Optional[bool]           `json:"resourceEmailAlerts,omitzero"`
	Inference                 Optional[map[string]any] `json:"inference,omitzero"`
}

// Project is the account, as clients that set up a project read it.
type Project struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	UserID    string `json:"userId"`
	CreatedAt Time   `json:"createdAt"`
	UpdatedAt Time   `json:"updatedAt"`
}

// OneProject wraps it in a reply.
type OneProject struct {
	Project Project `json:"project"`
}
