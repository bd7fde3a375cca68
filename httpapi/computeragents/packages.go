package computeragents

import (
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
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
		{Method: "DELETE", Path: "/environments/:id/packages/:type/*name", Scopes: write, Serve: a.Handle(a.uninstallPackage)},
	}
}

// packagesOf is the list of a type, or nil when there is no such type.
func packagesOf(p *state.Packages, kind string) *[]string {
	switch kind {
	case "system":
		return &p.System
	case "python":
		return &p.Python
	case "node":
		return &p.Node
	}
	return nil
}

func noPackageType() error {
	return invalid("type", "Invalid package type: Type must be system, python, or node")
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

// installPackages serves POST /environments/:id/packages. Another version of
// one that is there takes its place.
func (a *API) installPackages(c *gin.Context) error {
	var req wire.InstallPackages
	if err := a.Read(c, &req); err != nil {
		return err
	}
	if packagesOf(&state.Packages{}, req.Type) == nil {
		return noPackageType()
	}
	if len(req.Packages) == 0 {
		return invalid("packages", "packages must be a non-empty array")
	}
	e, err := a.changeSpec(c, func(spec *actors.EnvironmentSpec) error {
		list := packagesOf(&spec.Packages, req.Type)
		kept := slices.DeleteFunc(slices.Clone(*list), func(have string) bool {
			return slices.ContainsFunc(req.Packages, func(p string) bool { return bare(req.Type, p) == bare(req.Type, have) })
		})
		*list = append(kept, req.Packages...)
		return nil
	})
	if err != nil {
		return err
	}
	return a.replyPackages(c, e, wire.ChangedPackages{Installed: req.Packages})
}

// uninstallPackage serves DELETE /environments/:id/packages/:type/*name.
func (a *API) uninstallPackage(c *gin.Context) error {
	kind, name := c.Param("type"), strings.TrimPrefix(c.Param("name"), "/")
	if packagesOf(&state.Packages{}, kind) == nil {
		return noPackageType()
	}
	e, err := a.changeSpec(c, func(spec *actors.EnvironmentSpec) error {
		list := packagesOf(&spec.Packages, kind)
		kept := slices.DeleteFunc(slices.Clone(*list), func(have string) bool { return have == name || bare(kind, have) == name })
		if len(kept) == len(*list) {
			return fault.New(fault.NotFound, "Package not found: %s is no %s package of the environment", name, kind).WithField("name")
		}
		*list = kept
		return nil
	})
	if err != nil {
		return err
	}
	return a.replyPackages(c, e, wire.ChangedPackages{Uninstalled: &name})
}

// bare is a package's name without its version.
func bare(kind, name string) string {
	stops := map[string]string{"system": "=", "python": "=<>!~[ ", "node": "@"}[kind]
	from := 0
	if kind == "node" && strings.HasPrefix(name, "@") {
		from = 1 // a scope
	}
	if i := strings.IndexAny(name[from:], stops); i >= 0 {
		name = name[:from+i]
	}
	return name
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
