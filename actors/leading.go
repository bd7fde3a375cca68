package actors

import (
	"context"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// whileLeading does rounds of work until ctx ends, on the node that leads. A
// round says after how long the next one is due; wake has it begin sooner, and
// while another node leads nothing is done. Failures are told, but for those
// that pass by themselves.
func whileLeading(ctx context.Context, c Cluster, wake <-chan struct{}, round func(context.Context) (time.Duration, error), failed func(error)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		leads, changed := c.Leads()
		timer.Stop()
		if leads {
			wait, err := round(ctx)
			if err != nil && ctx.Err() == nil && !fault.Is(err, fault.Unavailable) {
				failed(err)
			}
			timer.Reset(wait)
		}
		select {
		case <-timer.C:
		case <-wake:
		case <-changed:
		case <-ctx.Done():
		}
	}
}
