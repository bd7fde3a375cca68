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

// accountsAtOnce is how many accounts a sum reads per page.
const accountsAtOnce = 1000

// totals sums up all accounts, as this node has them: a figure for a dashboard
// needs no leader.
func (a *API) totals() (sum wire.Totals, err error) {
	v := a.Records.StaleView()
	defer v.Close()
	millis := int64(0)
	for page := (state.Page{Limit: accountsAtOnce}); ; page.Offset += accountsAtOnce {
		list, err := v.Accounts(page)
		if err != nil {
			return sum, err
		}
		for _, account := range list.Items {
			sum.SuccessfulExecutions += account.Runs.Succeeded
			sum.FailedExecutions += account.Runs.Failed
			sum.CancelledExecutions += account.Runs.Cancelled
			sum.TotalTokensUsed += account.Runs.Tokens
			sum.TotalCost += wire.USD(account.TotalSpent)
			millis += account.Runs.Millis
		}
		if !list.HasMore(page) {
			break
		}
	}
	sum.TotalExecutions = sum.SuccessfulExecutions + sum.FailedExecutions + sum.CancelledExecutions
	if sum.TotalExecutions > 0 {
		sum.AverageDuration = float64(millis) / float64(sum.TotalExecutions)
	}
	return sum, nil
}
