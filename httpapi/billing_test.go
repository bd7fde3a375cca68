package httpapi_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/actors/agent/agenttest"
	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// paying is a house with a vendor that answers in turns, and who pays.
func paying(t *testing.T, turns ...agenttest.Turn) (*doortest.House, *caller) {
	t.Helper()
	vendor := agenttest.Serve(t, turns...)
	h := doortest.Open(t, doortest.Vendor("OPENAI_BASE_URL", vendor.URL), doortest.Vendor("OPENAI_API_KEY", "test"))
	return h, as(t, h, h.FullKey())
}

// These are the requests that the product's own client makes of money, in its
// order, and the fields it reads. All that is told adds up to the bill.
func TestBillingAsTheClientAsks(t *testing.T) {
	h, c := paying(t, agenttest.Responses(agenttest.FunctionCall("fc1", "shell", `{"command":"echo hi"}`)),
		agenttest.Responses(agenttest.Message("Done.")), agenttest.Responses(agenttest.Message("Again.")))
	var agent wire.OneAgent
	c.do("POST", "/agents", `{"name":"R","model":"gpt-5"}`).is(201).into(&agent)
	var one, two wire.RunReply
	c.do("POST", "/threads", `{"content":"hi","stream":false,"agentId":"`+agent.Agent.ID+`"}`).is(200).into(&one)
	c.do("POST", "/threads", `{"content":"hi","stream":false}`).is(200).into(&two)
	spent := one.Thread.TotalCost + two.Thread.TotalCost
	tokens := one.Thread.TotalTokens + two.Thread.TotalTokens
	if one.Run.Status != "success" || one.Thread.TotalCost <= 0 || two.Thread.TotalCost <= 0 {
		t.Fatalf("%+v", one)
	}

	var costs wire.CostSummary
	c.do("GET", "/costs/summary", nil).is(200).into(&costs)
	if costs.Totals.TotalCost != spent || costs.Totals.AgentCost != spent || costs.Totals.TotalThreads != 2 || costs.Totals.TotalRuns != 2 ||
		costs.Totals.InputTokens+costs.Totals.OutputTokens != tokens || len(costs.ByDay) == 0 {
		t.Fatalf("%+v; the threads cost %s", costs, spent)
	}
	var increased wire.IncreasedBudget
	c.do("POST", "/budget/increase", `{"amount":5}`).is(200).into(&increased)
	var records wire.List[wire.BillingRecord]
	c.do("GET", "/billing/records?limit=5", nil).is(200).into(&records)
	var sum wire.USD
	for _, r := range records.Data {
		if r.RecordType == "charge" {
			sum += r.Amount
		}
	}
	if records.TotalCount != 3 || sum != spent || records.Data[0].Type != "credit" || records.Data[0].Amount != 5_000_000 ||
		*records.Data[2].RunID != one.Run.ID || *records.Data[2].AgentID != agent.Agent.ID || *records.Data[2].Model != "gpt-5" {
		t.Fatalf("%+v", records)
	}
	var summary wire.BillingSummary
	c.do("GET", "/billing/summary", nil).is(200).into(&summary)
	if summary.TotalSpent != spent || summary.RunCount != 2 || summary.TokenCount != tokens {
		t.Fatalf("%+v", summary)
	}
	var daily wire.BillingDays
	c.do("GET", "/billing/daily", nil).is(200).into(&daily)
	last := daily.Days[len(daily.Days)-1]
	if len(daily.Days) != 30 || last.Cost+daily.Days[28].Cost != spent { // it may be midnight meanwhile
		t.Fatalf("%+v", daily)
	}
	c.do("POST", "/billing/mcp-usage", `{"serverType":"deep_research"}`).refused(501, "not billed")
	c.do("GET", "/budget/topup-options", nil).is(200)
	c.do("POST", "/budget/checkout", `{"variantId":"v"}`).refused(501, "administrator")
	c.do("GET", "/budget/payment-status", nil).is(200)
	var account wire.OneBillingAccount
	c.do("GET", "/billing/account", nil).is(200).into(&account)
	if a := account.Account; a.Status != "active" || a.Type != "standard" || a.CurrentBalance != 15_000_000-spent || a.APIKeyID == "" {
		t.Fatalf("%+v", a)
	}
	var stats wire.OneBillingStats
	c.do("GET", "/billing/stats?period=month", nil).is(200).into(&stats)
	if s := stats.Stats; s.TotalCost != spent || s.TotalRuns != 2 || s.TotalTokens != tokens || s.Breakdown != nil {
		t.Fatalf("%+v", s)
	}
	var usage wire.WorkspaceUsage
	c.do("GET", "/billing/usage/workspace", nil).is(200).into(&usage)
	if len(usage.Workspaces) != 1 || usage.Total.ProjectCount != 1 || usage.Workspaces[0].ID != one.Thread.EnvironmentID {
		t.Fatalf("%+v", usage)
	}
	var page wire.Transactions
	c.do("GET", "/billing/transactions?limit=2", nil).is(200).into(&page)
	if len(page.Transactions) != 2 || page.Pagination != (wire.Pagination{Total: 3, Limit: 2}) {
		t.Fatalf("%+v", page)
	}
	var budget wire.Budget
	c.do("GET", "/billing/budget", nil).is(200).into(&budget)
	if budget.TotalSpent != spent || budget.Balance != 15_000_000-spent || budget.DailySpent > spent || budget.Reserved != 0 {
		t.Fatalf("%+v", budget)
	}
	breakdowns(t, h, c, spent, agent.Agent.ID, one.Thread)
}

