package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

func newDiffs(t *terminal) *cobra.Command {
	var run string
	var page client.Page
	cmd := &cobra.Command{
		Use: "diffs THREAD", Short: "Show what a thread's runs changed in the workspace", Args: cobra.ExactArgs(1),
		Long: `Show what a thread's runs changed in the workspace, the newest run first, as
unified diffs: git apply and patch -p1 take what -o table prints for one run.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			diffs, err := c.Threads().Diffs(cmd.Context(), args[0], run, page)
			if err != nil {
				return err
			}
			if t.json() {
				return t.print(diffs)
			}
			return t.showDiffs(diffs)
		},
	}
	cmd.Flags().StringVar(&run, "run", "", "only what one run changed")
	pageFlags(cmd.Flags(), &page)
	return cmd
}

// showDiffs prints the diffs for programs that read patches, and what is no
// diff beside them.
func (t *terminal) showDiffs(diffs wire.ThreadDiffs) error {
	for _, r := range diffs.Runs {
		fmt.Fprintf(t.err, "run %s, %s: %d files changed\n", r.RunID, when(&r.CreatedAt), r.Files+r.MoreFiles)
		if r.Note != nil {
			fmt.Fprintln(t.err, clean(*r.Note))
		}
		for _, d := range diffs.Diffs {
			if d.RunID != r.RunID {
				continue
			}
			if d.Diff == "" {
				why := ""
				if d.Omitted != nil {
					why = ", " + *d.Omitted
				}
				fmt.Fprintf(t.err, "%s %s%s\n", d.Type, clean(d.Path), why)
				continue
			}
			if _, err := fmt.Fprint(t.out, clean(d.Diff)); err != nil {
				return err
			}
		}
		if r.MoreFiles > 0 {
			fmt.Fprintf(t.err, "and %d files more\n", r.MoreFiles)
		}
	}
	return nil
}

func newCopy(t *terminal) *cobra.Command {
	var title string
	cmd := &cobra.Command{
		Use: "copy THREAD", Short: "Make a thread with another's messages", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			made, err := c.Threads().Copy(cmd.Context(), args[0], title)
			if err != nil {
				return err
			}
			return showOne(t, made, threadColumns)
		},
	}
	cmd.Flags().StringVar(&title, "title", "", `of the copy (default: the title and "Copy")`)
	return cmd
}
