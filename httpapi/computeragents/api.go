package computeragents

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
)

// Request limits of this dialect, for each key or address.
const (
	DefaultRequests = 1000
	Window          = 15 * time.Minute
)

// Threads makes, changes and removes threads.
type Threads interface {
	Create(context.Context, actors.Caller, actors.NewThread) (state.Thread, error)
	Patch(context.Context, actors.Caller, state.PatchThread) (state.Thread, error)
	Delete(context.Context, actors.Caller, state.ThreadID) error
	Copy(ctx context.Context, c actors.Caller, id state.ThreadID, title string) (state.Thread, error)
}

// Runs starts, stops and follows runs of threads.
type Runs interface {
	Start(context.Context, actors.Caller, actors.NewRun) (actors.Started, error)
	Cancel(context.Context, actors.Caller, state.ThreadID) error
	Resume(context.Context, actors.Caller, state.ThreadID) (state.Thread, error)
	Follow(ctx context.Context, thread state.ThreadID, after uint64) Follower
}

// Agents keeps agents.
type Agents interface {
	Create(context.Context, actors.Caller, state.Agent, []actors.MCPServer) (state.Agent, error)
	// Update applies change to the agent as it is; nil servers stay as they are.
	Update(ctx context.Context, c actors.Caller, id state.AgentID, change func(*state.Agent) error, servers *[]actors.MCPServer) (state.Agent, error)
	Delete(context.Context, actors.Caller, state.AgentID) error
	MCPServers(state.Agent) ([]actors.MCPServer, error)
}

// Schedules keeps schedules. A refusal of a time names its field.
type Schedules interface {
	// Create stores a schedule that makes a thread each time or, with in set,
	// one that speaks in that new thread.
	Create(ctx context.Context, c actors.Caller, s state.Schedule, in *actors.NewThread) (state.Schedule, error)
	// Update applies change to the schedule as it is.
	Update(ctx context.Context, c actors.Caller, id state.ScheduleID, change func(*state.Schedule) error) (state.Schedule, error)
	Delete(context.Context, actors.Caller, state.ScheduleID) error
	Trigger(context.Context, actors.Caller, state.ScheduleID) (actors.Started, error)
}

// Environments keeps recipes.
type Environments interface {
	Create(context.Context, actors.Caller, actors.EnvironmentSpec) (state.Environment, error)
	Default(context.Context, actors.Caller) (state.Environment, error)
	// Update applies change to the environment as it is; a secret that change
	// leaves without a value keeps the one it had.
	Update(ctx context.Context, c actors.Caller, id state.EnvironmentID, change func(*actors.EnvironmentSpec, *state.Environment) error) (state.Environment, error)
	SetDefault(context.Context, actors.Caller, state.EnvironmentID) (state.Environment, error)
	Delete(ctx context.Context, c actors.Caller, id state.EnvironmentID, hard bool) error
	Spec(state.Environment) (actors.EnvironmentSpec, error)
	// Install adds packages of a kind: system, python or node; Uninstall takes
	// one out, and one that is not there is NotFound.
	Install(ctx context.Context, c actors.Caller, id state.EnvironmentID, kind string, names []string) (state.Environment, error)
	Uninstall(ctx context.Context, c actors.Caller, id state.EnvironmentID, kind, name string) (state.Environment, error)
	// Runtimes are the versions that can be asked for, by language.
	Runtimes() map[string][]string
	// Dockerfile is what its image is made by; Check looks for mistakes in it.
	Dockerfile(state.Environment) string
	Check(context.Context, state.Environment) (actors.CheckedRecipe, error)
}

// Machines turns environments' computers on and off.
type Machines interface {
	Start(context.Context, actors.Caller, state.EnvironmentID) (state.Computer, error)
	Stop(context.Context, actors.Caller, state.EnvironmentID) (computer state.Computer, wasUp bool, err error)
	Status(context.Context, actors.Caller, state.EnvironmentID) (state.Computer, actors.Load, error)
}

// Money changes what an account has and may spend.
type Money interface {
	SetLimits(context.Context, state.SetLimits) (state.Account, error)
	AddCredit(ctx context.Context, account state.AccountID, amount state.MicroUSD, description string, once *state.Idempotency) (before, after state.Account, err error)
}

// Models knows which models may be named.
type Models interface {
	Listed(name string) error // Invalid, in the words clients know
	Ready(name string) error  // Unavailable when its vendor is not configured
}

// Nouns are what the API asks.
type Nouns struct {
	Threads      Threads
	Runs         Runs
	Agents       Agents
	Schedules    Schedules
	Environments Environments
	Builds       Builds
	Files        Files
	Attachments  Attachments
	Machines     Machines
	Money        Money
	Search       Search
	Skills       Skills
	Git          Git
	Models       Models
}

// Options is what the API stands on.
type Options struct {
	Nouns
	Shared   door.Shared
	Links    door.Links
	Requests int                 // in a Window; 0 is DefaultRequests
	Gatherer prometheus.Gatherer // for /metrics
	Version  string
	Began    time.Time // of the node
}

// API serves the dialect.
type API struct {
	*door.Door
	Nouns
	links    door.Links
	gatherer prometheus.Gatherer
	version  string
	began    time.Time
	// broadcasts are of the threads that are followed now.
	broadcasts broadcasts
}

// New makes the API.
func New(o Options) *API {
	if o.Requests == 0 {
		o.Requests = DefaultRequests
	}
	a := &API{Nouns: o.Nouns, links: o.Links, gatherer: o.Gatherer, version: o.Version, began: o.Began,
		broadcasts: broadcasts{all: map[state.ThreadID]*broadcast{}}}
	a.Door = door.New(o.Shared, door.Dialect{Name: "computer_agents", Requests: o.Requests, Window: Window, Refuse: a.refuse})
	return a
}

// Prefixes are what each route is served under: clients of different ages use
// one or the other.
var Prefixes = []string{"", "/v1"}

// Routes lists every route of the dialect.
func (a *API) Routes() []door.Route {
	var all []door.Route
	for _, some := range [][]door.Route{a.threadRoutes(), a.threadLogRoutes(), a.skillRoutes(), a.gitRoutes(), a.agentRoutes(), a.scheduleRoutes(), a.environmentRoutes(), a.runtimeRoutes(), a.packageRoutes(), a.dockerfileRoutes(),
		a.buildRoutes(), a.fileRoutes(), a.attachmentRoutes(), a.budgetRoutes(), a.preferenceRoutes(), a.billingRoutes(), a.costRoutes(), a.healthRoutes()} {
		all = append(all, some...)
	}
	return all
}

// Mount adds the routes to an engine.
func (a *API) Mount(e *gin.Engine) {
	a.Door.Mount(e, Prefixes, a.Routes())
	a.Door.Mount(e, []string{""}, a.bareRoutes())
}

// get reads one record for the caller.
func get[T any](a *API, c *gin.Context, read func(v *state.View, account state.AccountID) (T, error)) (found T, err error) {
	account := door.CallerOf(c).Account
	err = a.Look(c, func(v *state.View) error {
		var err error
		found, err = read(v, account)
		return err
	})
	return found, err
}

// invalid refuses a field.
func invalid(field, format string, args ...any) error {
	return fault.New(fault.Invalid, format, args...).WithField(field)
}

// ok answers 200.
func (a *API) ok(c *gin.Context, body any) { c.JSON(http.StatusOK, body) }
