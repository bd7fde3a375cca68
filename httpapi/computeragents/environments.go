package computeragents

import (
	"cmp"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// workspaceMount is where a computer's user finds the workspace.
const workspaceMount = "/workspace"

func (a *API) environmentRoutes() []door.Route {
	read, write, run := []string{"environments:read"}, []string{"environments:write"}, []string{"environments:write", execute}
	return []door.Route{
		{Method: "GET", Path: "/environments", Scopes: read, Serve: a.Handle(a.listEnvironments)},
		{Method: "POST", Path: "/environments", Scopes: write, Serve: a.Handle(a.createEnvironment)},
		// Asking for the default makes it, and yet clients ask with keys that only read.
		{Method: "GET", Path: "/environments/default", Scopes: read, Serve: a.Handle(a.defaultEnvironment)},
		{Method: "GET", Path: "/environments/:id", Scopes: read, Serve: a.onEnvironment(a.getEnvironment)},
		{Method: "PATCH", Path: "/environments/:id", Scopes: write, Serve: a.Handle(a.patchEnvironment)},
		{Method: "PUT", Path: "/environments/:id", Scopes: write, Serve: a.Handle(a.putEnvironment)},
		{Method: "DELETE", Path: "/environments/:id", Scopes: write, Serve: a.onEnvironment(a.deleteEnvironment)},
		{Method: "POST", Path: "/environments/:id/set-default", Scopes: write, Serve: a.onEnvironment(a.setDefaultEnvironment)},
		{Method: "POST", Path: "/environments/:id/start", Scopes: run, Serve: a.onEnvironment(a.startEnvironment)},
		{Method: "POST", Path: "/environments/:id/stop", Scopes: run, Serve: a.onEnvironment(a.stopEnvironment)},
		{Method: "GET", Path: "/environments/:id/status", Scopes: read, Serve: a.onEnvironment(a.environmentStatus)},
		{Method: "GET", Path: "/environments/:id/config", Scopes: read, Serve: a.Handle(a.getConfig)},
		{Method: "PUT", Path: "/environments/:id/config", Scopes: write, Serve: a.Handle(a.putConfig)},
	}
}

func environmentID(c *gin.Context) (state.EnvironmentID, error) {
	id, err := door.ID(c, "id", "Environment")
	return state.EnvironmentID(id), err
}

// onEnvironment serves a route with the environment that its path names.
func (a *API) onEnvironment(serve func(*gin.Context, state.EnvironmentID) error) gin.HandlerFunc {
	return a.Handle(func(c *gin.Context) error {
		id, err := environmentID(c)
		if err != nil {
			return err
		}
		return serve(c, id)
	})
}

// listEnvironments serves GET /environments: the active ones unless asked
// otherwise, the default first.
func (a *API) listEnvironments(c *gin.Context) error {
	page, err := door.Page(c)
	if err != nil {
		return err
	}
	active, given, err := door.Flag(c, "isActive")
	if err != nil {
		return err
	}
	isDefault, filtered, err := door.Flag(c, "isDefault")
	if err != nil {
		return err
	}
	var keep func(state.Environment) bool
	if filtered {
		keep = func(e state.Environment) bool { return e.Default == isDefault }
	}
	reply := wire.ListOf([]wire.Environment{}, false, 0)
	err = a.LookAll(c, func(v *state.View) error {
		list, err := v.Environments(door.CallerOf(c).Account, active || !given, page, keep)
		if err != nil {
			return err
		}
		reply.HasMore, reply.TotalCount = list.HasMore(page), list.Total
		for _, e := range list.Items {
			one, err := a.environmentOf(v, e)
			if err != nil {
				return err
			}
			reply.Data = append(reply.Data, one)
		}
		return nil
	})
	if err == nil {
		a.ok(c, reply)
	}
	return err
}

// createEnvironment serves POST /environments.
func (a *API) createEnvironment(c *gin.Context) error {
	var req wire.WriteEnvironment
	if err := a.Read(c, &req); err != nil {
		return err
	}
	caller, err := a.Caller(c)
	if err != nil {
		return err
	}
	var spec actors.EnvironmentSpec
	if req.Name.Value == "" {
		return invalid("name", "Missing required field: name")
	}
	if err := writeSpec(&spec, req); err != nil {
		return err
	}
	env, err := a.Environments.Create(c.Request.Context(), caller, spec)
	if err != nil {
		return err
	}
	return a.replyEnvironment(c, http.StatusCreated, env)
}

// replyEnvironment answers with an environment as it was just written.
func (a *API) replyEnvironment(c *gin.Context, status int, e state.Environment) error {
	v := a.Records.StaleView()
	defer v.Close()
	w, err := a.environmentOf(v, e)
	if err != nil {
		return err
	}
	if err := a.Owner(c, v, e.Computer); err != nil {
		return err
	}
	c.JSON(status, wire.OneEnvironment{Environment: w})
	return nil
}

// defaultEnvironment serves GET /environments/default, both bare and wrapped.
func (a *API) defaultEnvironment(c *gin.Context) error {
	e, err := a.Environments.Default(c.Request.Context(), door.CallerOf(c))
	if err != nil {
		return err
	}
	v := a.Records.StaleView()
	defer v.Close()
	w, err := a.environmentOf(v, e)
	if err != nil {
		return err
	}
	if err := a.Owner(c, v, e.Computer); err != nil {
		return err
	}
	a.ok(c, wire.DefaultEnvironment{Environment: w, Wrapped: w})
	return nil
}

// getEnvironment serves GET /environments/:id.
func (a *API) getEnvironment(c *gin.Context, id state.EnvironmentID) error {
	reply, err := get(a, c, func(v *state.View, account state.AccountID) (wire.Environment, error) {
		e, err := v.Environment(account, id)
		if err != nil {
			return wire.Environment{}, err
		}
		if err := a.Owner(c, v, e.Computer); err != nil {
			return wire.Environment{}, err
		}
		return a.environmentOf(v, e)
	})
	if err == nil {
		a.ok(c, wire.OneEnvironment{Environment: reply})
	}
	return err
}

// patchEnvironment serves PATCH /environments/:id.
func (a *API) patchEnvironment(c *gin.Context) error {
	return a.changeEnvironment(c, func(req wire.WriteEnvironment, spec *actors.EnvironmentSpec, e *state.Environment) error {
		if req.Name.Set && req.Name.Value == "" {
			return invalid("name", "name must not be empty")
		}
		if req.IsActive.Given() {
			e.Inactive = !req.IsActive.Value
		}
		if e.Inactive && req.IsDefault.Value {
			return fault.New(fault.Conflict, "Environment %s is deleted; restore it first", e.ID)
		}
		return writeSpec(spec, req)
	})
}

// putEnvironment serves PUT /environments/:id: what is absent is gone, but for
// secrets that are named without a value.
func (a *API) putEnvironment(c *gin.Context) error {
	return a.changeEnvironment(c, func(req wire.WriteEnvironment, spec *actors.EnvironmentSpec, e *state.Environment) error {
		if req.Name.Value == "" {
			return invalid("name", "Missing required field: name")
		}
		if req.IsActive.Given() {
			e.Inactive = !req.IsActive.Value
		}
		*spec = actors.EnvironmentSpec{}
		return writeSpec(spec, req)
	})
}

func (a *API) changeEnvironment(c *gin.Context, change func(wire.WriteEnvironment, *actors.EnvironmentSpec, *state.Environment) error) error {
	id, err := environmentID(c)
	if err != nil {
		return err
	}
	var req wire.WriteEnvironment
	if err := a.Read(c, &req); err != nil {
		return err
	}
	e, err := a.Environments.Update(c.Request.Context(), door.CallerOf(c), id, func(spec *actors.EnvironmentSpec, e *state.Environment) error {
		return change(req, spec, e)
	})
	if err != nil {
		return err
	}
	return a.replyEnvironment(c, http.StatusOK, e)
}

// deleteEnvironment serves DELETE /environments/:id: it can be restored unless
// hard is true.
func (a *API) deleteEnvironment(c *gin.Context, id state.EnvironmentID) error {
	hard, _, err := door.Flag(c, "hard")
	if err != nil {
		return err
	}
	if err := a.Environments.Delete(c.Request.Context(), door.CallerOf(c), id, hard); err != nil {
		return err
	}
	a.ok(c, wire.Done{Success: true, Deleted: true})
	return nil
}

// setDefaultEnvironment serves POST /environments/:id/set-default.
func (a *API) setDefaultEnvironment(c *gin.Context, id state.EnvironmentID) error {
	e, err := a.Environments.SetDefault(c.Request.Context(), door.CallerOf(c), id)
	if err != nil {
		return err
	}
	return a.replyEnvironment(c, http.StatusOK, e)
}

// startEnvironment serves POST /environments/:id/start: it answers when the
// computer runs.
func (a *API) startEnvironment(c *gin.Context, id state.EnvironmentID) error {
	var req wire.StartEnvironment
	if err := a.ReadAny(c, &req); err != nil {
		return err
	}
	if len(req.Cpus) > 0 || len(req.Memory) > 0 {
		return fault.New(fault.Unsupported, "This version cannot set cpus or memory at start; leave them out").WithField("cpus")
	}
	computer, err := a.Machines.Start(c.Request.Context(), door.CallerOf(c), id)
	if err != nil {
		return err
	}
	image, err := a.imageOf(computer)
	if err != nil {
		return err
	}
	a.OwnerNow(c, computer.ID)
	a.ok(c, wire.StartedEnvironment{Success: true, ContainerName: computer.Name, ContainerID: string(computer.ID),
		ImageTag: maybe(image), WorkspacePath: workspaceMount, Status: statusOf(computer), Message: newerImage(computer)})
	return nil
}

// imageOf is what an environment's computer runs, by the tag of the build that
// made it, else by its own name.
func (a *API) imageOf(computer state.Computer) (string, error) {
	runs := cmp.Or(computer.RunImage, computer.Image)
	v := a.Records.StaleView()
	defer v.Close()
	e, err := v.Environment(computer.Account, computer.Environment)
	if err != nil {
		return "", err
	}
	if runs == e.Build.Digest {
		return cmp.Or(e.Build.Tag, runs), nil
	}
	tag := runs
	err = v.BuildsOf(e.ID, func(b state.Build) bool {
		if b.Digest == runs && !b.Test {
			tag = b.Tag
		}
		return tag == runs
	})
	return tag, err
}

// stopEnvironment serves POST /environments/:id/stop: it answers when the
// computer is down.
func (a *API) stopEnvironment(c *gin.Context, id state.EnvironmentID) error {
	var req wire.StopEnvironment
	if err := a.ReadAny(c, &req); err != nil {
		return err
	}
	computer, wasUp, err := a.Machines.Stop(c.Request.Context(), door.CallerOf(c), id)
	if err != nil {
		return err
	}
	a.OwnerNow(c, computer.ID)
	reply := wire.StoppedEnvironment{Success: true, Containers: []string{}}
	if wasUp {
		reply.Stopped, reply.Containers = 1, []string{string(computer.ID)}
	}
	a.ok(c, reply)
	return nil
}

// newerImage tells of a computer that it runs an older image than its
// environment's newest; else it is nil.
func newerImage(c state.Computer) *string {
	if !c.Outdated() {
		return nil
	}
	return maybe("a newer image is ready; it is used from the next start")
}

// environmentStatus serves GET /environments/:id/status.
func (a *API) environmentStatus(c *gin.Context, id state.EnvironmentID) error {
	computer, load, err := a.Machines.Status(c.Request.Context(), door.CallerOf(c), id)
	if err != nil {
		return err
	}
	a.OwnerNow(c, computer.ID)
	e, err := a.environment(c)
	if err != nil {
		return err
	}
	reply := wire.EnvironmentStatus{Status: environmentStatusOf(e, computer), Message: maybe(computer.Error)}
	if reply.Message == nil {
		reply.Message = newerImage(computer)
	}
	if computer.Phase.Up() {
		uptime := int64(load.Uptime / time.Second)
		reply.Uptime, reply.Memory, reply.CPU = &uptime, &load.MemoryBytes, &load.CPUPercent
		reply.ContainerID, reply.StartedAt = maybe(computer.ID), wire.Maybe(computer.StartedAt)
	}
	a.ok(c, reply)
	return nil
}

// getConfig serves GET /environments/:id/config.
func (a *API) getConfig(c *gin.Context) error {
	e, err := a.environment(c)
	if err != nil {
		return err
	}
	a.ok(c, wire.EnvironmentConfig{Config: e.Config})
	return nil
}

// putConfig serves PUT /environments/:id/config: a text that its user keeps
// here, and nobody else reads.
func (a *API) putConfig(c *gin.Context) error {
	var req wire.WriteEnvironmentConfig
	if err := a.Read(c, &req); err != nil {
		return err
	}
	if req.Config == nil {
		return invalid("config", "Missing required field: config")
	}
	if err := long("config", *req.Config); err != nil {
		return err
	}
	id, err := environmentID(c)
	if err != nil {
		return err
	}
	e, err := a.Environments.Update(c.Request.Context(), door.CallerOf(c), id, func(_ *actors.EnvironmentSpec, e *state.Environment) error {
		e.Config = *req.Config
		return nil
	})
	if err != nil {
		return err
	}
	a.ok(c, wire.EnvironmentConfig{Config: e.Config})
	return nil
}

// environmentStatusOf is what its computer does or, while that is down, that an
// image for it is made.
func environmentStatusOf(e state.Environment, c state.Computer) string {
	if !c.Phase.Up() && e.Build.Status == state.EnvironmentBuilding {
		return "building"
	}
	return statusOf(c)
}

// statusOf is a computer's phase in this dialect's four words.
func statusOf(c state.Computer) string {
	switch c.Phase {
	case state.Running, state.Updating, state.Starting:
		return "running"
	case state.Failed:
		return "error"
	}
	return "stopped"
}
