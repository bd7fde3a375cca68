package members

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// register makes the metrics of one node and returns the counter of failed
// attempts to meet seeds.
func (m *Members) register(reg prometheus.Registerer) prometheus.Counter {
	f := promauto.With(reg)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "bothy_members_alive", Help: "Members that seem alive, this node included.",
	}, func() float64 { return float64(m.roster.alive()) })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "bothy_members_health_score", Help: "How late this node's own gossip runs; 0 is healthy.",
	}, func() float64 { return float64(m.list.GetHealthScore()) })
	return f.NewCounter(prometheus.CounterOpts{
		Name: "bothy_members_seed_failures_total", Help: "Rounds in which missing seeds did not answer.",
	})
}
