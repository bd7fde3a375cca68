package main

import (
	_ "embed"
	"fmt"

	"github.com/spf13/cobra"
)

// reference is a configuration file with every setting at its default and what
// it means. It is made of [Config] by `make generate`.
//
//go:embed reference.yaml
var reference string

func newConfig(t *terminal) *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Explain and check the configuration of nodes"}
	cmd.AddCommand(
		&cobra.Command{
			Use: "reference", Short: "Print a configuration file with every setting, its default and its meaning", Args: cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error {
				_, err := fmt.Fprint(t.out, reference)
				return err
			},
		}, newConfigCheck(t))
	return cmd
}

// newConfigCheck reads a configuration as `bothy up` would, and starts nothing.
func newConfigCheck(t *terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use: "check", Short: "Tell every mistake in a node's file, variables and flags, without starting it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := loadConfig(cmd.Flags(), t.getenv); err != nil {
				return mistaken(err)
			}
			_, err := fmt.Fprintln(t.out, "the configuration is good")
			return err
		},
	}
	addSettings(cmd.Flags())
	return cmd
}
