package computeragents

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

func (a *API) runtimeRoutes() []door.Route {
	read, write := []string{"environments:read"}, []string{"environments:write"}
	return []door.Route{
		{Method: "GET", Path: "/environments/runtimes/available", Scopes: read, Serve: a.Handle(a.availableRuntimes)},
		{Method: "GET", Path: "/environments/:id/runtimes", Scopes: read, Serve: a.Handle(a.getRuntimes)},
		{Method: "PUT", Path: "/environments/:id/runtimes", Scopes: write, Serve: a.Handle(a.putRuntimes)},
	}
}

// availableRuntimes serves GET /environments/runtimes/available.
func (a *API) availableRuntimes(c *gin.Context) error {
	a.ok(c, wire.AvailableRuntimes{Runtimes: a.Environments.Runtimes()})
	return nil
}

// environment reads the environment that a path names, for its owner.
func (a *API) environment(c *gin.Context) (state.Environment, error) {
	id, err := environmentID(c)
	if err != nil {
		return state.Environment{}, err
	}
	return get(a, c, func(v *state.View, account state.AccountID) (state.Environment, error) {
		return v.Environment(account, id)
	})
}

// changeSpec applies a change to the environment that a path names.
func (a *API) changeSpec(c *gin.Context, change func(*actors.EnvironmentSpec) error) (state.Environment, error) {
	id, err := environmentID(c)
	if err != nil {
		return state.Environment{}, err
	}
	return a.Environments.Update(c.Request.Context(), door.CallerOf(c), id, func(spec *actors.EnvironmentSpec, _ *state.Environment) error {
		return change(spec)
	})
}

// getRuntimes serves GET /environments/:id/runtimes.
func (a *API) getRuntimes(c *gin.Context) error {
	e, err := a.environment(c)
	if err != nil {
		return err
	}
	reply := wire.Runtimes{Runtimes: e.Runtimes}
	if reply.Runtimes == nil {
		reply.Runtimes = map[string]string{}
	}
	a.ok(c, reply)
	return nil
}

// putRuntimes serves PUT /environments/:id/runtimes.
func (a *API) putRuntimes(c *gin.Context) error {
	var req wire.SetRuntimes
	if err := a.Read(c, &req); err != nil {
		return err
	}
	if !req.Runtimes.Given() {
		return invalid("runtimes", "Missing required field: runtimes")
	}
	e, err := a.changeSpec(c, func(spec *actors.EnvironmentSpec) error { spec.Runtimes = req.Runtimes.Value; return nil })
	if err != nil {
		return err
	}
	return a.replyEnvironment(c, http.StatusOK, e)
}
