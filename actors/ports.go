package actors

import (
	"context"

	"github.com/google/uuid"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// Ports are those of computers that can be reached from outside.
type Ports struct {
	cluster Cluster
	bell    *bell
}

// Publish makes a port reachable, or changes its name and visibility.
func (p *Ports) Publish(ctx context.Context, c Caller, port state.Port) (state.Port, error) {
	if _, err := p.cluster.Apply(ctx, state.PublishPort{Account: c.Account, Port: port}); err != nil {
		return port, err
	}
	return p.get(port.Computer, port.Port)
}

func (p *Ports) get(id state.ComputerID, port uint16) (state.Port, error) {
	return applied(p.cluster, func(v *state.View) (state.Port, error) {
		found, ok, err := v.PublishedPort(id, port)
		if err == nil && !ok {
			err = fault.New(fault.NotFound, "Port not found: %d", port)
		}
		return found, err
	})
}

// Unpublish ends a port's reach, and what goes through it at any node. It
// returns the port as it was.
func (p *Ports) Unpublish(ctx context.Context, c Caller, id state.ComputerID, port uint16) (state.Port, error) {
	was, err := view(ctx, p.cluster, func(v *state.View) (state.Port, error) {
		if _, err := v.Computer(c.Account, id); err != nil {
			return state.Port{}, err
		}
		found, ok, err := v.PublishedPort(id, port)
		if err == nil && !ok {
			err = fault.New(fault.NotFound, "Port not found: %d", port)
		}
		return found, err
	})
	if err != nil {
		return was, err
	}
	_, err = p.cluster.Apply(ctx, state.UnpublishPort{Account: c.Account, Computer: id, Port: port})
	return was, err
}

// Find returns a published port and its computer, which is named by its label
// or its id; false when there is none.
func (p *Ports) Find(ctx context.Context, name string, port uint16) (c state.Computer, found state.Port, ok bool, err error) {
	type both struct {
		c    state.Computer
		port state.Port
	}
	b, ok, err := soon(ctx, p.cluster, func(v *state.View) (b both, ok bool, err error) {
		if b.c, ok, err = lookUp(v, name); err != nil || !ok || b.c.Phase == state.Deleted {
			return b, false, err
		}
		b.port, ok, err = v.PublishedPort(b.c.ID, port)
		return b, ok, err
	})
	return b.c, b.port, ok, err
}

// lookUp finds a computer of any account by its id or its label.
func lookUp(v *state.View, name string) (state.Computer, bool, error) {
	if uuid.Validate(name) == nil {
		return v.AnyComputer(state.ComputerID(name))
	}
	return v.ComputerLabelled(name)
}

// While returns a context that ends when the port is no longer published, or
// not as it was.
func (p *Ports) While(ctx context.Context, port state.Port) (context.Context, context.CancelFunc) {
	return p.bell.while(ctx, state.ChangedPort, port.ID(), func() (bool, error) {
		return applied(p.cluster, func(v *state.View) (bool, error) {
			now, ok, err := v.PublishedPort(port.Computer, port.Port)
			return ok && now.Visibility == port.Visibility && now.CreatedAt.Equal(port.CreatedAt), err
		})
	})
}
