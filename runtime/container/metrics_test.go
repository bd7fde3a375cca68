package container

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

func TestMetricsSayWhatIsThere(t *testing.T) {
	n := newNode(t, 0)
	reg := prometheus.NewPedanticRegistry()
	n.metrics = newMetrics(reg, n.Driver)
	id := n.started(n.spec())
	if err := n.Create(t.Context(), 1, n.spec()); err != nil {
		t.Fatal(err)
	}
	n.says(id, "", "true")
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := promlint.NewWithMetricFamilies(all).Lint(); err != nil || len(problems) != 0 {
		t.Errorf("%v, %v", problems, err)
	}
	got := map[string]float64{}
	for _, family := range all {
		for _, m := range family.GetMetric() {
			label := ""
			for _, l := range m.GetLabel() {
				label = "/" + l.GetValue()
			}
			got[family.GetName()+label] = m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	for name, want := range map[string]float64{
		"bothy_computers/running": 1, "bothy_computers/created": 1, "bothy_computers/frozen": 0,
		"bothy_computer_start_seconds/cold": 1, "bothy_computer_start_seconds/warm": 0, "bothy_computer_exec_seconds": 1,
		"bothy_warm_computers": 0,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v, %v; want %v", name, v, ok, want)
		}
	}
	if got["bothy_computers_memory_bytes"] <= 0 {
		t.Error("computers hold no memory")
	}
}
