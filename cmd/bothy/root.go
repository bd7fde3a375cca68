package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// Groups of commands in the help.
const (
	groupNodes   = "nodes"
	groupWork    = "work"
	groupTenants = "tenants"
)

// newRoot is the whole command line.
func newRoot(t *terminal) *cobra.Command {
	root := &cobra.Command{
		Use:   "bothy",
		Short: "A self-hosted cloud of computers for AI agents",
		Long: `A self-hosted cloud of computers for AI agents.

` + "`bothy up`" + ` runs a node. Every other command is a client: it asks the node at
BOTHY_URL (several, separated by commas, are tried in turn) with the key in
BOTHY_API_KEY. Without them it asks this machine's node with its admin key.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error {
			t.begun = true
			switch t.format {
			case "", formatTable, formatJSON:
				return nil
			}
			return usage("-o %s: it is %s or %s", t.format, formatTable, formatJSON)
		},
	}
	root.SetIn(t.in)
	root.SetOut(t.out)
	root.SetErr(t.err)
	root.PersistentFlags().StringVarP(&t.format, "output", "o", "", "table or json (default: table on a terminal, json when piped)")
	root.AddGroup(&cobra.Group{ID: groupNodes, Title: "Nodes:"}, &cobra.Group{ID: groupWork, Title: "Work:"}, &cobra.Group{ID: groupTenants, Title: "Accounts:"})
	for group, commands := range map[string][]*cobra.Command{
		groupNodes: {newUp(t), newJoin(t), newConfig(t), newToken(t), newStatus(t), newTop(t), newDoctor(t), newSecrets(t), newBackup(t), newRestore(t), newDrain(t), newUndrain(t), newRebalance(t), newLeave(t), newRemove(t), newWipe(t)},
		groupWork: {newRun(t), newLogs(t), newExec(t), newCp(t), newThreads(t), newAgents(t), newSkills(t), newSchedules(t),
			newTasks(t), newWebhooks(t), newEnvs(t), newComputers(t), newImages(t), newRegistries(t)},
		groupTenants: {newAccounts(t), newUsers(t), newKeys(t), newBudget(t), newBilling(t), newAudit(t)},
	} {
		for _, cmd := range commands {
			cmd.GroupID = group
			root.AddCommand(cmd)
		}
	}
	root.AddCommand(newVersion(t))
	return root
}

// usage refuses a command line.
func usage(format string, args ...any) error { return mistaken(fmt.Errorf(format, args...)) }
