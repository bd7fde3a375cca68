package computeragents

import (
	"cmp"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
	"github.com/bothy-computer/bothy/runtime/build"
)

func (a *API) dockerfileRoutes() []door.Route {
	read, write := []string{"environments:read"}, []string{"environments:write"}
	return []door.Route{
		{Method: "GET", Path: "/environments/:id/dockerfile", Scopes: read, Serve: a.Handle(a.getDockerfile)},
		{Method: "PUT", Path: "/environments/:id/dockerfile", Scopes: write, Serve: a.Handle(a.putDockerfile)},
		{Method: "POST", Path: "/environments/:id/dockerfile/validate", Scopes: read, Serve: a.Handle(a.validateDockerfile)},
	}
}

// getDockerfile serves GET /environments/:id/dockerfile.
func (a *API) getDockerfile(c *gin.Context) error {
	e, err := a.environment(c)
	if err != nil {
		return err
	}
	a.ok(c, wire.Dockerfile{BaseImage: cmp.Or(e.BaseImage, build.DefaultBase), DockerfileExtensions: maybe(e.Dockerfile),
		EffectiveDockerfile: a.Environments.Dockerfile(e)})
	return nil
}

// putDockerfile serves PUT /environments/:id/dockerfile. A mistake in the text
// is the build's to tell; validate tells it before.
func (a *API) putDockerfile(c *gin.Context) error {
	var req wire.WriteDockerfile
	if err := a.Read(c, &req); err != nil {
		return err
	}
	if !req.DockerfileExtensions.Set && !req.BaseImage.Set {
		return invalid("dockerfileExtensions", "Missing required field: dockerfileExtensions")
	}
	e, err := a.changeSpec(c, func(spec *actors.EnvironmentSpec) error {
		if req.DockerfileExtensions.Set {
			spec.Dockerfile = req.DockerfileExtensions.Value
		}
		if req.BaseImage.Set {
			spec.BaseImage = req.BaseImage.Value
		}
		return nil
	})
	if err != nil {
		return err
	}
	return a.replyEnvironment(c, http.StatusOK, e)
}

// validateDockerfile serves POST /environments/:id/dockerfile/validate: it
// checks extensions, those of the environment if none are given, and builds
// nothing.
func (a *API) validateDockerfile(c *gin.Context) error {
	var req wire.WriteDockerfile
	if err := a.ReadAny(c, &req); err != nil {
		return err
	}
	e, err := a.environment(c)
	if err != nil {
		return err
	}
	if req.DockerfileExtensions.Set {
		e.Dockerfile = req.DockerfileExtensions.Value
	}
	if req.BaseImage.Set {
		e.BaseImage = req.BaseImage.Value
	}
	checked, err := a.Environments.Check(c.Request.Context(), e)
	if err != nil {
		return err
	}
	a.ok(c, wire.CheckedDockerfile{Valid: len(checked.Errors) == 0, Errors: some(checked.Errors), Warnings: some(checked.Warnings),
		EffectiveDockerfile: checked.Dockerfile})
	return nil
}
