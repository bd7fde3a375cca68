package computeragents

import (
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

func (a *API) packageRoutes() []door.Route {
	read, write := []string{"environments:read"}, []string{"environments:write"}
	return []door.Route{
		{Method: "GET", Path: "/environments/:id/packages", Scopes: read, Serve: a.Handle(a.getPackages)},
		{Method: "POST", Path: "/environments/:id/packages", Scopes: write, Serve: a.Handle(a.installPackages)},
		// Names such as @types/node arrive unescaped: the rest of the path is the name.
		{Method: "DELETE", Path: "/environments/:id/packages/:type/*name", Scopes: write, Serve: a.onEnvironment(a.uninstallPackage)},
	}
}

// getPackages serves GET /environments/:id/packages.
func (a *API) getPackages(c *gin.Context) error {
	e, err := a.environment(c)
	if err != nil {
		return err
	}
	a.ok(c, wire.EnvironmentPackages{Packages: packages(e.Packages)})
	return nil
}

func packages(p state.Packages) wire.Packages {
	return wire.Packages{System: some(p.System), Python: some(p.Python), Node: some(p.Node)}
}

// installPackages serves POST /environments/:id/packages.
func (a *API) installPackages(c *gin.Context) error {
	var req wire.InstallPackages
	if err := a.Read(c, &req); err != nil {
		return err
	}
	id, err := environmentID(c)
	if err != nil {
		return err
	}
	e, err := a.Environments.Install(c.Request.Context(), door.CallerOf(c), id, req.Type, req.Packages)
	if err != nil {
		return err
	}
	return a.replyPackages(c, e, wire.ChangedPackages{Installed: req.Packages})
}

// uninstallPackage serves DELETE /environments/:id/packages/:type/*name.
func (a *API) uninstallPackage(c *gin.Context, id state.EnvironmentID) error {
	name := strings.TrimPrefix(c.Param("name"), "/")
	e, err := a.Environments.Uninstall(c.Request.Context(), door.CallerOf(c), id, c.Param("type"), name)
	if err != nil {
		return err
	}
	return a.replyPackages(c, e, wire.ChangedPackages{Uninstalled: &name})
}

func (a *API) replyPackages(c *gin.Context, e state.Environment, reply wire.ChangedPackages) error {
	v := a.Records.StaleView()
	defer v.Close()
	w, err := a.environmentOf(v, e)
	if err != nil {
		return err
	}
	reply.Environment = w
	a.ok(c, reply)
	return nil
}
