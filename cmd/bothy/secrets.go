package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

var secretsKeyColumns = []column[wire.SecretsKey]{
	{head: "key", cell: func(k wire.SecretsKey) string { return k.ID }},
	{head: "phase", cell: func(k wire.SecretsKey) string { return k.Phase }},
	{head: "resealed", cell: func(k wire.SecretsKey) string { return fmt.Sprint(k.Resealed) }},
	{head: "unreadable", cell: unreadable},
	{head: "started", cell: func(k wire.SecretsKey) string { return when(k.StartedAt) }},
	{head: "ended", cell: func(k wire.SecretsKey) string { return when(k.EndedAt) }},
}

func unreadable(k wire.SecretsKey) string {
	if k.Unreadable == 0 {
		return "0"
	}
	return fmt.Sprintf("%d, such as in %s", k.Unreadable, k.Unread)
}

func newSecrets(t *terminal) *cobra.Command {
	cmd := &cobra.Command{Use: "secrets", Short: "Show and replace the key that seals variables, secrets and tokens"}
	cmd.AddCommand(
		secretsVerb(t, "status", "Show the secrets key and how far its rotation is", "", client.Secrets.Key),
		secretsVerb(t, "rotate", "Replace the secrets key and seal everything anew", `Make a new secrets key, on every node: from now on it seals what users entrust to
the cluster. What the key before it sealed is sealed anew in the background, and
then that key is forgotten. A node that is away takes part when it returns.
"bothy secrets status" tells how far it is.`, client.Secrets.Rotate))
	return cmd
}

func secretsVerb(t *terminal, verb, short, long string, ask func(client.Secrets, context.Context) (wire.SecretsKey, error)) *cobra.Command {
	return &cobra.Command{
		Use: verb, Short: short, Long: long, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			key, err := ask(c.Secrets(), cmd.Context())
			if err != nil {
				return err
			}
			return showOne(t, key, secretsKeyColumns)
		},
	}
}
