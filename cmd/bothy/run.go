package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	// maxMessageBytes bounds a message read from standard input; the nodes'
	// own bound is lower.
	maxMessageBytes = 4 << 20
	// exitInterrupted is what shells give a command that Ctrl-C ended.
	exitInterrupted = 130
)

func newRun(t *terminal) *cobra.Command {
	var m client.Message
	cmd := &cobra.Command{
		Use:   "run MESSAGE",
		Short: "Send a message to an agent and watch it work",
		Long: `Send a message to an agent and watch it work. MESSAGE may be - for standard
input. The exit code is 0 when the run succeeded. Ctrl-C leaves the run to go
on by itself. With -o json each event is one line.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if m.Thread != "" && (m.Environment != "" || m.Agent != "" || m.Title != "") {
				return usage("--env, --agent and --title are of a new thread; --thread goes on with one there is")
			}
			content, err := t.message(args[0])
			if err != nil {
				return err
			}
			m.Content = content
			return runMessage(cmd.Context(), t, m)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&m.Environment, "env", "", "environment of a new thread (default: the account's default)")
	flags.StringVar(&m.Thread, "thread", "", "thread to go on with (default: a new one)")
	flags.StringVar(&m.Agent, "agent", "", "agent of a new thread (default: none, only a model)")
	flags.StringVar(&m.Model, "model", "", "model in place of the agent's, or of the account's default")
	flags.StringVar(&m.Title, "title", "", "title of a new thread")
	return cmd
}

// message is what is said: the argument, or all of standard input.
func (t *terminal) message(arg string) (string, error) {
	if arg != "-" {
		return arg, nil
	}
	text, err := io.ReadAll(io.LimitReader(t.in, maxMessageBytes+1))
	if err != nil {
		return "", fmt.Errorf("read the message: %w", err)
	}
	if len(text) > maxMessageBytes {
		return "", usage("the message is larger than %d bytes", maxMessageBytes)
	}
	return string(text), nil
}

func runMessage(ctx context.Context, t *terminal, m client.Message) error {
	c, err := t.client()
	if err != nil {
		return err
	}
	v := newViewer(t)
	result, err := c.Run(ctx, m, v.see)
	switch {
	case ctx.Err() != nil && result.Thread != "":
		return &exitError{exitInterrupted, fmt.Errorf("left; the run goes on: `bothy logs -f %[1]s` follows it, `bothy threads cancel %[1]s` stops it", result.Thread)}
	case err != nil && result.Thread != "":
		return fmt.Errorf("lost the run of thread %s (`bothy logs %[1]s` shows what it did): %w", result.Thread, err)
	case err != nil:
		return err
	case result.Run.Status != "success":
		return &exitError{exitFailed, nil} // the events said why
	}
	return nil
}

// viewer shows events: as lines of JSON for programs, drawn for people.
type viewer struct {
	see func(client.Event) error
}

func newViewer(t *terminal) viewer {
	if t.json() {
		return viewer{func(e client.Event) error { return t.line(e) }}
	}
	p := newProgress(t.tty)
	return viewer{func(e client.Event) error {
		_, err := io.WriteString(t.out, p.draw(e.Event))
		return err
	}}
}

// numbered is an event as a line of JSON: seq is where to resume after it.
type numbered struct {
	Seq uint64 `json:"seq"`
	wire.Event
}

func (t *terminal) line(e client.Event) error {
	b, err := json.Marshal(numbered{e.Seq, e.Event})
	if err != nil {
		return fmt.Errorf("write an event: %w", err)
	}
	_, err = t.out.Write(append(b, '\n'))
	return err
}

func newLogs(t *terminal) *cobra.Command {
	var follow bool
	var after uint64
	cmd := &cobra.Command{
		Use: "logs THREAD", Short: "Show what a thread's runs did", Args: cobra.ExactArgs(1),
		Long: `Show what a thread's runs did, from its first event or from --after on; with -f
also what they do, until Ctrl-C.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			v := newViewer(t)
			if !follow {
				return c.Replay(cmd.Context(), args[0], after, v.see)
			}
			err = c.Follow(cmd.Context(), args[0], after, v.see)
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what happens next")
	cmd.Flags().Uint64Var(&after, "after", 0, "begin after this event")
	return cmd
}

// clean takes out what would move a terminal's cursor or change its colours:
// the text of agents and commands is not to be trusted with that.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (r < ' ' || (r >= 0x7f && r < 0xa0)) {
			return -1
		}
		return r
	}, text)
}
