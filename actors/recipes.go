package actors

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
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
	out := r.whole(e)
	out.Base = base
	return out
}

// whole is that also where there is nothing to build.
func (r Recipes) whole(e state.Environment) state.Recipe {
	recipe := recipeOf(e)
	dockerfile := build.Dockerfile(recipe, r.Installers)
	at, lines := build.ExtensionLines(recipe, r.Installers)
	hash := build.Hash(dockerfile)
	limit := r.Limit
	if limit == 0 {
		limit = DefaultBuildLimit
	}
	return state.Recipe{Build: newID[state.BuildID]("build"), Machine: newComputerID(), Dockerfile: dockerfile, Hash: hash,
		Tag: build.Tag(string(e.ID), hash), Limit: limit, ExtensionsAt: at, ExtensionLines: lines}
}

// recipeOf is all of an environment that its image depends on.
func recipeOf(e state.Environment) build.Recipe {
	return build.Recipe{Base: e.BaseImage, Runtimes: e.Runtimes, System: e.Packages.System, Python: e.Packages.Python, Node: e.Packages.Node,
		Extensions: e.Dockerfile, SetupScripts: e.SetupScripts}
}

// check refuses what no Dockerfile can hold, by the field it is in. What the
// extensions say is a build's to find out.
func (r Recipes) check(e state.Environment) error {
	recipe := recipeOf(e)
	for _, language := range slices.Sorted(maps.Keys(recipe.Runtimes)) {
		if err := build.CheckRuntime(r.Runtimes, language, recipe.Runtimes[language]); err != nil {
			return unfit("runtimes."+language, err)
		}
	}
	for _, kind := range []struct {
		of   build.Kind
		list []string
	}{{build.System, recipe.System}, {build.Python, recipe.Python}, {build.Node, recipe.Node}} {
		field := "packages." + string(kind.of)
		for i, name := range kind.list {
			if err := build.CheckPackage(kind.of, name); err != nil {
				return unfit(fmt.Sprintf("%s[%d]", field, i), err)
			}
		}
		if err := build.CheckPackages(kind.of, kind.list); err != nil {
			return unfit(field, err)
		}
	}
	if err := build.CheckScripts(recipe.SetupScripts); err != nil {
		return unfit("setupScripts", err)
	}
	if recipe.Base != "" {
		if err := build.CheckBase(recipe.Base); err != nil {
			return unfit("baseImage", err)
		}
	}
	if err := recipe.Validate(r.Runtimes); err != nil {
		return unfit("dockerfileExtensions", err)
	}
	return nil
}

// unfit is a refusal that names the field.
func unfit(field string, err error) error {
	text := strings.TrimPrefix(err.Error(), runtime.ErrInvalid.Error()+": ")
	if !strings.Contains(text, field) {
		text = field + ": " + text
	}
	return fault.New(fault.Invalid, "%s", text).WithField(field)
}

// CheckedRecipe is what was found in a Dockerfile without building it.
type CheckedRecipe struct {
	Dockerfile       string
	Errors, Warnings []string
}

// Runtimes are the versions that can be asked for, by language.
func (e *Environments) Runtimes() map[string][]string { return e.recipes.Runtimes }

// Dockerfile is what an environment's image is made by, as a whole.
func (e *Environments) Dockerfile(env state.Environment) string {
	return build.Dockerfile(recipeOf(env), e.recipes.Installers)
}

// Check looks for mistakes in an environment's Dockerfile, those in its
// extensions by their own lines.
func (e *Environments) Check(ctx context.Context, env state.Environment) (CheckedRecipe, error) {
	checked := CheckedRecipe{Dockerfile: e.Dockerfile(env)}
	if err := e.recipes.check(env); err != nil {
		checked.Errors = []string{faultText(err)}
		return checked, nil
	}
	known, err := e.knownBases(ctx, env.Account)
	if err != nil {
		return checked, err
	}
	report := build.CheckExtensions(recipeOf(env), e.recipes.Installers, build.Options{KnownBase: known})
	for _, p := range report.Errors {
		checked.Errors = append(checked.Errors, p.Text)
	}
	for _, p := range report.Warnings {
		checked.Warnings = append(checked.Warnings, p.Text)
	}
	return checked, nil
}

// knownBases says which names of images an account can build on.
func (e *Environments) knownBases(ctx context.Context, account state.AccountID) (func(string) bool, error) {
	all, err := e.images.List(ctx, account)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{build.DefaultBase: true}
	for _, i := range all {
		names[i.Name] = !build.IsTag(i.Name)
	}
	return func(name string) bool { return names[name] || build.IsReference(name) && !ownedName(name) }, nil
}
