package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/build"
)

// made says that the work on a build is over, in the epoch it was begun in.
type made struct {
	epoch state.Epoch
	err   error
}

// building makes one image, while this node has it to make. The work goes on
// aside; the actor begins it once in an epoch and ends it when the record says
// that it is over or another node's.
type building struct {
	cell   *cell
	id     state.BuildID
	deps   *ownership
	log    *slog.Logger
	epoch  state.Epoch
	cancel context.CancelCauseFunc // nil while nothing goes on
}

func newBuild(d *ownership, id state.BuildID) func(*cell) behaviour {
	return func(c *cell) behaviour {
		return &building{cell: c, id: id, deps: d, log: d.log.With("build", string(id))}
	}
}

func (b *building) receive(msg any, answer func(any, error)) {
	switch m := msg.(type) {
	case look:
		answer(nil, b.look())
	case made:
		b.made(m)
	}
}

func (b *building) idle() bool { return b.cancel == nil }

func (b *building) stopped() {
	if b.cancel != nil {
		b.cancel(errSuperseded)
	}
}

func (b *building) look() error {
	record, err := applied(b.deps.cluster, func(v *state.View) (state.Build, error) {
		r, _, err := v.AnyBuild(b.id)
		return r, err
	})
	if err != nil {
		return err
	}
	mine := record.Node == b.deps.cluster.Self() && record.Phase != "" && !record.Phase.Over()
	if b.cancel != nil {
		if !mine || record.Epoch != b.epoch {
			b.cancel(errSuperseded)
		}
		return nil // its end looks again
	}
	if !mine {
		return nil
	}
	if err := b.deps.held(); err != nil {
		return err
	}
	b.begin(record)
	return nil
}

func (b *building) begin(record state.Build) {
	b.epoch = record.Epoch
	ctx, cancel := context.WithCancelCause(context.Background())
	b.cancel = cancel
	b.cell.do(func(life context.Context) any {
		stop := context.AfterFunc(life, func() { cancel(errSuperseded) })
		defer stop()
		leased, release := b.deps.lease(ctx)
		defer release()
		return made{record.Epoch, b.deps.build(leased, b.id, record.Epoch)}
	})
}

func (b *building) made(m made) {
	if m.epoch != b.epoch {
		return
	}
	b.cancel(errSuperseded)
	b.cancel = nil
	if m.err == nil {
		return
	}
	b.log.Warn("build left undone", "epoch", m.epoch, "err", m.err)
	if fault.Is(m.err, fault.Moved) {
		b.cell.tell(look{})
		return
	}
	b.cell.after(retryMailbox, look{})
}

// build makes what the record asks for and records what came of it. Its error
// is that of a build which goes on later, or at another node.
func (d *ownership) build(ctx context.Context, id state.BuildID, epoch state.Epoch) error {
	b, err := propose[state.Build](ctx, d.cluster, state.BeginBuild{Build: id, Epoch: epoch})
	if err != nil || b.Phase.Over() {
		return err
	}
	log := newBuildLog(ctx, d.cluster, b)
	defer log.abandon()
	done := state.FinishBuild{Build: id, Epoch: epoch}
	begun := d.now()
	done.Digest, err = d.makeImage(ctx, b, log)
	if ctx.Err() != nil {
		return d.leave(ctx, id, epoch)
	}
	if err != nil {
		done.Digest, done.Error = "", d.reasonOf(b, err)
		log.say(done.Error)
	}
	if err := log.close(); err != nil {
		return err
	}
	d.metrics.built(done.Digest != "", d.now().Sub(begun))
	return outlast(ctx, d.cluster, done, func(v *state.View) (bool, error) {
		b, ok, err := v.AnyBuild(id)
		return ok && b.Epoch == epoch && b.Phase.Over() && b.Digest == done.Digest && b.Error == done.Error, err
	})
}

// giveBackTime bounds how long a node that stops tells that it gives a build
// back.
const giveBackTime = time.Second

// leave lets another node go on with a build that ended here before its time:
// it is given back, which is refused where the build is over or another's
// already. Where it ended with the lease it is the leader's to take, so that it
// counts as a try: it may be what this node could not bear.
func (d *ownership) leave(ctx context.Context, id state.BuildID, epoch state.Epoch) error {
	if !errors.Is(context.Cause(ctx), errSuperseded) {
		return fault.New(fault.Unavailable, "the lease ended before build %s did", id)
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackTime)
	defer cancel()
	if _, err := d.cluster.Apply(bounded, state.ReleaseBuild{Build: id, Epoch: epoch}); err != nil {
		d.log.Info("build not given back", "build", string(id), "err", err)
	}
	return context.Cause(ctx)
}

// maxReason bounds what is told of a failure.
const maxReason = 2 << 10

// reasonOf is a failure in words for the build's user. What is this machine's
// own is for its log: it may tell of paths and of other tenants.
func (d *ownership) reasonOf(b state.Build, err error) string {
	var failed *runtime.BuildFailure
	if errors.As(err, &failed) {
		return failed.Reason[:runeCut(failed.Reason, min(len(failed.Reason), maxReason))]
	}
	d.log.Error("build failed by this node", "build", string(b.ID), "err", err)
	if errors.Is(err, context.DeadlineExceeded) {
		return build.Timeout(b.Limit)
	}
	reason := "internal error"
	for _, k := range kindOfRuntime {
		if errors.Is(err, k.err) {
			reason = k.err.Error()
		}
	}
	return "Build failed: " + reason
}

func (d *ownership) makeImage(ctx context.Context, b state.Build, log *buildLog) (digest string, err error) {
	if d.builder == nil {
		return "", fmt.Errorf("make an image: %w", runtime.ErrUnsupported)
	}
	if b.Tries > 1 {
		log.say("The node that built it was lost; it is built again.")
	}
	name := b.Tag
	if b.Test {
		name = ""
	}
	// A panic told as a failure is not tried again, as a lost node's build is.
	defer func() {
		if v := recover(); v != nil {
			d.metrics.panicked(buildKind)
			digest, err = "", fmt.Errorf("the builder panicked: %v\n%s", v, debug.Stack())
		}
	}()
	limited, cancel := context.WithTimeout(ctx, b.Limit)
	defer cancel()
	return d.builder.Build(limited, runtime.Epoch(b.Epoch), runtime.Build{
		Machine: runtime.ID(b.Machine), Dockerfile: b.Dockerfile, ExtensionsAt: b.ExtensionsAt, ExtensionLines: b.ExtensionLines, Name: name, NoCache: b.Force, Egress: runtime.Egress{Allowed: b.Egress, Allow: b.Network.Allow, Deny: b.Network.Deny}, Log: log,
		Find: func(ctx context.Context, name string) (runtime.Brought, bool, error) {
			return d.findBase(ctx, b.Account, name, log.say)
		},
	})
}
