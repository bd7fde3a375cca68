package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// CodeOldBuild is what failures carry that a newer build mends.
const CodeOldBuild = "OLD_BUILD"

// awaitVersion waits until this replica has the cluster's records: a new node does not
// know before which commands the others can read.
func (c *Cluster) awaitVersion(ctx context.Context) error {
	for begun := time.Now(); c.roster.version() == 0; {
		if c.ctx.Err() != nil {
			return ErrClosed
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if time.Since(begun) > c.timing.Patience {
			return ErrNoLeader
		}
		pause(ctx, retryPause)
	}
	return nil
}

// readable refuses a command that some member could not read. The cluster's
// version never falls, so what it allows once it allows for ever.
func (c *Cluster) readable(kind string, needs int) error {
	if have := c.roster.version(); have != 0 && needs > have {
		return fault.New(fault.Unsupported, "%s needs every node to run a newer build (command set %d; the cluster is at %d): "+
			"upgrade the nodes that are left, `bothy status` shows what each runs", kind, needs, have).WithCode(CodeOldBuild)
	}
	return nil
}

// upToDate refuses a node whose build could not read what the others write.
func (c *Cluster) upToDate(name string, commands int) error {
	if have := c.roster.version(); commands < have {
		return fault.New(fault.Unsupported, "the build of node %s is too old: it knows command set %d and the cluster is at %d; "+
			"start it with the build that the others run", name, commands, have).WithCode(CodeOldBuild)
	}
	return nil
}

// errOldBuild ends a replica that cannot read what the others write. On with it
// would be to differ from them.
func errOldBuild(have, knows int) error {
	return fault.New(fault.Unsupported, "this build is too old: it knows command set %d and the cluster is at %d. "+
		"Start this node with the build that the others run, or one that it ran before", knows, have).WithCode(CodeOldBuild)
}

// unreadable says what to do about an entry that only a newer build can read.
func unreadable(err error) error {
	if errors.Is(err, state.ErrUnknownKind) {
		return fault.New(fault.Unsupported, "this build is too old, start this node with the build that the others run: %w", err).WithCode(CodeOldBuild)
	}
	return err
}

// raiseVersion lets commands be proposed that every member knows by now.
func (r *reign) raiseVersion() error {
	nodes, common := r.c.roster.all(), r.c.addrs.Commands
	for _, n := range nodes {
		common = min(common, n.Commands)
	}
	have := r.c.roster.version()
	if len(nodes) == 0 || have == 0 || common <= have {
		return nil
	}
	if _, err := r.decree(state.RaiseVersion{Version: common}); err != nil {
		return err
	}
	r.c.log.Info("every node knows newer commands, which are used from now on", "was", have, "is", common)
	return nil
}
