package wire

// Budget is what an account has, spent and may spend.
type Budget struct {
	UserID       string `json:"userId"`
	AccountID    string `json:"accountId"`
	Balance      USD    `json:"balance"`
	Reserved     USD    `json:"reserved"` // held for what is running
	TotalSpent   USD    `json:"totalSpent"`
	DailyLimit   *USD   `json:"dailyLimit"`
	MonthlyLimit *USD   `json:"monthlyLimit"`
	DailySpent   USD    `json:"dailySpent"`   // this UTC day
	MonthlySpent USD    `json:"monthlySpent"` // this UTC month
	Unbilled     bool   `json:"unbilled"`     // nothing is charged
	CreatedAt    Time   `json:"createdAt"`
	UpdatedAt    Time   `json:"updatedAt"`
}

// PatchBudget sets limits in dollars; null is no limit.
type PatchBudget struct {
	DailyLimit   Optional[USD] `json:"dailyLimit,omitzero"`
	MonthlyLimit Optional[USD] `json:"monthlyLimit,omitzero"`
}

// IncreaseBudget adds money. AmountUSD is the same as Amount.
type IncreaseBudget struct {
	Amount      *USD   `json:"amount,omitempty"`
	AmountUSD   *USD   `json:"amountUsd,omitempty"`
	Description string `json:"description,omitempty"`
}

// IncreasedBudget is the reply to an increase.
type IncreasedBudget struct {
	Success     bool         `json:"success"`
	UserID      string       `json:"userId"`
	AddedAmount USD          `json:"addedAmount"`
	NewBalance  USD          `json:"newBalance"`
	TotalSpent  USD          `json:"totalSpent"`
	Budget      BudgetChange `json:"budget"`
}

// BudgetChange is a balance before and after.
type BudgetChange struct {
	PreviousBalance USD `json:"previousBalance"`
	AddedAmount     USD `json:"addedAmount"`
	NewBalance      USD `json:"newBalance"`
}
