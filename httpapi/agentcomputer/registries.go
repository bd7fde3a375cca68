package agentcomputer

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

func (a *API) registryRoutes() []door.Route {
	return []door.Route{
		{Method: "GET", Path: "/registries", Scopes: reading, Serve: a.Handle(a.listRegistries)},
		{Method: "GET", Path: "/registries/:registry", Scopes: reading, Serve: a.Handle(a.getRegistry)},
		{Method: "PUT", Path: "/registries/:registry", Scopes: writing, Serve: a.Handle(a.putRegistry)},
		{Method: "DELETE", Path: "/registries/:registry", Scopes: writing, Serve: a.Handle(a.deleteRegistry)},
	}
}

// registryOf is a registry on the wire: never its password.
func registryOf(r state.Registry) wire.Registry {
	return wire.Registry{Host: r.Host, Username: r.Username, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt}
}

// listRegistries serves GET /registries.
func (a *API) listRegistries(c *gin.Context) error {
	all, err := a.Registries.List(c.Request.Context(), door.CallerOf(c))
	if err != nil {
		return err
	}
	reply := wire.Registries{Registries: []wire.Registry{}}
	for _, r := range all {
		reply.Registries = append(reply.Registries, registryOf(r))
	}
	ok(c, reply)
	return nil
}

// getRegistry serves GET /registries/:registry.
func (a *API) getRegistry(c *gin.Context) error {
	r, err := a.Registries.Get(c.Request.Context(), door.CallerOf(c), c.Param("registry"))
	if err == nil {
		ok(c, wire.OneRegistry{Registry: registryOf(r)})
	}
	return err
}

// putRegistry serves PUT /registries/:registry.
func (a *API) putRegistry(c *gin.Context) error {
	var req wire.SetRegistry
	if err := a.Read(c, &req); err != nil {
		return err
	}
	r, err := a.Registries.Set(c.Request.Context(), door.CallerOf(c), c.Param("registry"), req.Username, req.Password)
	if err == nil {
		ok(c, wire.OneRegistry{Registry: registryOf(r)})
	}
	return err
}

// deleteRegistry serves DELETE /registries/:registry.
func (a *API) deleteRegistry(c *gin.Context) error {
	if err := a.Registries.Delete(c.Request.Context(), door.CallerOf(c), c.Param("registry")); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}
