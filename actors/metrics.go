package actors

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
)

// metrics is made once for each node, never held in a package variable, so
// that one test process can run three nodes.
type metrics struct {
	actors   *prometheus.GaugeVec
	panics   *prometheus.CounterVec
	full     *prometheus.CounterVec
	letters  *prometheus.GaugeVec
	mailbox  *prometheus.HistogramVec
	ask      *prometheus.HistogramVec
	runs     *prometheus.CounterVec
	steps    *prometheus.HistogramVec
	tokens   *prometheus.CounterVec
	reserved *prometheus.CounterVec
	create   *prometheus.HistogramVec
	exec     prometheus.Histogram
	still    prometheus.Histogram
	batch    prometheus.Histogram
	builds   *prometheus.HistogramVec
	ticks    *prometheus.CounterVec
	late     prometheus.Histogram
	webhooks *prometheus.CounterVec
	saves    *prometheus.HistogramVec
	read     prometheus.Counter
	sent     prometheus.Counter
	restores *prometheus.HistogramVec
	moves    *prometheus.HistogramVec
	carried  prometheus.Counter
	foreign  prometheus.Gauge
	cost     *prometheus.CounterVec
	deeds    *prometheus.CounterVec
	left     *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	fast := prometheus.ExponentialBuckets(0.0001, 4, 10)
	slow := prometheus.ExponentialBuckets(0.01, 2, 14)
	kind := []string{"kind"}
	m := &metrics{
		actors:   f.NewGaugeVec(prometheus.GaugeOpts{Name: "bothy_actors", Help: "Live actors."}, kind),
		panics:   f.NewCounterVec(prometheus.CounterOpts{Name: "bothy_actor_panics_total", Help: "Panics that the guard kept inside an actor."}, kind),
		full:     f.NewCounterVec(prometheus.CounterOpts{Name: "bothy_actor_mailbox_full_total", Help: "Letters refused because a mailbox was full."}, kind),
		letters:  f.NewGaugeVec(prometheus.GaugeOpts{Name: "bothy_actor_mailbox_letters", Help: "Letters that wait in mailboxes or are being handled."}, kind),
		mailbox:  f.NewHistogramVec(prometheus.HistogramOpts{Name: "bothy_actor_mailbox_wait_seconds", Help: "Time a letter waited in its mailbox.", Buckets: fast}, kind),
		ask:      f.NewHistogramVec(prometheus.HistogramOpts{Name: "bothy_actor_ask_seconds", Help: "Time from asking an actor to its answer.", Buckets: fast}, kind),
		runs:     f.NewCounterVec(prometheus.CounterOpts{Name: "bothy_runs_total", Help: "Runs ended on this node, by outcome."}, []string{"outcome"}),
		steps:    f.NewHistogramVec(prometheus.HistogramOpts{Name: "bothy_model_call_seconds", Help: "Time of model calls, by vendor and result.", Buckets: slow}, []string{"vendor", "result"}),
		tokens:   f.NewCounterVec(prometheus.CounterOpts{Name: "bothy_tokens_total", Help: "Tokens of model calls, by vendor and direction."}, []string{"vendor", "direction"}),
		reserved: f.NewCounterVec(prometheus.CounterOpts{Name: "bothy_reservations_total", Help: "Reservations by what became of them.", ConstLabels: nil}, []string{"result"}),
		create:   f.NewHistogramVec(prometheus.HistogramOpts{Name: "bothy_computer_ready_seconds", Help: "Time for a computer to be ready, by how it was had.", Buckets: slow}, []string{"tier"}),
		exec:     f.NewHistogram(prometheus.HistogramOpts{Name: "bothy_exec_seconds", Help: "Time of commands run in computers, from asking to their end.", Buckets: slow}),
		still:    f.NewHistogram(prometheus.HistogramOpts{Name: "bothy_snapshot_still_seconds", Help: "Time that computers stood still for a snapshot.", Buckets: fast}),
		ticks:    f.NewCounterVec(prometheus.CounterOpts{Name: "bothy_schedule_ticks_total", Help: "Ticks of schedules that this node took, by what came of them."}, []string{"result"}),
		late:     f.NewHistogram(prometheus.HistogramOpts{Name: "bothy_schedule_late_seconds", Help: "Time from a tick to when its run was recorded.", Buckets: slow}),
		builds:   f.NewHistogramVec(prometheus.HistogramOpts{Name: "bothy_build_seconds", Help: "Time of builds of images, by how they ended.", Buckets: slow}, []string{"result"}),
		webhooks: f.NewCounterVec(prometheus.CounterOpts{Name: "bothy_webhook_deliveries_total", Help: "Tries to deliver to webhooks, by result."}, []string{"result"}),
		saves:    f.NewHistogramVec(prometheus.HistogramOpts{Name: "bothy_save_seconds", Help: "Time of saves of disks to the blob store, by how they ended.", Buckets: slow}, []string{"result"}),
		read:     f.NewCounter(prometheus.CounterOpts{Name: "bothy_save_read_bytes_total", Help: "Bytes of files that saves read."}),
		sent:     f.NewCounter(prometheus.CounterOpts{Name: "bothy_save_sent_bytes_total", Help: "Bytes that saves sent to the blob store."}),
		moves:    f.NewHistogramVec(prometheus.HistogramOpts{Name: "bothy_disk_send_seconds", Help: "Time to send computers' disks, or what changed in them, to another node, by how it ended.", Buckets: slow}, []string{"result"}),
		carried:  f.NewCounter(prometheus.CounterOpts{Name: "bothy_disk_send_bytes_total", Help: "Bytes of computers' disks that were sent to other nodes."}),
		restores: f.NewHistogramVec(prometheus.HistogramOpts{Name: "bothy_restore_seconds", Help: "Time to make computers' disks from the blob store, by how it ended.", Buckets: slow}, []string{"result"}),
		foreign:  f.NewGauge(prometheus.GaugeOpts{Name: "bothy_saves_unknown_computers", Help: "Computers in the blob store that this cluster has no record of, as the leading node last saw."}),
		batch:    f.NewHistogram(prometheus.HistogramOpts{Name: "bothy_thread_batch_events", Help: "Events in one committed batch of a thread's log.", Buckets: prometheus.ExponentialBuckets(1, 2, 9)}),
		cost:     f.NewCounterVec(prometheus.CounterOpts{Name: "bothy_model_cost_usd_total", Help: "What model calls of this node cost, by vendor."}, []string{"vendor"}),
		deeds:    f.NewCounterVec(prometheus.CounterOpts{Name: "bothy_audit_uses_total", Help: "Commands, file operations and logins through this node, by whether the audit log was told of them."}, []string{"result"}),
		left:     f.NewCounterVec(prometheus.CounterOpts{Name: "bothy_departures_total", Help: "Tries to move a computer off this node, to drain it or to even out nodes, by how they ended."}, []string{"result"}),
	}
	m.begin()
	return m
}

