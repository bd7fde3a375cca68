package computeragents

import (
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	// usualDays is how many days are told when no bounds are given, maxDays the
	// most that are told one by one.
	usualDays = 30
	maxDays   = 400
	// maxWorkspaces bounds the disks that are listed; the sum is of all.
	maxWorkspaces = 1000
)

func (a *API) billingRoutes() []door.Route {
	read, write := []string{readBilling, writeBilling}, []string{writeBilling}
	return []door.Route{
		{Method: "GET", Path: "/billing/account", Scopes: read, Serve: a.Handle(a.billingAccount)},
		{Method: "GET", Path: "/billing/records", Scopes: read, Serve: a.Handle(a.listRecords)},
		{Method: "GET", Path: "/billing/transactions", Scopes: read, Serve: a.Handle(a.listTransactions)},
		{Method: "GET", Path: "/billing/stats", Scopes: read, Serve: a.Handle(a.billingStats)},
		{Method: "GET", Path: "/billing/summary", Scopes: read, Serve: a.Handle(a.billingSummary)},
		{Method: "GET", Path: "/billing/daily", Scopes: read, Serve: a.Handle(a.billingDays)},
		{Method: "GET", Path: "/billing/usage/workspace", Scopes: read, Serve: a.Handle(a.workspaceUsage)},
		{Method: "POST", Path: "/billing/mcp-usage", Scopes: write, Serve: a.Handle(a.noProcessor("charge for tool servers: what they do is not billed"))},
		{Method: "GET", Path: "/budget/topup-options", Scopes: read, Serve: a.Handle(a.topupOptions)},
		{Method: "GET", Path: "/budget/payment-status", Scopes: read, Serve: a.Handle(a.paymentStatus)},
		{Method: "POST", Path: "/budget/checkout", Scopes: write, Serve: a.Handle(a.noProcessor("take payments: a balance is raised by an administrator"))},
	}
}

// billingAccount serves GET /billing/account.
func (a *API) billingAccount(c *gin.Context) error {
	account, err := a.account(c)
	if err != nil {
		return err
	}
	w := wire.BillingAccount{APIKeyID: string(door.CallerOf(c).Key.ID), AccountID: string(account.ID), Type: "standard", Status: "active",
		MonthlyBudget: limit(account.MonthlyLimit), CurrentBalance: wire.USD(account.Balance), CreatedAt: wire.At(account.CreatedAt)}
	if account.Unbilled {
		w.Type = "internal"
	}
	if account.Affords(0) != nil {
		w.Status = "suspended"
	}
	a.ok(c, wire.OneBillingAccount{Account: w})
	return nil
}

// records reads the part of the bill that a request asks for.
func (a *API) records(c *gin.Context) (list state.List[state.Charge], page state.Page, err error) {
	if page, err = door.Page(c); err != nil {
		return list, page, err
	}
	keep, err := a.recordFilter(c)
	if err != nil {
		return list, page, err
	}
	err = a.LookAll(c, func(v *state.View) (err error) {
		list, err = v.Charges(door.CallerOf(c).Account, page, keep)
		return err
	})
	return list, page, err
}

// recordFilter is nil when all lines are asked for.
func (a *API) recordFilter(c *gin.Context) (func(state.Charge) bool, error) {
	kind := c.Query("type")
	switch kind {
	case "", "charge", "credit", "execution", "computer", "mcp_usage", "adjustment":
	default:
		return nil, invalid("type", "type must be charge, credit, execution, computer, mcp_usage or adjustment")
	}
	from, err := bound(c, namesOfFrom)
	if err != nil {
		return nil, err
	}
	to, err := bound(c, namesOfTo)
	if err != nil {
		return nil, err
	}
	if kind+c.Query("period") == "" && from.IsZero() && to.IsZero() {
		return nil, nil
	}
	s, err := a.span(c, "all")
	if err != nil {
		return nil, err
	}
	return func(line state.Charge) bool {
		return s.holds(line.CreatedAt) && (kind == "" || kind == line.Type || kind == recordType(line))
	}, nil
}

func recordType(line state.Charge) string {
	if line.Type == "credit" {
		return line.Type
	}
	return "charge"
}

func recordOf(user state.UserID) func(state.Charge) wire.BillingRecord {
	return func(line state.Charge) wire.BillingRecord {
		return wire.BillingRecord{ID: string(line.ID), UserID: string(user), RecordType: recordType(line), Type: line.Type,
			Amount: wire.USD(line.Amount), Description: line.Description, ThreadID: maybe(line.Thread), RunID: maybe(line.Run),
			AgentID: maybe(line.Agent), EnvironmentID: maybe(line.Environment), ComputerID: maybe(line.Computer), Model: maybe(line.Model),
			CreatedAt: wire.At(line.CreatedAt), UpdatedAt: wire.At(line.UpdatedAt)}
	}
}

// listRecords serves GET /billing/records.
func (a *API) listRecords(c *gin.Context) error {
	list, page, err := a.records(c)
	if err == nil {
		a.ok(c, listOf(list, page, recordOf(door.CallerOf(c).User)))
	}
	return err
}

