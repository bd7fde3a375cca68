package actors

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
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
	log := newBuildLog(d.cluster, b)
	done := state.FinishBuild{Build: id, Epoch: epoch}
	begun := d.now()
	done.Digest, err = d.makeImage(ctx, b, log)
	if ctx.Err() != nil {
		log.abandon()
		return d.giveBack(ctx, id, epoch)
	}
	var failed *runtime.BuildFailure
	switch {
	case errors.As(err, &failed):
		done.Error = failed.Reason
	case err != nil:
		d.log.Error("build", "build", string(id), "err", err)
		done.Error = "Build failed: " + faultText(translate(err))
	}
	if err != nil {
		done.Digest = ""
		log.say(done.Error)
	}
	if err := log.close(ctx); err != nil {
		return err
	}
	d.metrics.built(done.Digest != "", d.now().Sub(begun))
	_, err = d.cluster.Apply(ctx, done)
	return err
}

// giveBackTime bounds how long a node that stops tells that it gives a build
// back.
const giveBackTime = time.Second

// giveBack lets another node go on with a build that ended here before its
// time. It is refused where the build is over or another's already.
func (d *ownership) giveBack(ctx context.Context, id state.BuildID, epoch state.Epoch) error {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackTime)
	defer cancel()
	if _, err := d.cluster.Apply(bounded, state.ReleaseBuild{Build: id, Epoch: epoch}); err != nil {
		d.log.Info("build not given back", "build", string(id), "err", err)
	}
	return context.Cause(ctx)
}

func (d *ownership) makeImage(ctx context.Context, b state.Build, log *buildLog) (string, error) {
	if d.builder == nil {
		return "", fault.New(fault.Unsupported, "this node makes no images")
	}
	if b.Tries > 1 {
		log.say("The node that built it was lost; it is built again.")
	}
	name := b.Tag
	if b.Test {
		name = ""
	}
	limited, cancel := context.WithTimeout(ctx, b.Limit)
	defer cancel()
	return d.builder.Build(limited, runtime.Epoch(b.Epoch), runtime.Build{
		Machine: runtime.ID(b.Machine), Dockerfile: b.Dockerfile, ExtensionsAt: b.ExtensionsAt, ExtensionLines: b.ExtensionLines, Name: name, NoCache: b.Force, Egress: runtime.Egress{Allowed: b.Egress, Allow: b.Network.Allow, Deny: b.Network.Deny}, Log: log,
	})
}
