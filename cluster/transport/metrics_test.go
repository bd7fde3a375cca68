package transport

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/bothy-computer/bothy/cluster/identity"
)

// value adds up a metric's samples that carry all the label values.
func value(t *testing.T, n *node, name string, labels ...string) (sum float64) {
	t.Helper()
	families, err := n.metrics.Gather()
	must(t, err)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			have := map[string]bool{}
			for _, l := range m.GetLabel() {
				have[l.GetValue()] = true
			}
			all := true
			for _, l := range labels {
				all = all && have[l]
			}
			if all {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func TestMetricsTellWhatHappened(t *testing.T) {
	c := newCluster(t, 2)
	a, b := c.nodes[0], c.nodes[1]
	b.Handle("echo", echo)
	ctx := within(t, 20*time.Second)
	for range 3 {
		_, err := a.Call(ctx, b.id, "echo", make([]byte, 1000))
		must(t, err)
	}
	a.Call(ctx, "6a2f41a3-c54c-4ce8-b2d2-0324e1c32e22", "echo", nil)
	knock(t, b.Addr().String(), []string{protoCalls})

	if got := value(t, a, "bothy_transport_calls_total", "normal", callDone); got != 3 {
		t.Errorf("calls: %v", got)
	}
	if got := value(t, b, "bothy_transport_calls_served_total", callDone); got != 3 {
		t.Errorf("calls served: %v", got)
	}
	if out, in := value(t, a, "bothy_transport_bytes_total", protoCalls, "out"), value(t, a, "bothy_transport_bytes_total", protoCalls, "in"); out < 3000 || in < 3000 {
		t.Errorf("bytes: %v out, %v in", out, in)
	}
	if got := value(t, a, "bothy_transport_nacks_total", string(UnknownNode)); got != 1 {
		t.Errorf("nacks: %v", got)
	}
	eventually(t, "the stranger is counted", func() bool { return value(t, b, "bothy_transport_refused_total") == 1 })
	left := time.Duration(value(t, a, "bothy_certificate_remaining_seconds")) * time.Second
	if left < identity.CertificateLifetime-time.Hour || left > identity.CertificateLifetime {
		t.Errorf("certificate: %v left", left)
	}
	families, err := a.metrics.Gather()
	must(t, err)
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	must(t, err)
	for _, p := range problems {
		t.Errorf("metric %s: %s", p.Metric, p.Text)
	}
}
