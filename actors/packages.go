package actors

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime/build"
)

// maxAskedPackages bounds the packages of one request: no more of a kind fit
// into an environment anyway.
const maxAskedPackages = 250

// Install adds packages of a kind to an environment. Another version of one that
// is there takes its place.
func (e *Environments) Install(ctx context.Context, c Caller, id state.EnvironmentID, kind string, names []string) (state.Environment, error) {
	if err := checkAsked(kind, names); err != nil {
		return state.Environment{}, err
	}
	return e.Update(ctx, c, id, func(spec *EnvironmentSpec, _ *state.Environment) error {
		list := packagesOf(&spec.Packages, kind)
		*list = withPackages(build.Kind(kind), *list, names)
		return nil
	})
}

// Uninstall takes a package out of an environment: whatever version it has, or
// only the one that name gives.
func (e *Environments) Uninstall(ctx context.Context, c Caller, id state.EnvironmentID, kind, name string) (state.Environment, error) {
	if packagesOf(&state.Packages{}, kind) == nil {
		return state.Environment{}, noSuchKind()
	}
	if name == "" {
		return state.Environment{}, fault.New(fault.Invalid, "the path must end in a package's name").WithField("name")
	}
	return e.Update(ctx, c, id, func(spec *EnvironmentSpec, _ *state.Environment) error {
		list := packagesOf(&spec.Packages, kind)
		kept := withoutPackage(build.Kind(kind), *list, name)
		if len(kept) == len(*list) {
			return fault.New(fault.NotFound, "Package not found: %.80s is no %s package of the environment", name, kind).WithField("name")
		}
		*list = kept
		return nil
	})
}

func checkAsked(kind string, names []string) error {
	switch {
	case packagesOf(&state.Packages{}, kind) == nil:
		return noSuchKind()
	case len(names) == 0:
		return fault.New(fault.Invalid, "packages must be a non-empty array: At least one package name required").WithField("packages")
	case len(names) > maxAskedPackages:
		return fault.New(fault.Invalid, "packages must have at most %d items", maxAskedPackages).WithField("packages")
	}
	for i, name := range names {
		if err := build.CheckPackage(build.Kind(kind), name); err != nil {
			return unfit(fmt.Sprintf("packages[%d]", i), err)
		}
	}
	return nil
}

func noSuchKind() error {
	return fault.New(fault.Invalid, "Invalid package type: Type must be system, python, or node").WithField("type")
}

// packagesOf is the list of a kind, or nil when there is no such kind.
func packagesOf(p *state.Packages, kind string) *[]string {
	switch build.Kind(kind) {
	case build.System:
		return &p.System
	case build.Python:
		return &p.Python
	case build.Node:
		return &p.Node
	}
	return nil
}

// withPackages is a list with more names; of the same package the last counts.
func withPackages(kind build.Kind, have, names []string) []string {
	all := append(slices.Clone(have), names...)
	last := map[string]int{}
	for i, name := range all {
		last[bareName(kind, name)] = i
	}
	var kept []string
	for i, name := range all {
		if last[bareName(kind, name)] == i {
			kept = append(kept, name)
		}
	}
	return kept
}

func withoutPackage(kind build.Kind, have []string, name string) []string {
	bare := name == versionless(kind, name)
	return slices.DeleteFunc(slices.Clone(have), func(one string) bool {
		return one == name || bare && bareName(kind, one) == bareName(kind, name)
	})
}

// bareName is what two names of one package have in common.
func bareName(kind build.Kind, name string) string {
	name = versionless(kind, name)
	if kind == build.Python { // PEP 503
		name = strings.ToLower(strings.Join(strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune("-_.", r) }), "-"))
	}
	return name
}

// versionless is a package's name alone.
func versionless(kind build.Kind, name string) string {
	stops, from := "=", 0
	switch kind {
	case build.Python:
		stops = "=<>!~[ "
	case build.Node:
		if stops = "@"; strings.HasPrefix(name, "@") {
			from = 1 // a scope
		}
	}
	if i := strings.IndexAny(name[from:], stops); i >= 0 {
		name = name[:from+i]
	}
	return name
}
