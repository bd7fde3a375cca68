package cluster

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics is made once for each node.
type metrics struct {
	commit        prometheus.Histogram
	apply         prometheus.Histogram
	log           prometheus.Histogram
	command       prometheus.Histogram
	batch         prometheus.Histogram
	leaderChanges prometheus.Counter
	expired       prometheus.Counter
	moved         prometheus.Counter
}

// fastSeconds are buckets from 50 µs to about 12 s.
var fastSeconds = prometheus.ExponentialBuckets(0.00005, 2.4, 15)

func newMetrics(reg prometheus.Registerer, c *Cluster) *metrics {
	f := promauto.With(reg)
	seconds := func(name, help string) prometheus.Histogram {
		return f.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: fastSeconds})
	}
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string, value func() float64) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	gauge("bothy_raft_applied_index", "Index of the newest log entry in this node's records.",
		func() float64 { return float64(c.fsm.applied.position()) })
	gauge("bothy_raft_leader", "1 on the node that leads, 0 on others.", func() float64 { return truth(c.reign.Load() != nil) })
	gauge("bothy_lease_margin_seconds", "Time until this node must stop acting unless its lease is renewed; negative when it must not act.",
		func() float64 { return c.lease.margin().Seconds() })
	gauge("bothy_store_full", "1 when the disk is too full to write records.", func() float64 { return truth(c.full.Load()) })
	return &metrics{
		commit:        seconds("bothy_raft_commit_seconds", "Time from proposing an entry on the leader until it is committed and applied there."),
		apply:         seconds("bothy_raft_apply_seconds", "Time to apply a batch of committed entries to the records."),
		log:           seconds("bothy_raft_log_write_seconds", "Time to write entries to the log, durably."),
		command:       seconds("bothy_command_seconds", "Time from a command to its result on the node that gave it."),
		batch:         f.NewHistogram(prometheus.HistogramOpts{Name: "bothy_raft_entry_commands", Help: "Commands in one log entry.", Buckets: prometheus.ExponentialBuckets(1, 2, 12)}),
		leaderChanges: counter("bothy_raft_leader_changes_total", "Times this node saw another leader than before."),
		expired:       counter("bothy_leases_expired_total", "Leases that this node ended while it led."),
		moved:         counter("bothy_computers_moved_total", "Computers that this node, while it led, gave to another owner after a lease ran out."),
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