// begin has what may come to pass begin at nothing, so that its first time is
// seen as an increase.
func (m *metrics) begin() {
	for _, k := range []kindOf{threadKind, computerKind, buildKind, pullKind} {
		m.panics.WithLabelValues(string(k))
		m.full.WithLabelValues(string(k))
		m.actors.WithLabelValues(string(k))
	}
	for _, word := range []string{"completed", "output_limit", "refused", "step_limit", "failed", "cancelled", "timeout", "budget", "computer", "internal"} {
		m.runs.WithLabelValues(word)
	}
	for _, tier := range []string{"new", "restarted"} {
		m.create.WithLabelValues(tier)
	}
	for _, result := range []string{"opened", "settled", "expired"} {
		m.reserved.WithLabelValues(result)
	}
	for _, result := range []string{"fired", "missed", "refused"} {
		m.ticks.WithLabelValues(result)
	}
	for _, result := range []string{"succeeded", "failed"} {
		m.builds.WithLabelValues(result)
		m.saves.WithLabelValues(result)
		m.restores.WithLabelValues(result)
		m.left.WithLabelValues(result)
	}
	for _, result := range []string{"arrived", "failed"} {
		m.webhooks.WithLabelValues(result)
	}
	for _, result := range []string{"told", "dropped"} {
		m.deeds.WithLabelValues(result)
	}
}

// maxWaitingBuilds bounds the builds that are counted.
const maxWaitingBuilds = 1000

// watch exports what the records know of money held and of builds.
func (m *metrics) watch(reg prometheus.Registerer, c Cluster, now func() time.Time) {
	promauto.With(reg).NewGaugeFunc(prometheus.GaugeOpts{Name: "bothy_builds_waiting", Help: "Builds that wait for a node, in the whole cluster; 1000 is as many or more."}, func() float64 {
		waiting, err := applied(c, func(v *state.View) ([]state.Build, error) { return v.WaitingBuilds(now(), maxWaitingBuilds) })
		if err != nil {
			return -1
		}
		return float64(len(waiting))
	})
	promauto.With(reg).NewGaugeFunc(prometheus.GaugeOpts{Name: "bothy_reservations_open", Help: "Reservations not settled yet, in the whole cluster."}, func() float64 {
		n, err := applied(c, (*state.View).OpenReservations)
		if err != nil {
			return -1
		}
		return float64(n)
	})
}

