package sshgate

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	logins   *prometheus.CounterVec
	channels *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bothy_ssh_logins_total", Help: "SSH connections by what became of them: admitted, refused, or crowded out before login.",
		}, []string{"result"}),
		channels: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "bothy_ssh_channels", Help: "Open SSH channels through this node, by kind.",
		}, []string{"kind"}),
	}
	for _, result := range []string{"admitted", "refused", "crowded"} {
		m.logins.WithLabelValues(result)
	}
	r.MustRegister(m.logins, m.channels)
	return m
}

func (m *metrics) login(result string) { m.logins.WithLabelValues(result).Inc() }

// channel counts an open channel until the returned function is called.
func (m *metrics) channel(kind string) func() {
	gauge := m.channels.WithLabelValues(kind)
	gauge.Inc()
	return gauge.Dec
}
