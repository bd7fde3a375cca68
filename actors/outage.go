package actors

import (
	"context"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// maxOutage bounds how long what a build says and how it ended wait for a
	// leader: beyond it, the build is made again.
	maxOutage = time.Minute
	// outagePause is how long is waited before a command is sent again.
	outagePause = 250 * time.Millisecond
)

// outlast applies a command of a build, and again while no leader answers, until
// ctx ends. A try that was not answered may have been applied, and then the
// next is Moved: was tells whether the records show that.
func outlast(ctx context.Context, c Cluster, cmd state.Command, was func(*state.View) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, maxOutage)
	defer cancel()
	for again := false; ; again = true {
		_, err := c.Apply(ctx, cmd)
		if again && fault.Is(err, fault.Moved) {
			if done, failed := applied(c, was); done && failed == nil {
				return nil
			}
		}
		if !fault.Is(err, fault.Unavailable) {
			return err
		}
		select {
		case <-time.After(outagePause):
		case <-ctx.Done():
			return err
		}
	}
}
