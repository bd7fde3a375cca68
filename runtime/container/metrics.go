package container

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/bothy-computer/bothy/runtime"
)

// Registerer is where an owner of drivers wants their metrics.
type Registerer = prometheus.Registerer

// metrics is made once for each driver. Its labels are closed lists.
type metrics struct {
	start *prometheus.HistogramVec // time of Start, by how it began
	exec  prometheus.Histogram     // time until Exec has returned
}

// How a start began.
const (
	startCold = "cold"
	startWarm = "warm" // a blank computer was claimed before
)

func newMetrics(reg prometheus.Registerer, d *Driver) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		start: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "bothy_computer_start_seconds", Help: "Time to start a computer until its guest answers.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15),
		}, []string{"from"}),
		exec: f.NewHistogram(prometheus.HistogramOpts{
			Name: "bothy_computer_exec_seconds", Help: "Time that commands in computers took, from request to end.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 12),
		}),
	}
	for _, from := range []string{startCold, startWarm} {
		m.start.WithLabelValues(from)
	}
	stock := func(name, help string, value func(Stock) float64) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return value(d.Stock()) })
	}
	stock("bothy_warm_computers", "Blank computers ready to be claimed.", func(s Stock) float64 { return float64(s.Ready) })
	for result, value := range map[string]func(Stock) int64{
		"found": func(s Stock) int64 { return s.Claimed }, "none": func(s Stock) int64 { return s.Missed },
	} {
		f.NewCounterFunc(prometheus.CounterOpts{
			Name: "bothy_warm_claims_total", Help: "Creates that looked for a blank computer, by result.",
			ConstLabels: prometheus.Labels{"result": result},
		}, func() float64 { return float64(value(d.Stock())) })
	}
	if reg != nil {
		reg.MustRegister(phases{d})
	}
	f.NewCounterFunc(prometheus.CounterOpts{
		Name: "bothy_computers_cpu_seconds_total", Help: "Processor time of the node's cgroup of computers.",
	}, d.groupCPU)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "bothy_computers_memory_bytes", Help: "Memory that the node's cgroup of computers holds.",
	}, d.groupMemory)
	return m
}

// phases counts computers when it is scraped.
type phases struct{ d *Driver }

var phasesDesc = prometheus.NewDesc("bothy_computers", "Computers on this node, by phase.", []string{"phase"}, nil)

func (phases) Describe(to chan<- *prometheus.Desc) { to <- phasesDesc }

func (p phases) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	all, err := p.d.List(ctx)
	if err != nil {
		to <- prometheus.NewInvalidMetric(phasesDesc, err)
		return
	}
	counts := map[runtime.Phase]int{runtime.Created: 0, runtime.Running: 0, runtime.Frozen: 0, runtime.Stopped: 0}
	for _, st := range all {
		counts[st.Phase]++
	}
	for phase, n := range counts {
		to <- prometheus.MustNewConstMetric(phasesDesc, prometheus.GaugeValue, float64(n), string(phase))
	}
}

func (d *Driver) groupCPU() float64 {
	used, err := d.group.CPU()
	if err != nil {
		return 0 // no computer ran yet
	}
	return used.Seconds()
}

func (d *Driver) groupMemory() float64 {
	held, err := d.group.Memory()
	if err != nil {
		return 0
	}
	return float64(held)
}
