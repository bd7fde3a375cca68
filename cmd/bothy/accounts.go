package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

var accountColumns = []column[wire.Account]{
	{head: "id", cell: func(a wire.Account) string { return a.ID }},
	{head: "name", cell: func(a wire.Account) string { return a.Name }},
	{head: "balance", cell: func(a wire.Account) string { return dollars(a.Budget.Balance) }},
	{head: "spent", cell: func(a wire.Account) string { return dollars(a.Budget.TotalSpent) }},
	{head: "unbilled", cell: func(a wire.Account) string { return yes(a.Budget.Unbilled) }},
	{head: "created", cell: func(a wire.Account) string { return when(&a.CreatedAt) }},
}

func newAccounts(t *terminal) *cobra.Command {
	return noun[wire.Account]{
		name: "accounts", one: "account", aliases: []string{"account"}, columns: accountColumns,
		list: func(ctx context.Context, c *client.Client, p client.Page) (wire.List[wire.Account], error) {
			return c.Accounts().List(ctx, p)
		},
		get: func(ctx context.Context, c *client.Client, id string) (wire.Account, error) {
			return c.Accounts().Get(ctx, id)
		},
	}.command(t, newCreateAccount(t))
}

func newCreateAccount(t *terminal) *cobra.Command {
	var balance string
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make an account with its owner", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			var start *wire.USD
			if balance != "" {
				amount, err := amountOf("--balance", balance)
				if err != nil {
					return err
				}
				start = &amount
			}
			account, err := c.Accounts().Create(cmd.Context(), args[0], start)
			if err != nil {
				return err
			}
			return showOne(t, account, accountColumns)
		},
	}
	cmd.Flags().StringVar(&balance, "balance", "", "dollars to begin with (default: as the nodes are configured)")
	return cmd
}

// amountOf reads dollars from a command line.
func amountOf(name, text string) (wire.USD, error) {
	amount, err := wire.ParseUSD(text)
	if err != nil {
		return 0, usage("%s %s: %v", name, text, err)
	}
	return amount, nil
}
