package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

func newExec(t *terminal) *cobra.Command {
	var cmdline wire.Exec
	var env []string
	var timeout time.Duration
	var interactive bool
	cmd := &cobra.Command{
		Use:   "exec COMPUTER -- COMMAND [ARGUMENT...]",
		Short: "Run a command in a computer",
		Long: `Run a command in a computer. Its output, errors and exit code become those of
bothy; a signal that ends it becomes 128 and its number, a command whose end is
not known 255. Standard input goes to it unless that is a terminal (then give -i).`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			cmdline.Argv = args[1:]
			cmdline.TimeoutMS = timeout.Milliseconds()
			var err error
			if cmdline.Env, err = environmentOf(env); err != nil {
				return err
			}
			return runExec(cmd.Context(), t, args[0], cmdline, t.input(interactive))
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&env, "env", "e", nil, "a variable for the command, NAME=VALUE")
	flags.StringVarP(&cmdline.Dir, "workdir", "w", "", "where to run it (default: the workspace)")
	flags.StringVarP(&cmdline.User, "user", "u", "", "as whom to run it (default: node)")
	flags.DurationVar(&timeout, "timeout", 0, "end it after this time (default: never)")
	flags.BoolVarP(&interactive, "interactive", "i", false, "give it standard input even if that is a terminal")
	return cmd
}

// input is standard input for a command elsewhere, or nil for none.
func (t *terminal) input(interactive bool) io.Reader {
	if f, ok := t.in.(*os.File); ok && !interactive && term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return t.in
}

// environmentOf reads NAME=VALUE pairs.
func environmentOf(pairs []string) (map[string]string, error) {
	env := map[string]string{}
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, usage("-e %s: it is NAME=VALUE", pair)
		}
		env[name] = value
	}
	return env, nil
}

func runExec(ctx context.Context, t *terminal, computer string, cmdline wire.Exec, stdin io.Reader) error {
	c, err := t.client()
	if err != nil {
		return err
	}
	// Exec is sent once, to one node. Asking for the computer first finds a
	// node that is up.
	found, err := c.Computers().Get(ctx, computer)
	if err != nil {
		return &exitError{exitLost, err}
	}
	exit, err := c.Computers().Exec(ctx, found.ID, cmdline, stdin, t.out, t.err)
	if err != nil {
		return &exitError{exitLost, err}
	}
	return passed(exit)
}

// passed makes a command's end that of this process.
func passed(exit wire.ExecExit) error {
	switch {
	case exit.TimedOut:
		return &exitError{124, fmt.Errorf("the command was ended after %s", time.Duration(exit.DurationMS)*time.Millisecond)}
	case exit.Signal != "":
		return &exitError{128 + signalNumber(exit.Signal), errors.New("the command was ended by a signal: " + exit.Signal)}
	case exit.Code != 0:
		return &exitError{exit.Code, nil}
	}
	return nil
}

// signalNumber finds a signal by its name or by how it is described.
func signalNumber(name string) int {
	if n := unix.SignalNum(name); n != 0 {
		return int(n)
	}
	const last = 64 // of Linux
	for n := 1; n <= last; n++ {
		if syscall.Signal(n).String() == name {
			return n
		}
	}
	return 0
}
