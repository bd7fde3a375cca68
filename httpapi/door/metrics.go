package door

import (
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/bothy-computer/bothy/cluster/state"
)

// Results of the request limiter.
const (
	limitAdmitted  = "admitted"
	limitRefused   = "refused"
	limitUncounted = "uncounted" // no leader to count it
)

// NoRoute is the route label of requests that match none.
const NoRoute = "none"

// Metrics is what the doors of one node count. Labels are closed lists:
// dialects, route patterns, status classes.
type Metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	limiter  *prometheus.CounterVec
	payment  *prometheus.CounterVec
	streams  *prometheus.GaugeVec
	dropped  *prometheus.CounterVec
}

// NewMetrics registers the doors' metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	m := &Metrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "bothy_http_requests_total", Help: "HTTP requests answered, by dialect, route and class of status.",
		}, []string{"dialect", "route", "class"}),
		seconds: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "bothy_http_request_seconds", Help: "Time to answer an HTTP request; streams are not counted.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 12),
		}, []string{"dialect", "route"}),
		limiter: f.NewCounterVec(prometheus.CounterOpts{
			Name: "bothy_http_limiter_decisions_total", Help: "Requests that met the request limiter, by what it decided.",
		}, []string{"dialect", "result"}),
		payment: f.NewCounterVec(prometheus.CounterOpts{
			Name: "bothy_http_payment_refusals_total", Help: "Requests refused with 402, by the bound that was met.",
		}, []string{"reason"}),
		streams: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "bothy_http_streams_open", Help: "Event streams open now.",
		}, []string{"dialect"}),
		dropped: f.NewCounterVec(prometheus.CounterOpts{
			Name: "bothy_http_streams_ended_total", Help: "Event streams that ended, by why.",
		}, []string{"dialect", "reason"}),
	}
	for _, code := range []string{state.CodeBudget, state.CodeDaily, state.CodeMonthly, ""} {
		m.payment.WithLabelValues(reasonOf(code))
	}
	return m
}

// begin has what a dialect counts begin at nothing, so that its first time is
// seen as an increase.
func (m *Metrics) begin(dialect string) {
	m.streams.WithLabelValues(dialect)
	for _, result := range []string{limitAdmitted, limitRefused, limitUncounted} {
		m.limiter.WithLabelValues(dialect, result)
	}
}

// count counts the requests of a route.
func (d *Door) count(route string) gin.HandlerFunc {
	return func(c *gin.Context) {
		begun := d.Now()
		defer func() { d.Metrics.request(d.Name, route, c, d.Now().Sub(begun)) }()
		c.Next()
	}
}

func (m *Metrics) request(dialect, route string, c *gin.Context, took time.Duration) {
	m.requests.WithLabelValues(dialect, route, class(c.Writer.Status())).Inc()
	if c.Writer.Header().Get("Content-Type") != streamType {
		m.seconds.WithLabelValues(dialect, route).Observe(took.Seconds())
	}
}

// Unrouted counts a request that matched no route.
func (m *Metrics) Unrouted(c *gin.Context) {
	m.requests.WithLabelValues(NoRoute, NoRoute, class(c.Writer.Status())).Inc()
}

func class(status int) string {
	if status < 100 || status > 599 {
		return "none"
	}
	return strconv.Itoa(status/100) + "xx"
}

func (m *Metrics) limited(dialect, result string) { m.limiter.WithLabelValues(dialect, result).Inc() }

func (m *Metrics) unpaid(code string) { m.payment.WithLabelValues(reasonOf(code)).Inc() }

// reasonOf is the bound that a code of a refusal for money names.
func reasonOf(code string) string {
	switch code {
	case state.CodeBudget:
		return "budget"
	case state.CodeDaily:
		return "daily_limit"
	case state.CodeMonthly:
		return "monthly_limit"
	}
	return "other"
}