func (m *metrics) live(k kindOf, n int) { m.actors.WithLabelValues(string(k)).Set(float64(n)) }
func (m *metrics) panicked(k kindOf)    { m.panics.WithLabelValues(string(k)).Inc() }
func (m *metrics) refused(k kindOf)     { m.full.WithLabelValues(string(k)).Inc() }
func (m *metrics) waited(k kindOf, d time.Duration) {
	m.mailbox.WithLabelValues(string(k)).Observe(d.Seconds())
}
func (m *metrics) admitted(k kindOf) { m.letters.WithLabelValues(string(k)).Inc() }
func (m *metrics) handled(k kindOf)  { m.letters.WithLabelValues(string(k)).Dec() }
func (m *metrics) asked(k kindOf, d time.Duration) {
	m.ask.WithLabelValues(string(k)).Observe(d.Seconds())
}
func (m *metrics) ended(outcome string)                 { m.runs.WithLabelValues(outcome).Inc() }
func (m *metrics) reservation(result string, n float64) { m.reserved.WithLabelValues(result).Add(n) }

// paid counts what a model call cost.
func (m *metrics) paid(vendor string, cost state.MicroUSD) {
	m.cost.WithLabelValues(vendor).Add(float64(cost) / 1e6)
}

// ticked notes what came of a schedule's ticks: one that fired, or was refused,
// and those that passed before it.
func (m *metrics) ticked(fired, refused bool, missed int64, late time.Duration) {
	m.ticks.WithLabelValues("missed").Add(float64(missed))
	switch {
	case fired:
		m.ticks.WithLabelValues("fired").Inc()
		m.late.Observe(late.Seconds())
	case refused:
		m.ticks.WithLabelValues("refused").Inc()
	}
}

// built notes a build that ended.
func (m *metrics) built(well bool, took time.Duration) {
	result := "failed"
	if well {
		result = "succeeded"
	}
	m.builds.WithLabelValues(result).Observe(took.Seconds())
}

// delivered counts a try to deliver to a webhook.
func (m *metrics) delivered(arrived bool) {
	result := "arrived"
	if !arrived {
		result = "failed"
	}
	m.webhooks.WithLabelValues(result).Inc()
}

// saved notes a save that ended.
func (m *metrics) saved(s runtime.Saved, took time.Duration, err error) {
	m.saves.WithLabelValues(resultOf(err)).Observe(took.Seconds())
	m.read.Add(float64(s.Read))
	m.sent.Add(float64(s.Sent))
}

// moved notes a disk, or what changed in it, that was sent to another node.
func (m *metrics) moved(s runtime.Saved, took time.Duration, err error) {
	m.moves.WithLabelValues(resultOf(err)).Observe(took.Seconds())
	m.carried.Add(float64(s.Sent))
}

// restored notes a disk that was, or could not be, made from a save.
func (m *metrics) restored(took time.Duration, err error) {
	m.restores.WithLabelValues(resultOf(err)).Observe(took.Seconds())
}

func resultOf(err error) string {
	if err != nil {
		return "failed"
	}
	return "succeeded"
}

// departed notes a try to move a computer off this node.
func (m *metrics) departed(err error) { m.left.WithLabelValues(resultOf(err)).Inc() }

// watchDrain exports whether this node gives away what it has, and what cannot go.
func (m *metrics) watchDrain(reg prometheus.Registerer, draining func() bool, d *departures) {
	f := promauto.With(reg)
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "bothy_node_draining", Help: "1 while this node drains: it takes nothing new and gives away what it has."}, func() float64 {
		if draining() {
			return 1
		}
		return 0
	})
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "bothy_departures_staying", Help: "Computers that are to leave this node and could not when it was last tried."}, func() float64 {
		return float64(d.staying())
	})
}

// watchSaves exports how old the oldest change on this node is that no save has.
func (m *metrics) watchSaves(reg prometheus.Registerer, s *savings, now func() time.Time) {
	promauto.With(reg).NewGaugeFunc(prometheus.GaugeOpts{Name: "bothy_unsaved_seconds", Help: "Age of the oldest change of a computer of this node that is not in the blob store; 0 without any."}, func() float64 {
		return s.age(now()).Seconds()
	})
}
