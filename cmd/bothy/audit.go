package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

var auditColumns = []column[wire.AuditRecord]{
	{head: "at", cell: func(a wire.AuditRecord) string { return when(&a.At) }},
	{head: "action", cell: func(a wire.AuditRecord) string { return a.Action }},
	{head: "resource", cell: doneTo},
	{head: "times", cell: func(a wire.AuditRecord) string { return strconv.Itoa(a.Count) }},
	{head: "by", cell: func(a wire.AuditRecord) string { return cmp.Or(or(a.Actor.KeyID), letIn(a), or(a.Actor.Node)) }},
	{head: "account", cell: func(a wire.AuditRecord) string { return or(a.AccountID) }},
	{head: "request", cell: func(a wire.AuditRecord) string { return or(a.RequestID) }},
	{head: "detail", cell: func(a wire.AuditRecord) string { return or(a.Detail) }},
}

// doneTo is what it was done to: what let somebody in stands in another column.
func doneTo(a wire.AuditRecord) string {
	if letIn(a) != "" {
		return or(a.ComputerID)
	}
	return a.Resource.ID
}

// letIn is the session or SSH key that somebody without a key of the API came by.
func letIn(a wire.AuditRecord) string {
	if a.FirstAt != nil && (a.Resource.Kind == "session" || a.Resource.Kind == "sshkey") {
		return a.Resource.ID
	}
	return ""
}

func newAudit(t *terminal) *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "Show and export who did what"}
	cmd.AddCommand(newListAudit(t), newExportAudit(t))
	return cmd
}

func newListAudit(t *terminal) *cobra.Command {
	var q auditFlags
	var limit int
	cmd := &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "Show the newest audit records", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return usage("--limit %d: it is 1 or more", limit)
			}
			found := []wire.AuditRecord{}
			err := q.each(t, cmd, false, limit, func(rec wire.AuditRecord) error {
				found = append(found, rec)
				return nil
			})
			if err != nil {
				return err
			}
			if t.json() {
				return t.print(found)
			}
			return table(t.out, found, auditColumns)
		},
	}
	q.add(cmd)
	cmd.Flags().IntVar(&limit, "limit", 50, "how many to show")
	return cmd
}

func newExportAudit(t *terminal) *cobra.Command {
	var q auditFlags
	cmd := &cobra.Command{
		Use: "export", Short: "Write audit records as JSON lines, the oldest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			lines := json.NewEncoder(t.out)
			lines.SetEscapeHTML(false)
			return q.each(t, cmd, true, 0, func(rec wire.AuditRecord) error { return lines.Encode(rec) })
		},
	}
	q.add(cmd)
	return cmd
}

// auditFlags pick audit records.
type auditFlags struct {
	client.AuditQuery
	since, until string
}

func (q *auditFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&q.Account, "account", "", "whose things: an account's id, self, or cluster (default: all that the key may see)")
	flags.StringVar(&q.Actor, "actor", "", "id of the account, user, key or node that did it, or of the session or SSH key that they came by")
	flags.StringVar(&q.Class, "class", "", "changes alone, or uses alone: commands, terminals, files, logins")
	flags.StringVar(&q.Action, "action", "", "such as key.revoke, or key. for all that is done to keys")
	flags.StringVar(&q.Resource, "resource", "", "id of what it was done to, or of its computer")
	flags.StringVar(&q.since, "since", "", "from this time on: 2026-01-31, 2026-01-31T12:00:00Z, or how long ago: 24h")
	flags.StringVar(&q.until, "until", "", "before this time")
}

// each visits what the flags pick.
func (q *auditFlags) each(t *terminal, cmd *cobra.Command, oldest bool, limit int, visit func(wire.AuditRecord) error) error {
	var err error
	if q.Since, err = moment("since", q.since); err != nil {
		return err
	}
	if q.Until, err = moment("until", q.until); err != nil {
		return err
	}
	q.Oldest = oldest
	c, err := t.client()
	if err != nil {
		return err
	}
	for rec, err := range c.Audit().Find(cmd.Context(), q.AuditQuery, limit) {
		if err == nil {
			err = visit(rec)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// moment reads a time, or how long ago it was.
func moment(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return time.Now().Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, usage("--%s %s: it is a time such as 2026-01-31T12:00:00Z, or how long ago, such as 24h", flag, fmt.Sprintf("%q", text))
}
