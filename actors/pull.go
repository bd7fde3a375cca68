package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
)

// maxPulls bounds the images that a node pulls at once; the others wait.
const maxPulls = 2

// pulled says that the work on a pull is over.
type pulled struct{ err error }

// pulling brings one image from a registry, while this node has it to pull. The
// work goes on aside and ends with the record's wish for it.
type pulling struct {
	cell   *cell
	id     state.ImageID
	deps   *ownership
	log    *slog.Logger
	cancel context.CancelCauseFunc // nil while nothing goes on
}

func newPull(d *ownership, id state.ImageID) func(*cell) behaviour {
	return func(c *cell) behaviour {
		return &pulling{cell: c, id: id, deps: d, log: d.log.With("image", string(id))}
	}
}

func (p *pulling) receive(msg any, answer func(any, error)) {
	switch m := msg.(type) {
	case look:
		answer(nil, p.look())
	case pulled:
		p.cancel(errSuperseded)
		p.cancel = nil
		if m.err != nil {
			p.log.Warn("pull left undone", "err", m.err)
			p.cell.after(retryMailbox, look{})
		}
	}
}

func (p *pulling) idle() bool { return p.cancel == nil }

func (p *pulling) stopped() {
	if p.cancel != nil {
		p.cancel(errSuperseded)
	}
}

func (p *pulling) look() error {
	record, err := applied(p.deps.cluster, func(v *state.View) (state.Image, error) {
		r, _, err := v.AnyImage(p.id)
		return r, err
	})
	if err != nil {
		return err
	}
	mine := record.Phase == state.ImagePulling && record.Node == p.deps.cluster.Self()
	if p.cancel != nil && !mine {
		p.cancel(errSuperseded)
	}
	if p.cancel != nil || !mine {
		return nil
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	p.cancel = cancel
	p.cell.do(func(life context.Context) any {
		stop := context.AfterFunc(life, func() { cancel(errSuperseded) })
		defer stop()
		return pulled{p.deps.pull(ctx, record)}
	})
	return nil
}

// pull brings what the record asks for and records what came of it. Its error is
// that of a pull which is tried again.
func (d *ownership) pull(ctx context.Context, i state.Image) error {
	limited, cancel := context.WithTimeout(ctx, state.PullLimit)
	defer cancel()
	brought, err := d.pullImage(limited, i.Account, i.Reference)
	if ctx.Err() != nil {
		return nil // nobody wants it any more, or the next life of this node does it
	}
	end := state.EndPull{ID: i.ID, Node: i.Node, Digest: brought.Digest, Bytes: brought.Bytes, Desktop: brought.Desktop}
	if err != nil {
		end.Error = d.whyNotPulled(i, err)
	} else {
		defer brought.Release() // by then the record keeps it
	}
	if _, err = d.cluster.Apply(ctx, end); fault.Is(err, fault.Moved) {
		err = nil // it has ended without us
	}
	return err
}

// whyNotPulled is a failure in words for the image's owner.
func (d *ownership) whyNotPulled(i state.Image, err error) string {
	for _, k := range kindOfRuntime {
		if errors.Is(err, k.err) {
			text := faultText(translate(err))
			return text[:runeCut(text, min(len(text), maxReason))]
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "it was not pulled within " + state.PullLimit.String()
	}
	d.log.Error("pull failed by this node", "image", string(i.ID), "err", err)
	return "internal error"
}

// pullImage brings an image of a registry here for an account.
func (d *ownership) pullImage(ctx context.Context, account state.AccountID, reference string) (runtime.Brought, error) {
	importer, ok := d.driver.(runtime.Importer)
	if !ok {
		return runtime.Brought{}, fmt.Errorf("pull an image: %w", runtime.ErrUnsupported)
	}
	p, err := d.registries.pull(account, reference)
	if err != nil {
		return runtime.Brought{}, err
	}
	p.Way = d.way
	select {
	case d.pulls <- struct{}{}:
		defer func() { <-d.pulls }()
	case <-ctx.Done():
		return runtime.Brought{}, ctx.Err()
	}
	return importer.PullImage(ctx, p)
}
