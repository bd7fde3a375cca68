package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

var keyColumns = []column[wire.Key]{
	{head: "id", cell: func(k wire.Key) string { return k.ID }},
	{head: "begins", cell: func(k wire.Key) string { return k.Prefix }},
	{head: "name", cell: func(k wire.Key) string { return k.Name }},
	{head: "user", cell: func(k wire.Key) string { return k.UserID }},
	{head: "scopes", cell: func(k wire.Key) string { return strings.Join(k.Scopes, " ") }},
	{head: "admin", cell: func(k wire.Key) string { return yes(k.Admin) }},
	{head: "valid", cell: func(k wire.Key) string { return yes(k.IsActive) }},
	{head: "expires", cell: func(k wire.Key) string { return when(k.ExpiresAt) }},
	{head: "account", cell: func(k wire.Key) string { return k.AccountID }, long: true},
	{head: "no limit", cell: func(k wire.Key) string { return yes(k.NoLimit) }, long: true},
	{head: "revoked", cell: func(k wire.Key) string { return when(k.RevokedAt) }, long: true},
	{head: "created", cell: func(k wire.Key) string { return when(&k.CreatedAt) }, long: true},
}

func newKeys(t *terminal) *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Aliases: []string{"key"}, Short: "Make, list and revoke API keys"}
	cmd.AddCommand(newCreateKey(t), newListKeys(t), newRevokeKey(t))
	return cmd
}

func newCreateKey(t *terminal) *cobra.Command {
	var account string
	var expires time.Duration
	var ask wire.CreateKey
	cmd := &cobra.Command{
		Use: "create [NAME]", Short: "Make a key; its text is shown once", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			if expires < 0 || expires%time.Second != 0 {
				return usage("--expires %s: it is whole seconds from now", expires)
			}
			ask.ExpiresIn = int64(expires / time.Second)
			if len(args) == 1 {
				ask.Name = args[0]
			}
			made, err := c.Keys().Create(cmd.Context(), account, ask)
			if err != nil {
				return err
			}
			return showNewKey(t, made)
		},
	}
	accountFlag(cmd, &account)
	flags := cmd.Flags()
	flags.StringVar(&ask.UserID, "user", "", "id of the user it is for (default: the account's owner)")
	flags.StringSliceVar(&ask.Scopes, "scopes", nil, "what it may do, such as threads:read,threads:write (default: all but billing:write)")
	flags.StringVar(&ask.Dialect, "dialect", "tb", "how its text begins, for clients that look: tb, ak, rbk or e2b")
	flags.DurationVar(&expires, "expires", 0, "how long it is valid, such as 720h (default: for ever)")
	flags.BoolVar(&ask.NoLimit, "no-limit", false, "exempt it from request limits")
	flags.BoolVar(&ask.Admin, "admin", false, "let it use the admin routes")
	return cmd
}

// showNewKey writes the key's text to standard output by itself, so that it
// can be kept in a variable, and what it is beside it.
func showNewKey(t *terminal, made wire.NewKey) error {
	if t.json() {
		return t.print(made)
	}
	if _, err := fmt.Fprintln(t.out, made.Text); err != nil {
		return err
	}
	_, err := fmt.Fprintf(t.err, "key %s of account %s; this text is not shown again\n", made.Key.ID, made.Key.AccountID)
	return err
}

func newListKeys(t *terminal) *cobra.Command {
	return newListOf(t, "List the keys of an account, without their text", keyColumns,
		func(ctx context.Context, c *client.Client, account string, p client.Page) (wire.List[wire.Key], error) {
			return c.Keys().List(ctx, account, p)
		})
}

func newRevokeKey(t *terminal) *cobra.Command {
	var account string
	cmd := &cobra.Command{
		Use: "revoke ID", Short: "End a key at once", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			if err := c.Keys().Revoke(cmd.Context(), account, args[0]); err != nil {
				return err
			}
			return t.did(struct {
				Revoked string `json:"revoked"`
			}{args[0]}, "revoked key %s", args[0])
		},
	}
	accountFlag(cmd, &account)
	return cmd
}
