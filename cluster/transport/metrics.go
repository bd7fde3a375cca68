package transport

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/bothy-computer/bothy/cluster/identity"
)

// Why a connection was not let in.
const (
	refusedBusy        = "busy"
	refusedMember      = "not_a_member"
	refusedCertificate = "certificate"
	refusedHandshake   = "handshake"
	refusedJoin        = "join"
)

// How a call ended, seen from its caller.
const (
	callDone    = "done"
	callFault   = "fault"   // the other node answered with a fault
	callNack    = "nack"    // it was not delivered, or the answer was lost
	callTimeout = "timeout" // the caller's deadline came first
)

// metrics is made once for each transport.
type metrics struct {
	bytes        *prometheus.CounterVec
	calls        *prometheus.CounterVec
	callSeconds  *prometheus.HistogramVec
	served       *prometheus.CounterVec
	dialFailures *prometheus.CounterVec
	refused      *prometheus.CounterVec
	nacks        *prometheus.CounterVec
	envelopesIn  prometheus.Counter
	envelopesOut prometheus.Counter

	meters map[string]*byteMeter
}

// byteMeter counts the bytes of one protocol.
type byteMeter struct{ in, out prometheus.Counter }

func newMetrics(reg prometheus.Registerer, id *identity.Identity) *metrics {
	f := promauto.With(reg)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: "bothy_transport_" + name, Help: help}, labels)
	}
	envelopes := counter("envelopes_total", "Envelopes between actors, by direction (in, out).", "direction")
	m := &metrics{
		envelopesIn:  envelopes.WithLabelValues("in"),
		envelopesOut: envelopes.WithLabelValues("out"),
		bytes:        counter("bytes_total", "Bytes on the wire between nodes, by protocol and direction (in, out).", "protocol", "direction"),
		calls:        counter("calls_total", "Calls made to other nodes, by lane and outcome.", "lane", "outcome"),
		served:       counter("calls_served_total", "Calls answered for other nodes, by outcome.", "outcome"),
		dialFailures: counter("dial_failures_total", "Failed attempts to connect to another node, by protocol.", "protocol"),
		refused:      counter("refused_total", "Connections not let in, by reason.", "reason"),
		nacks:        counter("nacks_total", "Calls and envelopes not delivered, by reason.", "reason"),
		callSeconds: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "bothy_transport_call_seconds", Help: "Time from a call to its answer, by lane.",
			Buckets: prometheus.ExponentialBuckets(0.00005, 2.5, 12),
		}, []string{"lane"}),
		meters: make(map[string]*byteMeter),
	}
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "bothy_certificate_remaining_seconds",
		Help: "Time until the node's certificate expires; negative when it has.",
	}, func() float64 { return id.ExpiresAt().Sub(id.Now()).Seconds() })
	for _, proto := range append([]string{protoJoin}, memberProtocols...) {
		m.meters[proto] = &byteMeter{
			in: m.bytes.WithLabelValues(proto, "in"), out: m.bytes.WithLabelValues(proto, "out"),
		}
	}
	for _, r := range Reasons() {
		m.nacks.WithLabelValues(string(r))
	}
	return m
}

// meter is nil for a protocol that is none of ours.
func (m *metrics) meter(proto string) *byteMeter { return m.meters[proto] }

// nacked counts a nack and returns it.
func (m *metrics) nacked(n *Nack) *Nack {
	m.nacks.WithLabelValues(string(n.Reason)).Inc()
	return n
}
