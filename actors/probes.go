package actors

import (
	"context"

	"github.com/bothy-computer/bothy/cluster/state"
)

// Probes keep how what the cluster serves has been. Each node looks once in a
// minute; a minute in which nobody could report is one without service.
type Probes struct{ cluster Cluster }

// Report records what a node's probes found just now.
func (p *Probes) Report(ctx context.Context, found []state.Probe) error {
	_, err := p.cluster.Apply(ctx, state.RecordProbes{Probes: found})
	return err
}
