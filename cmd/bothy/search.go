package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

func newSearch(t *terminal) *cobra.Command {
	var q wire.SearchThreads
	var limit int
	cmd := &cobra.Command{
		Use: "search WORDS...", Short: "Find threads by what was said in them", Args: cobra.MinimumNArgs(1),
		Long: `Find threads by what was said in them, those that match best first. A thread
matches when it has all of the words, or words that begin with them; where
none has all, those with some of them are shown.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			q.Query = strings.Join(args, " ")
			if cmd.Flags().Changed("limit") {
				q.Limit = &limit
			}
			found, err := c.Threads().Search(cmd.Context(), q)
			if err != nil {
				return err
			}
			if t.json() {
				return t.print(found)
			}
			return t.showFound(found)
		},
	}
	cmd.Flags().StringVar(&q.EnvironmentID, "env", "", "only those of an environment")
	cmd.Flags().StringVar(&q.Status, "status", "", "only those that are active, running, completed, failed or cancelled")
	cmd.Flags().IntVar(&limit, "limit", 0, "how many to show, 1 to 100 (default 20)")
	cmd.Flags().IntVar(&q.Offset, "offset", 0, "how many to pass over")
	return cmd
}

func (t *terminal) showFound(found wire.FoundThreads) error {
	for _, f := range found.Results {
		fmt.Fprintf(t.out, "%s  %s  %s  %.2f\n", f.Thread.ID, f.Thread.Status, cell(or(f.Thread.Title)), f.Score)
		for _, h := range f.Highlights {
			fmt.Fprintf(t.out, "    %s\n", clean(h))
		}
	}
	if found.HasMore {
		fmt.Fprintf(t.err, "%d of %d; more with --limit and --offset\n", len(found.Results), found.Total)
	}
	if len(found.Results) == 0 {
		fmt.Fprintln(t.err, "nothing found")
	}
	return nil
}
