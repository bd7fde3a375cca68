package admin

import (
	"context"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Drains has nodes give away what they have. A node is one that exists.
type Drains interface {
	Begin(ctx context.Context, node state.NodeID) (actors.Drain, error)
	End(ctx context.Context, node state.NodeID) (actors.Drain, error)
	Of(ctx context.Context, node state.NodeID) (actors.Drain, error)
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
