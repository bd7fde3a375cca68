package client

import (
	"context"
	"iter"
	"strconv"
	"time"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

// maxAuditPage is the most that one page of the audit log holds.
const maxAuditPage = 1000

// Audit is who did what to what.
type Audit struct{ c *Client }

// Audit is the cluster's audit log. An admin key sees all of it, every other
// what was done to the things of its account.
func (c *Client) Audit() Audit { return Audit{c} }

// AuditQuery picks audit records; empty fields pick all.
type AuditQuery struct {
	Account  string // an id, Self, or "cluster" for what is no account's
	Actor    string // id of the account, user, key, node, session or SSH key that did it
	Action   string // such as key.revoke, or key. for all of a noun
	Resource string // id of what it was done to, or of the computer that belongs to
	Class    string // changes or uses
	Since    time.Time
	Until    time.Time
	Oldest   bool // the oldest first, else the newest
}

// Find goes through what a query picks, up to limit records, 0 being all. It
// ends at the first error.
func (a Audit) Find(ctx context.Context, q AuditQuery, limit int) iter.Seq2[wire.AuditRecord, error] {
	return func(yield func(wire.AuditRecord, error) bool) {
		cursor := ""
		for found := 0; limit == 0 || found < limit; {
			size := maxAuditPage
			if limit != 0 {
				size = min(size, limit-found)
			}
			page, err := a.page(ctx, q, cursor, size)
			if err != nil {
				yield(wire.AuditRecord{}, err)
				return
			}
			for _, rec := range page.Data {
				if !yield(rec, nil) {
					return
				}
			}
			if page.Next == nil {
				return
			}
			found, cursor = found+len(page.Data), *page.Next
		}
	}
}

func (a Audit) page(ctx context.Context, q AuditQuery, cursor string, size int) (wire.AuditPage, error) {
	order := ""
	if q.Oldest {
		order = "asc"
	}
	return get[wire.AuditPage](ctx, a.c, query(path("admin", "audit"), "account", q.Account, "actor", q.Actor, "action", q.Action,
		"resource", q.Resource, "class", q.Class, "since", instant(q.Since), "until", instant(q.Until), "order", order, "cursor", cursor, "limit", strconv.Itoa(size)))
}

func instant(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339Nano)
}
