package actors

import (
	"context"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// Environments are recipes, each with its one computer.
type Environments struct {
	cluster   Cluster
	vault     vault
	computers *Computers
	shape     Shape
	recipes   Recipes
	images    *Images
}

// Shape is what a computer gets when nobody asks for something else.
type Shape struct {
	Image       string
	MemoryBytes int64
	MilliCPU    int64
	DiskBytes   int64
	// EnvironmentIdle and ComputerIdle are how long a computer of an
	// environment, or one that stands alone, may be unused before it is stopped;
	// the next use wakes it. 0 is never.
	EnvironmentIdle, ComputerIdle time.Duration
}

// Create stores a recipe and the record of its computer.
func (e *Environments) Create(ctx context.Context, c Caller, spec EnvironmentSpec) (state.Environment, error) {
	return e.create(ctx, c, spec, false)
}

// Default returns the account's default environment, making it if it has none.
func (e *Environments) Default(ctx context.Context, c Caller) (state.Environment, error) {
	found, err := view(ctx, e.cluster, func(v *state.View) (*state.Environment, error) {
		env, ok, err := v.DefaultEnvironment(c.Account)
		if err != nil || !ok {
			return nil, err
		}
		return &env, nil
	})
	if err != nil {
		return state.Environment{}, err
	}
	if found != nil {
		return *found, nil
	}
	c.Idempotency = nil // the caller's key stands for what it asked for, not for this
	return e.create(ctx, c, EnvironmentSpec{Name: "default", Default: true}, true)
}

func (e *Environments) create(ctx context.Context, c Caller, spec EnvironmentSpec, ifNone bool) (state.Environment, error) {
	env := state.Environment{ID: newID[state.EnvironmentID]("env"), Account: c.Account, User: c.User}
	if err := e.seal(&env, spec); err != nil {
		return env, err
	}
	if err := e.recipes.check(env); err != nil {
		return env, err
	}
	computer := state.Computer{ID: newComputerID(), Name: spec.Name, Image: e.shape.Image, MemoryBytes: e.shape.MemoryBytes,
		MilliCPU: e.shape.MilliCPU, DiskBytes: e.shape.DiskBytes, IdleStop: e.shape.EnvironmentIdle}
	made, err := propose[state.Made](ctx, e.cluster, state.CreateEnvironment{
		Environment: env, Computer: computer, IfNoDefault: ifNone, Idempotency: c.Idempotency, Recipe: e.Recipe(env)})
	if err != nil {
		return env, err
	}
	return e.get(c.Account, state.EnvironmentID(made.Resource.ID))
}

// Recipe is what an environment's image is to be made by.
func (e *Environments) Recipe(env state.Environment) state.Recipe {
	return e.recipes.of(env, e.shape.Image)
}

// Update applies change to the environment as it is now, in plain text, and
// stores it, again if somebody else changed it meanwhile. Secrets come with
// empty values: one that change leaves empty keeps the value it had.
func (e *Environments) Update(ctx context.Context, c Caller, id state.EnvironmentID, change func(*EnvironmentSpec, *state.Environment) error) (state.Environment, error) {
	for range maxSwaps {
		env, err := view(ctx, e.cluster, func(v *state.View) (state.Environment, error) { return v.Environment(c.Account, id) })
		if err != nil {
			return env, err
		}
		seen, before := env.Version, env.Secrets
		spec, err := e.Spec(env)
		if err != nil {
			return env, err
		}
		if err := change(&spec, &env); err != nil {
			return env, err
		}
		if err := e.seal(&env, spec); err != nil {
			return env, err
		}
		keepSecrets(env.Secrets, spec.Secrets, before)
		if err := e.recipes.check(env); err != nil {
			return env, err
		}
		_, err = e.cluster.Apply(ctx, state.UpdateEnvironment{Environment: env, Seen: seen, Recipe: e.Recipe(env)})
		if isChanged(err) {
			continue
		}
		if err != nil {
			return env, err
		}
		return e.get(c.Account, id)
	}
	return state.Environment{}, fault.New(fault.Conflict, "environment %s is changed by others all the time; try again", id)
}

// keepSecrets gives secrets that were named without a value the one they had.
func keepSecrets(sealed []state.Sealed, plain []KeyValue, before []state.Sealed) {
	for i, p := range plain {
		if p.Value != "" {
			continue
		}
		for _, old := range before {
			if old.Key == p.Key {
				sealed[i] = old
			}
		}
	}
}

// SetDefault makes one environment the account's default.
func (e *Environments) SetDefault(ctx context.Context, c Caller, id state.EnvironmentID) (state.Environment, error) {
	if _, err := e.cluster.Apply(ctx, state.SetDefaultEnvironment{Account: c.Account, Environment: id}); err != nil {
		return state.Environment{}, err
	}
	return e.get(c.Account, id)
}

// Delete deactivates an environment, or removes it for good with its computer.
func (e *Environments) Delete(ctx context.Context, c Caller, id state.EnvironmentID, hard bool) error {
	if hard {
		_, err := e.cluster.Apply(ctx, state.DeleteEnvironment{Account: c.Account, Environment: id})
		return err
	}
	_, err := e.Update(ctx, c, id, func(_ *EnvironmentSpec, env *state.Environment) error {
		env.Inactive = true
		return nil
	})
	return err
}

// Spec opens an environment for its owner. Secrets are named, never shown.
func (e *Environments) Spec(env state.Environment) (EnvironmentSpec, error) {
	spec := EnvironmentSpec{Name: env.Name, Description: env.Description, BaseImage: env.BaseImage, Dockerfile: env.Dockerfile,
		Runtimes: env.Runtimes, Packages: env.Packages, SetupScripts: env.SetupScripts, Documentation: env.Documentation,
		NoInternet: env.NoInternet, NetworkAccess: env.NetworkAccess, Metadata: env.Metadata, Default: env.Default, App: env.App}
	var err error
	if spec.Variables, err = e.vault.openPairs(env.Account, env.Variables); err != nil {
		return spec, err
	}
	for _, s := range env.Secrets {
		spec.Secrets = append(spec.Secrets, KeyValue{Key: s.Key})
	}
	spec.MCPServers, err = e.vault.openServers(env.Account, env.MCPServers)
	return spec, err
}

// seal writes the plain text into the record.
func (e *Environments) seal(env *state.Environment, spec EnvironmentSpec) error {
	env.Name, env.Description, env.BaseImage, env.Dockerfile = spec.Name, spec.Description, spec.BaseImage, spec.Dockerfile
	env.Runtimes, env.Packages, env.SetupScripts = spec.Runtimes, spec.Packages, spec.SetupScripts
	env.Documentation, env.NoInternet, env.NetworkAccess = spec.Documentation, spec.NoInternet, spec.NetworkAccess
	env.Metadata, env.Default, env.App = spec.Metadata, spec.Default, spec.App
	var err error
	if env.Network, err = rulesOf(spec.NetworkAccess); err != nil {
		return err
	}
	if env.Variables, err = e.vault.sealPairs(env.Account, spec.Variables); err != nil {
		return err
	}
	if env.Secrets, err = e.vault.sealPairs(env.Account, spec.Secrets); err != nil {
		return err
	}
	env.MCPServers, err = e.vault.sealServers(env.Account, spec.MCPServers)
	return err
}

// Start starts an environment's computer and returns when it runs.
func (e *Environments) Start(ctx context.Context, c Caller, id state.EnvironmentID) (state.Computer, error) {
	env, err := view(ctx, e.cluster, func(v *state.View) (state.Environment, error) { return v.Environment(c.Account, id) })
	if err != nil {
		return state.Computer{}, err
	}
	if env.Inactive {
		return state.Computer{}, fault.New(fault.Conflict, "Environment %s is deleted; restore it with PATCH {\"isActive\": true}", id)
	}
	return e.computers.Start(ctx, c, env.Computer)
}

// Stop stops an environment's computer and returns when it is down. It reports
// whether it was up.
func (e *Environments) Stop(ctx context.Context, c Caller, id state.EnvironmentID) (state.Computer, bool, error) {
	computer, err := e.computer(ctx, c, id)
	if err != nil {
		return computer, false, err
	}
	up := computer.Phase.Up()
	stopped, err := e.computers.Stop(ctx, c, computer.ID)
	return stopped, up, err
}

// Status returns an environment's computer and what it uses just now.
func (e *Environments) Status(ctx context.Context, c Caller, id state.EnvironmentID) (state.Computer, Load, error) {
	computer, err := e.computer(ctx, c, id)
	if err != nil {
		return computer, Load{}, err
	}
	load, err := e.computers.Load(ctx, computer)
	return computer, load, err
}

func (e *Environments) computer(ctx context.Context, c Caller, id state.EnvironmentID) (state.Computer, error) {
	return view(ctx, e.cluster, func(v *state.View) (state.Computer, error) {
		env, err := v.Environment(c.Account, id)
		if err != nil {
			return state.Computer{}, err
		}
		return v.Computer(c.Account, env.Computer)
	})
}

func (e *Environments) get(account state.AccountID, id state.EnvironmentID) (state.Environment, error) {
	return applied(e.cluster, func(v *state.View) (state.Environment, error) { return v.Environment(account, id) })
}
