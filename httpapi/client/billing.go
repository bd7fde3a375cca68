package client

import (
	"context"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Billing is what the caller's own account spent, and on what.
type Billing struct{ c *Client }

// Billing is the bill of the caller's own account.
func (c *Client) Billing() Billing { return Billing{c} }

// Span is a period: day, week, month, year or all, or the UTC days from one to
// another, both included, such as 2026-01-31. What is empty is left to the server.
type Span struct{ Period, From, To string }

func (b Billing) in(s Span, more []string, parts ...string) string {
	return query(path(parts...), append([]string{"period", s.Period, "startDate", s.From, "endDate", s.To}, more...)...)
}

// Account returns how the account is billed.
func (b Billing) Account(ctx context.Context) (wire.BillingAccount, error) {
	one, err := get[wire.OneBillingAccount](ctx, b.c, path("billing", "account"))
	return one.Account, err
}

// Records lists the bill's lines, newest first; kind, which may be empty, is a
// type of record.
func (b Billing) Records(ctx context.Context, s Span, kind string, p Page) (wire.List[wire.BillingRecord], error) {
	return get[wire.List[wire.BillingRecord]](ctx, b.c, b.in(s, []string{"type", kind, "limit", p.limit(), "offset", p.offset()}, "billing", "records"))
}

// Days returns what each day cost, also those on which nothing was used.
func (b Billing) Days(ctx context.Context, s Span) ([]wire.BillingDay, error) {
	days, err := get[wire.BillingDays](ctx, b.c, b.in(s, nil, "billing", "daily"))
	return days.Days, err
}

// Stats returns what a period used; by, which may be empty, is environment,
// model or agent.
func (b Billing) Stats(ctx context.Context, s Span, by string) (wire.BillingStats, error) {
	one, err := get[wire.OneBillingStats](ctx, b.c, b.in(s, []string{"breakdown", by}, "billing", "stats"))
	return one.Stats, err
}

// Costs returns what a period cost, by day too.
func (b Billing) Costs(ctx context.Context, s Span) (wire.CostSummary, error) {
	return get[wire.CostSummary](ctx, b.c, b.in(s, nil, "costs", "summary"))
}

// Workspaces returns what the account's disks hold.
func (b Billing) Workspaces(ctx context.Context) (wire.WorkspaceUsage, error) {
	return get[wire.WorkspaceUsage](ctx, b.c, path("billing", "usage", "workspace"))
}
