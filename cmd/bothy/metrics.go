package main

import (
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// shownCertificates tells how long the certificates last that clients are shown.
type shownCertificates struct {
	shown     *certificates
	remaining *prometheus.Desc
	now       func() time.Time
}

func newShownCertificates(c *certificates, now func() time.Time) shownCertificates {
	return shownCertificates{c, prometheus.NewDesc("bothy_tls_certificate_remaining_seconds",
		"Time until a certificate that clients were shown by TLS expires, by name (file is the operator's own); negative when it has.",
		[]string{"name"}, nil), now}
}

// Describe implements prometheus.Collector.
func (m shownCertificates) Describe(to chan<- *prometheus.Desc) { to <- m.remaining }

// Collect implements prometheus.Collector.
func (m shownCertificates) Collect(to chan<- prometheus.Metric) {
	m.shown.mu.Lock()
	until := maps.Clone(m.shown.until)
	m.shown.mu.Unlock()
	for name, at := range until {
		to <- prometheus.MustNewConstMetric(m.remaining, prometheus.GaugeValue, at.Sub(m.now()).Seconds(), name)
	}
}

// export tells which build this node is and what room its machine has left.
func (n *node) export() {
	f := promauto.With(n.registry)
	f.NewGauge(prometheus.GaugeOpts{Name: "bothy_build_info", Help: "1, with the version of this node's build.",
		ConstLabels: prometheus.Labels{"version": buildVersion()}}).Set(1)
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "bothy_node_memory_free_bytes", Help: "Memory that this node has left for computers."},
		func() float64 { return float64(n.machine.room().FreeMemoryBytes) })
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "bothy_node_disk_free_bytes", Help: "Disk that this node has left for computers, what its pool may grow by included."},
		func() float64 { return float64(n.machine.room().FreeDiskBytes) })
}