// breakdowns checks that what is told by environment, agent, model and source
// is all of what was spent.
func breakdowns(t *testing.T, h *doortest.House, c *caller, spent wire.USD, agent string, thread wire.Thread) {
	t.Helper()
	for group, want := range map[string]struct {
		first, name string
		part        wire.USD // of the dearest
	}{"environment": {thread.EnvironmentID, "default", spent}, "model": {"gpt-5", "gpt-5", thread.TotalCost}, "agent": {agent, "R", thread.TotalCost}, "source": {"models", "Model calls", spent}} {
		var b wire.CostBreakdown
		c.do("GET", "/costs/breakdown?period=all&groupBy="+group, nil).is(200).into(&b)
		things := append(append(append(b.Environments, b.Agents...), b.Models...), b.Sources...)
		var sum wire.USD
		found := false
		for _, one := range things {
			sum += one.TotalCost
			found = found || one.ID == want.first && one.Name == want.name && one.TotalCost == want.part
		}
		if !found || group != "agent" && sum != spent {
			t.Errorf("%s: %+v adds up to %s of %s", group, things, sum, spent)
		}
		if group == "source" {
			continue
		}
		var stats wire.OneBillingStats
		c.do("GET", "/billing/stats?period=all&breakdown="+group, nil).is(200).into(&stats)
		if len(stats.Stats.Breakdown) != len(things) {
			t.Errorf("%s: %+v", group, stats)
		}
	}
	var threads wire.ThreadCosts
	c.do("GET", "/costs/threads?limit=1&sortBy=totalCost", nil).is(200).into(&threads)
	if threads.Stats.TotalCost != spent || threads.TotalCount != 2 || !threads.HasMore || len(threads.Data) != 1 || threads.Data[0].TotalCost < spent-threads.Data[0].TotalCost {
		t.Errorf("%+v", threads)
	}
	dearest := threads.Data[0].ID
	c.do("GET", "/costs/threads?order=asc&period=week", nil).is(200).into(&threads)
	if len(threads.Data) != 2 || threads.Data[1].ID != dearest || threads.HasMore {
		t.Errorf("%+v", threads)
	}
	c.do("GET", "/costs/threads?agentId="+agent+"&sortBy=duration", nil).is(200).into(&threads)
	if threads.TotalCount != 1 || threads.Stats.TotalCost != thread.TotalCost {
		t.Errorf("%+v", threads)
	}
	var tokens wire.TokenPerformance
	c.do("GET", "/costs/performance/tokens?period=week", nil).is(200).into(&tokens)
	if tokens.Totals.TotalTokens != tokens.Totals.InputTokens+tokens.Totals.OutputTokens || tokens.Totals.TotalTokens == 0 {
		t.Errorf("%+v", tokens)
	}
}

func TestPeriodsOfBills(t *testing.T) {
	h, c := paying(t, agenttest.Responses(agenttest.Message("Done.")))
	c.do("POST", "/threads", `{"content":"hi","stream":false}`).is(200)
	today, day := time.Now().UTC(), 24*time.Hour
	date := func(at time.Time) string { return at.Format(time.DateOnly) }
	tests := map[string]int{ // how many lines, of one
		"":              1,
		"?type=charge":  1,
		"?type=credit":  0,
		"?period=month": 1,
		fmt.Sprintf("?from=%s&to=%s", date(today.Add(-day)), date(today)):                         1,
		fmt.Sprintf("?since=%s&until=%s", today.Add(-day).Format(time.RFC3339), date(today)):      1,
		fmt.Sprintf("?startDate=%s&endDate=%s", date(today.Add(-9*day)), date(today.Add(-5*day))): 0,
		fmt.Sprintf("?from=%s", date(today.Add(2*day))):                                           -1,
	}
	for query, want := range tests {
		r := c.do("GET", "/v1/billing/records"+query, nil)
		if want < 0 {
			r.refused(400, "endDate")
			continue
		}
		var list wire.List[wire.BillingRecord]
		if r.is(200).into(&list); list.TotalCount != want {
			t.Errorf("%q finds %d lines, want %d", query, list.TotalCount, want)
		}
	}
	for path, says := range map[string]string{
		"/billing/records?type=odd": "type", "/billing/daily?startDate=2020-01-01": "400 days", "/billing/summary?from=x": "from must be",
		"/costs/breakdown?groupBy=mood": "groupBy", "/billing/stats?breakdown=source": "breakdown", "/costs/threads?sortBy=x": "sortBy", "/costs/threads?order=x": "order", "/billing/stats?period=eon": "period",
		"/billing/records?limit=0": "from 1 to 100",
	} {
		c.do("GET", path, nil).refused(400, says)
	}
	var daily wire.BillingDays
	c.do("GET", "/billing/daily?from="+date(today.Add(-3*day)), nil).is(200).into(&daily)
	if len(daily.Days) < 4 || daily.Days[0].Date != date(today.Add(-3*day)) || daily.Days[0].Cost != 0 {
		t.Fatalf("%+v", daily)
	}
	reader := as(t, h, h.Key)
	reader.do("POST", "/budget/checkout", `{}`).refused(403, "billing:write")
	_, key := h.NewAccount("rival", 0)
	rival := as(t, h, key)
	var list wire.List[wire.BillingRecord]
	if rival.do("GET", "/billing/records", nil).is(200).into(&list); list.TotalCount != 0 {
		t.Fatalf("%+v", list)
	}
	var account wire.OneBillingAccount
	if rival.do("GET", "/billing/account", nil).is(200).into(&account); account.Account.Status != "suspended" {
		t.Fatalf("%+v", account)
	}
}
