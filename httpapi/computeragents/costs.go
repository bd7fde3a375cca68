package computeragents

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

func (a *API) costRoutes() []door.Route {
	read := []string{readBilling, writeBilling}
	return []door.Route{
		{Method: "GET", Path: "/costs/summary", Scopes: read, Serve: a.Handle(a.costs)},
		{Method: "GET", Path: "/costs/breakdown", Scopes: read, Serve: a.Handle(a.costBreakdown)},
		{Method: "GET", Path: "/costs/threads", Scopes: read, Serve: a.Handle(a.threadCosts)},
		{Method: "GET", Path: "/costs/performance/tokens", Scopes: read, Serve: a.Handle(a.tokenPerformance)},
	}
}

// costs serves GET /costs/summary.
func (a *API) costs(c *gin.Context) error {
	s, err := a.span(c, "month")
	if err != nil {
		return err
	}
	u, err := a.used(c, s, "")
	if err != nil {
		return err
	}
	t := u.all
	reply := wire.CostSummary{Period: s.period, StartDate: wire.Maybe(s.from), EndDate: wire.At(s.to), ByDay: []wire.CostDay{},
		Totals: wire.CostTotals{TotalCost: wire.USD(t.Spent()), AgentCost: wire.USD(t.Models), EnvironmentCost: wire.USD(t.Computers),
			TotalThreads: t.Threads, TotalRuns: t.Runs, InputTokens: t.InputTokens, OutputTokens: t.OutputTokens}}
	for _, d := range u.days {
		reply.ByDay = append(reply.ByDay, wire.CostDay{Date: d.Day, TotalCost: wire.USD(d.Spent()), AgentCost: wire.USD(d.Models),
			EnvironmentCost: wire.USD(d.Computers), ThreadCount: d.Threads, RunCount: d.Runs, InputTokens: d.InputTokens, OutputTokens: d.OutputTokens})
	}
	a.ok(c, reply)
	return nil
}

// kindsOfCost are what costs can be told by; a source is no tally of its own.
var kindsOfCost = map[string]state.TallyKind{
	"environment": state.TallyEnvironment, "project": state.TallyEnvironment, "agent": state.TallyAgent, "model": state.TallyModel, "source": "",
}

// costBreakdown serves GET /costs/breakdown.
func (a *API) costBreakdown(c *gin.Context) error {
	s, err := a.span(c, "month")
	if err != nil {
		return err
	}
	group := c.DefaultQuery("groupBy", "environment")
	kind, known := kindsOfCost[group]
	if !known || group == "project" {
		return invalid("groupBy", "groupBy must be environment, agent, model or source")
	}
	u, err := a.used(c, s, kind)
	if err != nil {
		return err
	}
	reply := wire.CostBreakdown{GroupBy: group, Period: s.period, StartDate: wire.At(s.since(u.account)), EndDate: wire.At(s.to)}
	things := u.things()
	switch group {
	case "environment":
		reply.Environments = things
	case "agent":
		reply.Agents = things
	case "model":
		reply.Models = things
	case "source":
		reply.Sources = []wire.CostOfThing{
			{ID: "models", Name: "Model calls", TotalCost: wire.USD(u.all.Models), AgentCost: wire.USD(u.all.Models), ThreadCount: u.all.Threads,
				RunCount: u.all.Runs, InputTokens: u.all.InputTokens, OutputTokens: u.all.OutputTokens},
			{ID: "computers", Name: "Computers", TotalCost: wire.USD(u.all.Computers), EnvironmentCost: wire.USD(u.all.Computers)},
		}
	}
	a.ok(c, reply)
	return nil
}

// tokenPerformance serves GET /costs/performance/tokens.
func (a *API) tokenPerformance(c *gin.Context) error {
	s, err := a.span(c, "month")
	if err != nil {
		return err
	}
	u, err := a.used(c, s, "")
	if err != nil {
		return err
	}
	reply := wire.TokenPerformance{Period: s.period, ByDay: []wire.TokenDay{}, Totals: tokensOf(u.all)}
	for _, d := range u.days {
		reply.ByDay = append(reply.ByDay, wire.TokenDay{Date: d.Day, TokenTotals: tokensOf(d)})
	}
	a.ok(c, reply)
	return nil
}

func tokensOf(t state.Tally) wire.TokenTotals {
	return wire.TokenTotals{InputTokens: t.InputTokens, OutputTokens: t.OutputTokens, CacheTokens: t.CachedTokens, TotalTokens: t.InputTokens + t.OutputTokens}
}

func (u used) things() []wire.CostOfThing {
	things := []wire.CostOfThing{}
	for _, t := range u.by {
		things = append(things, costOf(t, u.names[t.Key]))
	}
	return things
}

// talliedBy adds up the days of each key of a kind.
func talliedBy(v *state.View, account state.AccountID, kind state.TallyKind, from, to time.Time) ([]state.Tally, error) {
	sums := map[string]state.Tally{}
	err := v.Tallies(account, kind, from, to, func(t state.Tally) bool {
		sum := sums[t.Key]
		sum.Key = t.Key
		sum.Add(t)
		sums[t.Key] = sum
		return true
	})
	var by []state.Tally
	for _, sum := range sums {
		by = append(by, sum)
	}
	slices.SortFunc(by, func(x, y state.Tally) int {
		return cmp.Or(cmp.Compare(y.Spent(), x.Spent()), strings.Compare(x.Key, y.Key))
	})
	return by, err
}

// name finds what the things of a kind are called now; one that is gone has its id.
func (u *used) name(v *state.View, account state.AccountID, kind state.TallyKind) error {
	for _, t := range u.by {
		name := ""
		var err error
		switch kind {
		case state.TallyEnvironment:
			name, err = nameOfPlace(v, account, t.Key)
		case state.TallyAgent:
			var agent state.Agent
			agent, err = v.Agent(account, state.AgentID(t.Key))
			name = agent.Name
		}
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		u.names[t.Key] = cmp.Or(name, t.Key)
	}
	return nil
}

// nameOfPlace is an environment's name, or that of a computer that has none.
func nameOfPlace(v *state.View, account state.AccountID, key string) (string, error) {
	e, err := v.Environment(account, state.EnvironmentID(key))
	if !fault.Is(err, fault.NotFound) {
		return e.Name, err
	}
	computer, err := v.Computer(account, state.ComputerID(key))
	return computer.Name, err
}
