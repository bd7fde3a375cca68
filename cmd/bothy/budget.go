package main

import (
	"github.com/spf13/cobra"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

var budgetColumns = []column[wire.Budget]{
	{head: "account", cell: func(b wire.Budget) string { return b.AccountID }},
	{head: "balance", cell: func(b wire.Budget) string { return dollars(b.Balance) }},
	{head: "reserved", cell: func(b wire.Budget) string { return dollars(b.Reserved) }},
	{head: "spent", cell: func(b wire.Budget) string { return dollars(b.TotalSpent) }},
	{head: "today", cell: func(b wire.Budget) string { return dollars(b.DailySpent) + " of " + limit(b.DailyLimit) }},
	{head: "this month", cell: func(b wire.Budget) string { return dollars(b.MonthlySpent) + " of " + limit(b.MonthlyLimit) }},
	{head: "unbilled", cell: func(b wire.Budget) string { return yes(b.Unbilled) }},
}

// limit is a bound for people; nil is none.
func limit(u *wire.USD) string {
	if u == nil {
		return "no limit"
	}
	return dollars(*u)
}

func newBudget(t *terminal) *cobra.Command {
	cmd := &cobra.Command{Use: "budget", Short: "Show and change what an account may spend"}
	cmd.AddCommand(newGetBudget(t), newSetBudget(t), newAddBudget(t))
	return cmd
}

// budgetOf is an account's budget; that of the key's own needs no admin key.
func (t *terminal) budgetOf(account string) (client.Budget, error) {
	c, err := t.client()
	if err != nil {
		return client.Budget{}, err
	}
	if account == client.Self {
		return c.Budget(), nil
	}
	return c.BudgetOf(account), nil
}

func newGetBudget(t *terminal) *cobra.Command {
	var account string
	cmd := &cobra.Command{
		Use: "get", Short: "Show balance, limits and what was spent", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := t.budgetOf(account)
			if err != nil {
				return err
			}
			got, err := b.Get(cmd.Context())
			if err != nil {
				return err
			}
			return showOne(t, got, budgetColumns)
		},
	}
	accountFlag(cmd, &account)
	return cmd
}

func newSetBudget(t *terminal) *cobra.Command {
	var account, daily, monthly string
	cmd := &cobra.Command{
		Use: "set", Short: "Set what may be spent in a UTC day and month", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var w wire.PatchBudget
			var err error
			if w.DailyLimit, err = limitFlag(cmd, "daily", daily); err != nil {
				return err
			}
			if w.MonthlyLimit, err = limitFlag(cmd, "monthly", monthly); err != nil {
				return err
			}
			if !w.DailyLimit.Set && !w.MonthlyLimit.Set {
				return usage("give --daily, --monthly or both")
			}
			b, err := t.budgetOf(account)
			if err != nil {
				return err
			}
			set, err := b.Set(cmd.Context(), w)
			if err != nil {
				return err
			}
			return showOne(t, set, budgetColumns)
		},
	}
	accountFlag(cmd, &account)
	cmd.Flags().StringVar(&daily, "daily", "", "dollars, or none")
	cmd.Flags().StringVar(&monthly, "monthly", "", "dollars, or none")
	return cmd
}

// limitFlag reads a limit: absent, none or dollars.
func limitFlag(cmd *cobra.Command, name, text string) (wire.Optional[wire.USD], error) {
	if !cmd.Flags().Changed(name) {
		return wire.Optional[wire.USD]{}, nil
	}
	if text == "none" {
		return wire.Null[wire.USD](), nil
	}
	amount, err := amountOf("--"+name, text)
	return wire.Some(amount), err
}

func newAddBudget(t *terminal) *cobra.Command {
	var account, why string
	cmd := &cobra.Command{
		Use: "add AMOUNT", Short: "Add dollars to a balance", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			amount, err := amountOf("AMOUNT", args[0])
			if err != nil {
				return err
			}
			b, err := t.budgetOf(account)
			if err != nil {
				return err
			}
			added, err := b.Add(cmd.Context(), amount, why)
			if err != nil {
				return err
			}
			return t.did(added, "added %s; the balance is %s", dollars(added.AddedAmount), dollars(added.NewBalance))
		},
	}
	accountFlag(cmd, &account)
	cmd.Flags().StringVar(&why, "description", "", "what it is for, as the account's records say")
	return cmd
}
