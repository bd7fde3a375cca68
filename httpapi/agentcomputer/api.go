package agentcomputer

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

// Request limits of this dialect, for each key or address.
const (
	DefaultRequests = 100_000
	Window          = 15 * time.Minute
)

// prefix is what each route is served under.
const prefix = "/v1"

// Computers makes, changes and runs machines.
type Computers interface {
	Create(context.Context, actors.Caller, state.Computer) (actors.Asked, error)
	Ask(context.Context, actors.Caller, state.ComputerID, state.Wish) (actors.Asked, error)
	Delete(context.Context, actors.Caller, state.ComputerID, state.Origin) (actors.Asked, error)
	Update(context.Context, actors.Caller, state.ComputerID, actors.Shown) (actors.Asked, error)
	Resize(context.Context, actors.Caller, state.ComputerID, state.Size) (actors.Asked, error)
	Transfer(context.Context, actors.Caller, state.ComputerID, state.AccountID) (state.Computer, error)
	Save(context.Context, actors.Caller, state.ComputerID) (state.Computer, error)
	Recover(context.Context, actors.Caller, state.ComputerID) (state.Computer, error)
	Exec(context.Context, actors.Caller, state.ComputerID, actors.Command) (actors.Exit, error)
}

// Files reads and changes the files of computers.
type Files interface {
	Files(context.Context, actors.Caller, state.ComputerID, actors.FileOp) (actors.FileResult, error)
	Pack(ctx context.Context, c actors.Caller, id state.ComputerID, name string, format workspace.Format) (io.ReadCloser, error)
	Unpack(ctx context.Context, c actors.Caller, id state.ComputerID, into string, archive io.Reader) (actors.Unpacked, error)
}

// Snapshots keeps computers' disks as they were.
type Snapshots interface {
	Create(context.Context, actors.Caller, state.ComputerID) (actors.SnapshotAsked, error)
	Delete(context.Context, actors.Caller, state.SnapshotID) (actors.SnapshotAsked, error)
}

// Images knows what computers can be made of.
type Images interface {
	// List returns those that an account can use.
	List(ctx context.Context, account state.AccountID) ([]actors.Image, error)
	// Get returns one of them, by its id, name or digest.
	Get(ctx context.Context, account state.AccountID, name string) (actors.Image, error)
	// Import takes an archive.
	Import(ctx context.Context, c actors.Caller, n actors.NewImage, archive io.Reader) (actors.Image, error)
	// Export writes one as an archive, and nothing if it fails before it begins.
	Export(ctx context.Context, c actors.Caller, name string, to io.Writer) error
	Delete(ctx context.Context, c actors.Caller, name string) error
	// Pull begins to pull one from a registry; Await waits for its end.
	Pull(ctx context.Context, c actors.Caller, n actors.NewImage) (actors.Image, error)
	Await(ctx context.Context, account state.AccountID, name string) (actors.Image, error)
	// Find describes the one of a computer, as far as this node knows it.
	Find(ctx context.Context, image string) (runtime.Image, bool, error)
}

// Registries keeps how accounts log in to registries of images.
type Registries interface {
	Set(ctx context.Context, c actors.Caller, host, username, password string) (state.Registry, error)
	Get(ctx context.Context, c actors.Caller, host string) (state.Registry, error)
	List(ctx context.Context, c actors.Caller) ([]state.Registry, error)
	Delete(ctx context.Context, c actors.Caller, host string) error
}

// Hosts knows what the nodes have left for computers.
type Hosts interface {
	Rooms() []Room
}

// Room is what one node may still give to computers.
type Room struct {
	MemoryFree, DiskFree int64 // bytes
}

// Money changes what an account may spend.
type Money interface {
	SetLimits(context.Context, state.SetLimits) (state.Account, error)
}

// Nouns are what the API asks.
type Nouns struct {
	Computers  Computers
	Files      Files
	Snapshots  Snapshots
	Sessions   Sessions
	Ports      Ports
	Shares     Shares
	Images     Images
	Registries Registries
	Hosts      Hosts
	Money      Money
	SSH        SSH
}

// Options is what the API stands on.
type Options struct {
	Nouns
	Shared   door.Shared
	Links    door.Links
	Requests int        // in a Window; 0 is DefaultRequests
	Default  state.Size // of a computer whose size says nothing of cores
	// Preferences serves PATCH /billing/preferences with a body in camelCase,
	// which is another dialect's.
	Preferences gin.HandlerFunc
}

// API serves the dialect.
type API struct {
	*door.Door
	Nouns
	links  door.Links
	shapes state.Size
	camel  gin.HandlerFunc
}

// New makes the API.
func New(o Options) *API {
	if o.Requests == 0 {
		o.Requests = DefaultRequests
	}
	return &API{Nouns: o.Nouns, links: o.Links, shapes: o.Default, camel: o.Preferences, Door: door.New(o.Shared, door.Dialect{
		Name: "agent_computer", Requests: o.Requests, Window: Window, Refuse: refuse})}
}

// Routes lists every route of the dialect.
func (a *API) Routes() []door.Route {
	var all []door.Route
	for _, some := range [][]door.Route{a.meRoutes(), a.imageRoutes(), a.registryRoutes(), a.sizeRoutes(), a.computerRoutes(), a.actionRoutes(),
		a.execRoutes(), a.fileRoutes(), a.sessionRoutes(), a.portRoutes(), a.shareRoutes(),
		a.operationRoutes(), a.usageRoutes(), a.billingRoutes(), a.uptimeRoutes(), a.snapshotRoutes(), a.connectionRoutes(),
		a.sshKeyRoutes(), a.sshRoutes()} {
		all = append(all, some...)
	}
	return all
}

// Mount adds the routes to an engine.
func (a *API) Mount(e *gin.Engine) { a.Door.Mount(e, []string{prefix}, a.Routes()) }

// Scopes of this dialect's keys.
var (
	reading      = []string{"computers:read"}
	writing      = []string{"computers:write"}
	transferring = []string{"computers:transfer"}
)

// computer finds the computer that the path names, by id or by handle.
func (a *API) computer(c *gin.Context) (found state.Computer, err error) {
	name, err := door.ID(c, "id", "Computer")
	if err != nil {
		return found, err
	}
	account := door.CallerOf(c).Account
	err = a.Look(c, func(v *state.View) error {
		found, err = named(v, account, name)
		if err != nil {
			return err
		}
		return a.Owner(c, v, found.ID)
	})
	return found, err
}

// named finds an account's computer by id, else by handle.
func named(v *state.View, account state.AccountID, name string) (state.Computer, error) {
	byID, err := v.Computer(account, state.ComputerID(name))
	if !fault.Is(err, fault.NotFound) {
		return byID, err
	}
	c, ok, findErr := v.ComputerNamed(account, name)
	if findErr != nil || ok {
		return c, findErr
	}
	return c, err
}

// invalid refuses a field.
func invalid(field, format string, args ...any) error {
	return fault.New(fault.Invalid, format, args...).WithField(field)
}

func ok(c *gin.Context, body any) { c.JSON(http.StatusOK, body) }
