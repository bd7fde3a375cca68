package agentcomputer

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
)

// Ports are those that can be reached from outside.
type Ports interface {
	Publish(context.Context, actors.Caller, state.Port) (state.Port, error)
	Unpublish(context.Context, actors.Caller, state.ComputerID, uint16) (state.Port, error)
}

func (a *API) portRoutes() []door.Route {
	return []door.Route{
		{Method: "GET", Path: "/computers/:id/ports", Scopes: reading, Serve: a.Handle(a.listPorts)},
		{Method: "POST", Path: "/computers/:id/ports", Scopes: writing, Serve: a.Handle(a.publishPort)},
		{Method: "DELETE", Path: "/computers/:id/ports/:port", Scopes: writing, Serve: a.Handle(a.unpublishPort)},
	}
}

// port is a published port on the wire.
type port struct {
	ID            string    `json:"id"`
	ComputerID    string    `json:"computer_id"`
	Port          uint16    `json:"port"`
	Name          string    `json:"name"`
	Visibility    string    `json:"visibility"`
	State         string    `json:"state"`
	FailureReason *string   `json:"failure_reason"`
	PublicURL     string    `json:"public_url"`
	CreatedAt     time.Time `json:"created_at"`
	UpdatedAt     time.Time `json:"updated_at"`
}

// States of a port. It is ready at once: what listens may come up later.
const (
	portReady    = "ready"
	portDeleting = "deleting"
)

func (a *API) portOf(c *gin.Context, m state.Computer, p state.Port, is string) port {
	return port{ID: p.ID(), ComputerID: string(p.Computer), Port: p.Port, Name: p.Name, Visibility: string(p.Visibility), State: is,
		PublicURL: a.links.Port(c.Request, m, p.Port), CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt}
}

// listPorts serves GET /computers/:id/ports.
func (a *API) listPorts(c *gin.Context) error {
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	reply := struct {
		Ports []port `json:"ports"`
	}{Ports: []port{}}
	err = a.LookAll(c, func(v *state.View) error {
		all, err := v.Ports(m.ID)
		for _, p := range all {
			reply.Ports = append(reply.Ports, a.portOf(c, m, p, portReady))
		}
		return err
	})
	if err == nil {
		ok(c, reply)
	}
	return err
}

const (
	maxPort          = 65535
	maxPortNameBytes = 64
)

// publishPort serves POST /computers/:id/ports.
func (a *API) publishPort(c *gin.Context) error {
	var req struct {
		Port       int64  `json:"port"`
		Name       string `json:"name"`
		Visibility string `json:"visibility"`
	}
	if err := a.Read(c, &req); err != nil {
		return err
	}
	switch {
	case req.Port < 1 || req.Port > maxPort:
		return invalid("port", "port must be from 1 to %d", maxPort)
	case len(req.Name) > maxPortNameBytes:
		return invalid("name", "name must be at most %d bytes", maxPortNameBytes)
	case req.Visibility == "":
		req.Visibility = string(state.PublicPort)
	}
	if err := name("name", req.Name); err != nil {
		return err
	}
	if v := state.Visibility(req.Visibility); v != state.PublicPort && v != state.PrivatePort {
		return invalid("visibility", "visibility must be public or private, not %.40q", req.Visibility)
	}
	if req.Name == "" {
		req.Name = strconv.FormatInt(req.Port, 10)
	}
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	made, err := a.Ports.Publish(c.Request.Context(), door.CallerOf(c),
		state.Port{Computer: m.ID, Port: uint16(req.Port), Name: req.Name, Visibility: state.Visibility(req.Visibility)})
	if err == nil {
		c.JSON(http.StatusAccepted, gin.H{"port": a.portOf(c, m, made, portReady)})
	}
	return err
}

// unpublishPort serves DELETE /computers/:id/ports/:port.
func (a *API) unpublishPort(c *gin.Context) error {
	number, err := strconv.ParseUint(c.Param("port"), 10, 16)
	if err != nil {
		return fault.New(fault.NotFound, "Port not found: %.20q", c.Param("port"))
	}
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	was, err := a.Ports.Unpublish(c.Request.Context(), door.CallerOf(c), m.ID, uint16(number))
	if err == nil {
		c.JSON(http.StatusAccepted, gin.H{"port": a.portOf(c, m, was, portDeleting)})
	}
	return err
}
