package actors

import (
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime/build"
)

// DefaultBuildLimit is how long one try of a build may take.
const DefaultBuildLimit = 30 * time.Minute

// Recipes say how an environment's image is written down as a Dockerfile.
type Recipes struct {
	// Runtimes are the versions that can be asked for, by language.
	Runtimes   map[string][]string
	Installers build.Installers
	// Limit is how long one try of a build may take; 0 is DefaultBuildLimit.
	Limit time.Duration
}

// of is what an environment's image is to be made by; base is the image it runs
// on where there is nothing to build.
func (r Recipes) of(e state.Environment, base string) state.Recipe {
	recipe := recipeOf(e)
	if recipe.Empty() && (e.BaseImage == "" || e.BaseImage == build.DefaultBase) {
		return state.Recipe{Base: base}
	}
	dockerfile := build.Dockerfile(recipe, r.Installers)
	hash := build.Hash(dockerfile)
	limit := r.Limit
	if limit == 0 {
		limit = DefaultBuildLimit
	}
	return state.Recipe{Build: newID[state.BuildID]("build"), Machine: newComputerID(), Dockerfile: dockerfile, Hash: hash,
		Tag: build.Tag(string(e.ID), hash), Base: base, Limit: limit}
}

// recipeOf is all of an environment that its image depends on.
func recipeOf(e state.Environment) build.Recipe {
	return build.Recipe{Base: e.BaseImage, Runtimes: e.Runtimes, System: e.Packages.System, Python: e.Packages.Python, Node: e.Packages.Node,
		Extensions: e.Dockerfile, SetupScripts: e.SetupScripts}
}
