package state

import (
	"math/bits"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

const (
	// ProbeEvery is how often each node probes what it serves.
	ProbeEvery = time.Minute
	// ProbeLifetime is how long the hours of probes are kept.
	ProbeLifetime = 91 * 24 * time.Hour
	// maxProbes bounds one report.
	maxProbes = 16
)

// ProbedHour is what the probes of a service found in one hour. A minute in
// which no node could report is in neither set: without a majority nothing can
// be recorded, which is itself an outage.
type ProbedHour struct {
	Service string    `cbor:"1,keyasint"`
	Hour    time.Time `cbor:"2,keyasint"` // its beginning, UTC
	Good    uint64    `cbor:"3,keyasint"` // minutes with a probe that succeeded, one bit each
	Bad     uint64    `cbor:"4,keyasint"` // minutes with a probe that failed
	Millis  int64     `cbor:"5,keyasint"` // of the last that succeeded
	Last    time.Time `cbor:"6,keyasint"` // probe
}

var probes = table[ProbedHour]{
	name: "probe", noun: "Probe",
	id: func(h ProbedHour) string { return h.Service + "/" + stampText(h.Hour) },
	indexes: []index[ProbedHour]{
		{"service", func(h ProbedHour) ([]string, string, bool) { return []string{h.Service}, stampText(h.Hour), true }},
		{"age", func(h ProbedHour) ([]string, string, bool) { return nil, stampText(h.Hour), true }},
	},
}

// GoodMinutes is how many minutes of the hour had a probe that succeeded and
// none that failed.
func (h ProbedHour) GoodMinutes() int { return bits.OnesCount64(h.Good &^ h.Bad) }

// Minutes is how many had any.
func (h ProbedHour) Minutes() int { return bits.OnesCount64(h.Good | h.Bad) }

// Probes visits a service's hours, the newest first, until visit returns false.
func (v *View) Probes(service string, visit func(ProbedHour) bool) error {
	return probes.each(v.r, "service", []string{service}, true, visit)
}

// Probe is one look at a service.
type Probe struct {
	Service string `cbor:"1,keyasint"` // a short lower-case word
	Good    bool   `cbor:"2,keyasint"`
	Millis  int64  `cbor:"3,keyasint"`
}

// RecordProbes carries what a node's probes found, in the minute of the entry.
type RecordProbes struct {
	Probes []Probe `cbor:"1,keyasint"`
}

func (cmd RecordProbes) apply(tx *Tx) error {
	if len(cmd.Probes) > maxProbes {
		return fault.New(fault.Invalid, "%d probes; a report has at most %d", len(cmd.Probes), maxProbes)
	}
	minute := uint64(1) << tx.now.Minute()
	for _, p := range cmd.Probes {
		h := ProbedHour{Service: p.Service, Hour: tx.now.Truncate(time.Hour)}
		have, found, err := probes.find(tx.w, probes.id(h))
		if err != nil {
			return err
		}
		if found {
			h = have
		}
		if p.Good {
			h.Good |= minute
			h.Millis = p.Millis
		} else {
			h.Bad |= minute
		}
		h.Last = tx.now
		if err := probes.put(tx.w, h); err != nil {
			return err
		}
	}
	return nil
}
