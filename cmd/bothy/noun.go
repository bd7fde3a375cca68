package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// noun is a kind of thing that can be listed, shown and removed.
type noun[T any] struct {
	name, one string // as in `bothy threads ls`, and one of them: "thread"
	aliases   []string
	columns   []column[T]
	list      func(ctx context.Context, c *client.Client, p client.Page) (wire.List[T], error)
	get       func(ctx context.Context, c *client.Client, id string) (T, error)
	remove    func(ctx context.Context, c *client.Client, id string) error
	listFlags func(*pflag.FlagSet) // nil: none
	rmFlags   func(*pflag.FlagSet) // nil: none
}

// command is the noun with its verbs, and those that only it has.
func (n noun[T]) command(t *terminal, more ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: n.name, Aliases: n.aliases, Short: "List, show and remove " + n.name}
	if n.remove == nil {
		cmd.Short = "List and show " + n.name
	}
	cmd.AddCommand(n.lister(t), n.getter(t))
	if n.remove != nil {
		cmd.AddCommand(n.remover(t))
	}
	cmd.AddCommand(more...)
	return cmd
}

func (n noun[T]) lister(t *terminal) *cobra.Command {
	var page client.Page
	cmd := &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "List " + n.name, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			list, err := n.list(cmd.Context(), c, page)
			if err != nil {
				return err
			}
			return showList(t, list, n.columns)
		},
	}
	pageFlags(cmd.Flags(), &page)
	if n.listFlags != nil {
		n.listFlags(cmd.Flags())
	}
	return cmd
}

func (n noun[T]) getter(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use: "get ID", Short: "Show a " + n.one, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			thing, err := n.get(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			return showOne(t, thing, n.columns)
		},
	}
}

func (n noun[T]) remover(t *terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use: "rm ID...", Aliases: []string{"delete"}, Short: "Remove " + n.name, Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			for _, id := range args {
				if err := n.remove(cmd.Context(), c, id); err != nil {
					return fmt.Errorf("%s %s: %w", n.one, id, err)
				}
				if err := t.did(removed{id}, "removed %s %s", n.one, id); err != nil {
					return err
				}
			}
			return nil
		},
	}
	if n.rmFlags != nil {
		n.rmFlags(cmd.Flags())
	}
	return cmd
}

// removed is what rm says of each thing.
type removed struct {
	Removed string `json:"removed"`
}

// did reports an act: v for programs, a sentence for people.
func (t *terminal) did(v any, format string, args ...any) error {
	if t.json() {
		return t.print(v)
	}
	_, err := fmt.Fprintf(t.out, format+"\n", args...)
	return err
}

// pageFlags lets a list be read in parts.
func pageFlags(flags *pflag.FlagSet, page *client.Page) {
	flags.IntVar(&page.Limit, "limit", 0, "how many to show, 1 to 100 (default 50)")
	flags.IntVar(&page.Offset, "offset", 0, "how many to pass over")
}
