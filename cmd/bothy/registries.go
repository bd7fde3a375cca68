package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

// maxPasswordBytes bounds what is read as a password.
const maxPasswordBytes = 64 << 10

var registryColumns = []column[wire.Registry]{
	{head: "host", cell: func(r wire.Registry) string { return r.Host }},
	{head: "user", cell: func(r wire.Registry) string { return r.Username }},
	{head: "since", cell: func(r wire.Registry) string { return when(&wire.Time{Time: r.UpdatedAt}) }},
}

func newRegistries(t *terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use: "registries", Aliases: []string{"registry"}, Short: "Log in to registries of images, list them, log out",
		Long: `Log in to registries of images, list them, log out. What is stored is the
account's: whatever it pulls, by "bothy images pull" or for an environment, is pulled
with it. The password is sealed and never shown.`,
	}
	list := &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "List the registries that the account logs in to", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			all, err := c.Registries().List(cmd.Context())
			if err != nil {
				return err
			}
			return showList(t, wire.ListOf(all, false, len(all)), registryColumns)
		},
	}
	logout := &cobra.Command{
		Use: "logout HOST", Short: "Forget how to log in to a registry", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			if err := c.Registries().Remove(cmd.Context(), args[0]); err != nil {
				return err
			}
			return t.did(removed{args[0]}, "logged out of %s", args[0])
		},
	}
	cmd.AddCommand(newLogin(t), list, logout)
	return cmd
}

func newLogin(t *terminal) *cobra.Command {
	var user string
	var stdin bool
	cmd := &cobra.Command{
		Use: "login HOST", Short: "Have the account log in to a registry, such as docker.io", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if user == "" {
				return usage("--user NAME says who logs in")
			}
			password, err := readPassword(t, stdin)
			if err != nil {
				return err
			}
			c, err := t.client()
			if err != nil {
				return err
			}
			made, err := c.Registries().Set(cmd.Context(), args[0], wire.SetRegistry{Username: user, Password: password})
			if err != nil {
				return err
			}
			return t.did(made, "logged in to %s as %s", made.Host, made.Username)
		},
	}
	cmd.Flags().StringVarP(&user, "user", "u", "", "who logs in")
	cmd.Flags().BoolVar(&stdin, "password-stdin", false, "read the password from the standard input, not from the terminal")
	return cmd
}

// readPassword asks for a password without showing it, or reads it from the
// standard input.
func readPassword(t *terminal, stdin bool) (string, error) {
	if !stdin {
		f, ok := t.in.(*os.File)
		if !ok || !term.IsTerminal(int(f.Fd())) {
			return "", mistaken(errors.New("there is no terminal to ask for the password; give --password-stdin"))
		}
		fmt.Fprint(t.err, "Password: ")
		password, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(t.err)
		return string(password), err
	}
	password, err := io.ReadAll(io.LimitReader(t.in, maxPasswordBytes))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return strings.TrimRight(string(password), "\r\n"), nil
}
