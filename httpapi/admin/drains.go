package admin

import (
	"context"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/placement"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Drains has nodes give away what they have. A node is one that exists.
type Drains interface {
	Begin(ctx context.Context, node state.NodeID) (actors.Drain, error)
	End(ctx context.Context, node state.NodeID) (actors.Drain, error)
	Of(ctx context.Context, node state.NodeID) (actors.Drain, error)
	// Plan lists moves that would even out the nodes, and Rebalance begins them.
	Plan(ctx context.Context, most int) ([]placement.Move, error)
	Rebalance(ctx context.Context, most int) ([]actors.Rebalanced, error)
}

// drain serves POST /v1/admin/nodes/:id/drain. It does not wait for the end.
func (a *API) drain(c *gin.Context) error { return a.onDrain(c, a.Drains.Begin) }

// undrain serves POST /v1/admin/nodes/:id/undrain.
func (a *API) undrain(c *gin.Context) error { return a.onDrain(c, a.Drains.End) }

// getDrain serves GET /v1/admin/nodes/:id/drain.
func (a *API) getDrain(c *gin.Context) error { return a.onDrain(c, a.Drains.Of) }

func (a *API) onDrain(c *gin.Context, do func(context.Context, state.NodeID) (actors.Drain, error)) error {
	n, err := a.node(c)
	if err != nil {
		return err
	}
	d, err := do(c.Request.Context(), n)
	if err != nil {
		return err
	}
	a.ok(c, drainOf(d))
	return nil
}

func drainOf(d actors.Drain) wire.Drain {
	w := wire.Drain{Node: d.Node.Name, Draining: d.Node.Draining(), Since: wire.Maybe(d.Node.DrainingSince), Done: d.Done(),
		Computers: d.Computers, Running: d.Up, Runs: d.Runs, Builds: d.Builds, Answers: d.Asked, Departures: []wire.Departure{}}
	for _, one := range d.Departures {
		w.Departures = append(w.Departures, wire.Departure{ComputerID: string(one.Computer), Step: string(one.Step),
			Why: one.Why, Since: wire.At(one.Since)})
	}
	return w
}

// rebalance serves POST /v1/admin/rebalance. It does not wait for the moves.
func (a *API) rebalance(c *gin.Context) error {
	var body wire.Rebalance
	if err := a.Read(c, &body); err != nil {
		return err
	}
	most := actors.MaxRebalance
	if body.Max != nil {
		most = *body.Max
	}
	reply := wire.Rebalanced{Moves: []wire.Move{}, Begun: !body.DryRun}
	add := func(m placement.Move, why string) {
		reply.Moves = append(reply.Moves, wire.Move{ComputerID: string(m.Computer), From: a.Records.NodeName(m.From), To: a.Records.NodeName(m.To), Why: why})
	}
	if body.DryRun {
		plan, err := a.Drains.Plan(c.Request.Context(), most)
		if err != nil {
			return err
		}
		for _, m := range plan {
			add(m, "")
		}
		a.ok(c, reply)
		return nil
	}
	moves, err := a.Drains.Rebalance(c.Request.Context(), most)
	if err != nil {
		return err
	}
	for _, m := range moves {
		add(m.Move, m.Why)
	}
	a.ok(c, reply)
	return nil
}
