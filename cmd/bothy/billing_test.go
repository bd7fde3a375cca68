package main

import (
	"testing"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

func TestVerbsOfBilling(t *testing.T) {
	costs := wire.CostSummary{Totals: wire.CostTotals{TotalCost: 1_500_001, AgentCost: 1_500_000, EnvironmentCost: 1}}
	days := wire.BillingDays{Days: []wire.BillingDay{{Date: "2026-01-31", Cost: 20, Runs: 3}}}
	records := wire.ListOf([]wire.BillingRecord{{ID: "rec_1", Type: "computer", Amount: 7, Description: "Computer x"}}, false, 1)
	stats := wire.OneBillingStats{Stats: wire.BillingStats{Breakdown: []wire.CostOfThing{{ID: "agent_1", Name: "planner", TotalCost: 9}}}}
	tests := map[string]verb{
		"summary": {"billing summary --period week", "GET /v1/costs/summary", costs, "GET /v1/costs/summary?period=week", []string{"$1.500001", "$0.000001"}},
		"daily":   {"billing daily --from 2026-01-01 --to 2026-01-31", "GET /v1/billing/daily", days, "GET /v1/billing/daily?endDate=2026-01-31&startDate=2026-01-01", []string{"2026-01-31", "$0.00002"}},
		"records": {"billing records --type computer --limit 5", "GET /v1/billing/records", records, "GET /v1/billing/records?limit=5&type=computer", []string{"rec_1", "Computer x"}},
		"by":      {"billing by agent", "GET /v1/billing/stats", stats, "GET /v1/billing/stats?breakdown=agent", []string{"planner", "$0.000009"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { tt.check(t) })
	}
}
