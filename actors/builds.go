package actors

import (
	"context"
	"strings"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// Builds are makings of environments' images. Every method works on any node.
type Builds struct {
	cluster      Cluster
	environments *Environments
	bell         *bell
}

// Request asks for an environment's image. It reports the environment, and
// false when the image is there already. Without force nothing is built for an
// unchanged recipe; a build that a user asked for and that goes on is a
// Conflict.
func (b *Builds) Request(ctx context.Context, c Caller, id state.EnvironmentID, force bool) (state.Environment, bool, error) {
	asked, err := b.request(ctx, c, id, state.RequestBuild{Force: force})
	if err != nil {
		return state.Environment{}, false, err
	}
	e, err := b.environments.get(c.Account, id)
	return e, asked.Build != "", err
}

func (b *Builds) request(ctx context.Context, c Caller, id state.EnvironmentID, cmd state.RequestBuild) (asked state.BuildAsked, err error) {
	for range maxSwaps {
		e, err := view(ctx, b.cluster, func(v *state.View) (state.Environment, error) { return v.Environment(c.Account, id) })
		if err != nil {
			return asked, err
		}
		cmd.Account, cmd.Environment, cmd.Seen = c.Account, id, e.Version
		if cmd.Recipe = b.environments.Recipe(e); cmd.Test {
			cmd.Recipe = b.environments.recipes.whole(e)
		}
		asked, err = propose[state.BuildAsked](ctx, b.cluster, cmd)
		if !isChanged(err) {
			return asked, err
		}
	}
	return asked, fault.New(fault.Conflict, "environment %s is changed by others all the time; try again", id)
}

// again has an environment's image built once more, for the one that it has is lost.
func (b *Builds) again(ctx context.Context, e state.Environment) error {
	_, err := b.request(ctx, Caller{Account: e.Account}, e.ID, state.RequestBuild{Force: true})
	if hasCode(err, state.CodeBuilding) {
		return nil
	}
	return err
}

// Cancel ends what is under way for an environment's image.
func (b *Builds) Cancel(ctx context.Context, c Caller, id state.EnvironmentID) (state.Environment, error) {
	if _, err := b.cluster.Apply(ctx, state.CancelBuild{Account: c.Account, Environment: id}); err != nil {
		return state.Environment{}, err
	}
	return b.environments.get(c.Account, id)
}

// Test asks for an environment's image, without a cache, of which nothing is
// kept.
func (b *Builds) Test(ctx context.Context, c Caller, id state.EnvironmentID) (state.BuildID, error) {
	asked, err := b.request(ctx, c, id, state.RequestBuild{Test: true})
	return asked.Build, err
}

// Await waits until a build is over, and reports it.
func (b *Builds) Await(ctx context.Context, id state.BuildID) (found state.Build, err error) {
	err = b.bell.until(ctx, state.ChangedBuild, string(id), func() (bool, error) {
		found, err = applied(b.cluster, func(v *state.View) (state.Build, error) {
			r, ok, err := v.AnyBuild(id)
			if err == nil && !ok {
				err = fault.New(fault.NotFound, "Build not found: %s", id)
			}
			return r, err
		})
		return found.Phase.Over(), err
	})
	return found, err
}

// Log is all that a build has said, as far as this node has it; of a build that
// is not there, nothing.
func (b *Builds) Log(id state.BuildID) (string, error) {
	if id == "" {
		return "", nil
	}
	return applied(b.cluster, func(v *state.View) (string, error) {
		var all strings.Builder
		err := v.BuildLog(id, 0, func(p state.BuildPiece) bool { all.WriteString(p.Text); return true })
		return all.String(), err
	})
}

// maxFollowedPieces bounds the pieces that a follower is given at once.
const maxFollowedPieces = 16

// LogFollower reads one build's log from this node's replica, as it grows.
type LogFollower struct {
	cluster Cluster
	bell    *bell
	ear     *ear
	build   state.BuildID
	last    uint64
}

// Follow begins after a piece's seq; 0 is the beginning of the log.
func (b *Builds) Follow(id state.BuildID, after uint64) *LogFollower {
	return &LogFollower{cluster: b.cluster, bell: b.bell, build: id, last: after, ear: b.bell.listen(state.ChangedBuild, string(id))}
}

// Next returns the pieces that follow, in order, and the build, which is over
// or forgotten when there are none. It waits for them; it ends with ctx's error, or with
// Unavailable (code DRAINING) when the node stops.
func (f *LogFollower) Next(ctx context.Context) (found []state.BuildPiece, of state.Build, err error) {
	for {
		found = nil
		over := false
		of, err = applied(f.cluster, func(v *state.View) (state.Build, error) {
			r, ok, err := v.AnyBuild(f.build)
			if over = !ok || r.Phase.Over(); err != nil {
				return r, err
			}
			return r, v.BuildLog(f.build, f.last, func(p state.BuildPiece) bool {
				found = append(found, p)
				return len(found) < maxFollowedPieces
			})
		})
		if err != nil {
			return nil, of, err
		}
		if len(found) > 0 {
			f.last = found[len(found)-1].Seq
		}
		if len(found) > 0 || over {
			return found, of, nil
		}
		if err := f.bell.wait(ctx, f.ear); err != nil {
			return nil, of, err
		}
	}
}

// Close gives the follower's place back.
func (f *LogFollower) Close() { f.bell.drop(f.ear) }
