package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

var userColumns = []column[wire.User]{
	{head: "id", cell: func(u wire.User) string { return u.ID }},
	{head: "name", cell: func(u wire.User) string { return u.Name }},
	{head: "role", cell: func(u wire.User) string { return u.Role }},
	{head: "account", cell: func(u wire.User) string { return u.AccountID }},
	{head: "created", cell: func(u wire.User) string { return when(&u.CreatedAt) }},
}

func newUsers(t *terminal) *cobra.Command {
	cmd := &cobra.Command{Use: "users", Aliases: []string{"user"}, Short: "Add and list the users of an account"}
	cmd.AddCommand(newAddUser(t), newListUsers(t))
	return cmd
}

func newAddUser(t *terminal) *cobra.Command {
	var account, role string
	cmd := &cobra.Command{
		Use: "add NAME", Short: "Add a user to an account", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			user, err := c.Users().Add(cmd.Context(), account, args[0], role)
			if err != nil {
				return err
			}
			return showOne(t, user, userColumns)
		},
	}
	accountFlag(cmd, &account)
	cmd.Flags().StringVar(&role, "role", "member", "owner, admin or member")
	return cmd
}

func newListUsers(t *terminal) *cobra.Command {
	return newListOf(t, "List the users of an account", userColumns,
		func(ctx context.Context, c *client.Client, account string, p client.Page) (wire.List[wire.User], error) {
			return c.Users().List(ctx, account, p)
		})
}

// newListOf lists what belongs to an account.
func newListOf[T any](t *terminal, short string, columns []column[T],
	list func(context.Context, *client.Client, string, client.Page) (wire.List[T], error)) *cobra.Command {
	var account string
	var page client.Page
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			found, err := list(cmd.Context(), c, account, page)
			if err != nil {
				return err
			}
			return showList(t, found, columns)
		},
	}
	accountFlag(cmd, &account)
	pageFlags(cmd.Flags(), &page)
	return cmd
}

// accountFlag chooses an account; without it, that of the key.
func accountFlag(cmd *cobra.Command, account *string) {
	cmd.Flags().StringVar(account, "account", client.Self, "id of the account")
}
