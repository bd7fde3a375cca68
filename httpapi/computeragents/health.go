package computeragents

import (
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

func (a *API) healthRoutes() []door.Route {
	return []door.Route{
		{Method: "GET", Path: "/health", Access: door.Probe, Serve: a.health},
		{Method: "GET", Path: "/healthz", Access: door.Probe, Serve: a.healthz},
		{Method: "GET", Path: "/readyz", Access: door.Probe, Serve: a.readyz},
		{Method: "GET", Path: "/metrics", Access: door.Public, Serve: a.Handle(a.metrics)},
		{Method: "GET", Path: "/metrics/history", Access: door.Public, Serve: a.Handle(a.metricsHistory)},
	}
}

// health serves GET /health, as clients of the dialect read it.
func (a *API) health(c *gin.Context) {
	body := wire.Health{Status: "healthy", Timestamp: wire.At(a.Now()), Uptime: int64(a.Now().Sub(a.began) / time.Second),
		Checks: map[string]string{"cluster": "ok"}, Version: a.version, Node: a.Records.NodeName(a.Records.Self())}
	status := http.StatusOK
	if err := a.notReady(); err != nil {
		status, body.Status, body.Checks["cluster"] = http.StatusServiceUnavailable, "unhealthy", err.Error()
	}
	c.JSON(status, body)
}

// healthz serves GET /healthz: the process answers.
func (a *API) healthz(c *gin.Context) { c.JSON(http.StatusOK, wire.Alive{OK: true, Status: "ok"}) }

// readyz serves GET /readyz: a leader is known, this node's lease holds and it
// does not drain.
func (a *API) readyz(c *gin.Context) {
	if err := a.notReady(); err != nil {
		c.Header("Retry-After", "1")
		c.JSON(http.StatusServiceUnavailable, wire.Alive{Status: "not ready", Message: err.Error()})
		return
	}
	c.JSON(http.StatusOK, wire.Alive{OK: true, Status: "ready"})
}

func (a *API) notReady() error {
	if err := a.Draining(); err != nil {
		return err
	}
	return a.Records.Ready()
}

// metrics serves GET /metrics: totals for people's dashboards, or Prometheus
// text for who asks for it.
func (a *API) metrics(c *gin.Context) error {
	if wantsPrometheus(c) {
		promhttp.HandlerFor(a.gatherer, promhttp.HandlerOpts{}).ServeHTTP(c.Writer, c.Request)
		return nil
	}
	totals, err := a.totals()
	if err == nil {
		a.ok(c, totals)
	}
	return err
}

func wantsPrometheus(c *gin.Context) bool {
	accept := c.GetHeader("Accept")
	return c.Query("format") == "prometheus" || strings.Contains(accept, "text/plain") || strings.Contains(accept, "openmetrics")
}

// metricsHistory serves GET /metrics/history: what ended and was spent on each
// of the usual days, in all accounts, as this node has it.
func (a *API) metricsHistory(c *gin.Context) error {
	today := midnight(a.Now())
	first := today.AddDate(0, 0, 1-usualDays)
	reply, at := wire.MetricsHistory{Count: usualDays}, map[string]int{}
	for i := range usualDays {
		date := first.AddDate(0, 0, i).Format(time.DateOnly)
		at[date] = i
		reply.History = append(reply.History, wire.MetricsDay{Date: date})
	}
	v := a.Records.StaleView()
	defer v.Close()
	err := accounts(v, func(account state.Account) error {
		return v.Tallies(account.ID, state.TallyAll, first, today, func(t state.Tally) bool {
			day := &reply.History[at[t.Day]]
			day.TotalExecutions += t.Runs
			day.TotalTokensUsed += t.InputTokens + t.OutputTokens
			day.TotalCost += wire.USD(t.Spent())
			return true
		})
	})
	if err == nil {
		a.ok(c, reply)
	}
	return err
}

// accountsAtOnce is how many accounts a sum reads per page.
const accountsAtOnce = 1000

// accounts visits all accounts.
func accounts(v *state.View, visit func(state.Account) error) error {
	for page := (state.Page{Limit: accountsAtOnce}); ; page.Offset += accountsAtOnce {
		list, err := v.Accounts(page)
		if err != nil {
			return err
		}
		for _, account := range list.Items {
			if err := visit(account); err != nil {
				return err
			}
		}
		if !list.HasMore(page) {
			return nil
		}
	}
}

// totals sums up all accounts, as this node has them: a figure for a dashboard
// needs no leader.
func (a *API) totals() (sum wire.Totals, err error) {
	v := a.Records.StaleView()
	defer v.Close()
	millis := int64(0)
	err = accounts(v, func(account state.Account) error {
		sum.SuccessfulExecutions += account.Runs.Succeeded
		sum.FailedExecutions += account.Runs.Failed
		sum.CancelledExecutions += account.Runs.Cancelled
		sum.TotalTokensUsed += account.Runs.Tokens
		sum.TotalCost += wire.USD(account.TotalSpent)
		millis += account.Runs.Millis
		return nil
	})
	sum.TotalExecutions = sum.SuccessfulExecutions + sum.FailedExecutions + sum.CancelledExecutions
	if sum.TotalExecutions > 0 {
		sum.AverageDuration = float64(millis) / float64(sum.TotalExecutions)
	}
	return sum, err
}