// listTransactions serves GET /billing/transactions: the same in another shape.
func (a *API) listTransactions(c *gin.Context) error {
	list, page, err := a.records(c)
	if err == nil {
		a.ok(c, wire.Transactions{Transactions: listOf(list, page, recordOf(door.CallerOf(c).User)).Data,
			Pagination: wire.Pagination{Total: list.Total, Limit: page.Limit, Offset: page.Offset}})
	}
	return err
}

// billingStats serves GET /billing/stats.
func (a *API) billingStats(c *gin.Context) error {
	s, err := a.span(c, "month")
	if err != nil {
		return err
	}
	group := c.Query("breakdown")
	kind, known := kindsOfCost[group]
	if group != "" && (!known || kind == "") {
		return invalid("breakdown", "breakdown must be project, environment, model or agent")
	}
	u, err := a.used(c, s, kind)
	if err != nil {
		return err
	}
	stats := wire.BillingStats{Period: s.period, StartDate: wire.At(s.since(u.account)), EndDate: wire.At(s.to), TotalCost: wire.USD(u.all.Spent()),
		TotalTokens: u.all.InputTokens + u.all.OutputTokens, TotalRuns: u.all.Runs}
	if kind != "" {
		stats.Breakdown = u.things()
	}
	a.ok(c, wire.OneBillingStats{Stats: stats})
	return nil
}

// billingSummary serves GET /billing/summary.
func (a *API) billingSummary(c *gin.Context) error {
	s, err := a.span(c, "month")
	if err != nil {
		return err
	}
	u, err := a.used(c, s, "")
	if err == nil {
		a.ok(c, wire.BillingSummary{TotalSpent: wire.USD(u.all.Spent()), PeriodStart: wire.At(s.since(u.account)), PeriodEnd: wire.At(s.to),
			RunCount: u.all.Runs, TokenCount: u.all.InputTokens + u.all.OutputTokens})
	}
	return err
}

// billingDays serves GET /billing/daily: each day of the last month, or of the
// bounds, the oldest first; also those on which nothing was used.
func (a *API) billingDays(c *gin.Context) error {
	s, err := a.span(c, "all")
	if err != nil {
		return err
	}
	if s.from.IsZero() {
		s.from = midnight(s.to).AddDate(0, 0, 1-usualDays)
	}
	if s.to.Sub(s.from) > maxDays*24*time.Hour {
		return invalid("startDate", "startDate and endDate must be at most %d days apart", maxDays)
	}
	u, err := a.used(c, s, "")
	if err != nil {
		return err
	}
	byDay := map[string]state.Tally{}
	for _, d := range u.days {
		byDay[d.Day] = d
	}
	reply := wire.BillingDays{Days: []wire.BillingDay{}}
	for day := s.from; !day.After(s.to); day = day.AddDate(0, 0, 1) {
		date := day.Format(time.DateOnly)
		t := byDay[date]
		reply.Days = append(reply.Days, wire.BillingDay{Date: date, Cost: wire.USD(t.Spent()), Runs: t.Runs, Tokens: t.InputTokens + t.OutputTokens})
	}
	a.ok(c, reply)
	return nil
}

// workspaceUsage serves GET /billing/usage/workspace.
func (a *API) workspaceUsage(c *gin.Context) error {
	reply := wire.WorkspaceUsage{}
	err := a.LookAll(c, func(v *state.View) error {
		account, err := v.Account(door.CallerOf(c).Account, a.Now())
		if err != nil {
			return err
		}
		list, err := v.Computers(account.ID, state.Page{Limit: maxWorkspaces}, nil)
		reply = wire.WorkspaceUsage{Workspaces: []wire.Workspace{}, Total: wire.WorkspaceTotal{StorageBytes: account.StoredBytes, ProjectCount: list.Total}}
		for _, m := range list.Items {
			w := wire.Workspace{ID: string(m.ID), ComputerID: string(m.ID), EnvironmentID: maybe(m.Environment), Name: m.Name, StorageBytes: m.StoredBytes}
			if m.Environment != "" {
				w.ID = string(m.Environment)
			}
			reply.Workspaces = append(reply.Workspaces, w)
		}
		return err
	})
	if err == nil {
		a.ok(c, reply)
	}
	return err
}

// topupOptions serves GET /budget/topup-options: there are none to buy.
func (a *API) topupOptions(c *gin.Context) error {
	a.ok(c, gin.H{"options": []string{}})
	return nil
}

// paymentStatus serves GET /budget/payment-status.
func (a *API) paymentStatus(c *gin.Context) error {
	a.ok(c, gin.H{"configured": false, "pendingPayments": 0})
	return nil
}

// noProcessor refuses what would need one.
func (a *API) noProcessor(why string) func(*gin.Context) error {
	return func(*gin.Context) error { return fault.New(fault.Unsupported, "Bothy does not %s", why) }
}
