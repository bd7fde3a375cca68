package admin

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/computeragents"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// prefix is where the routes are.
const prefix = "/v1"

// requests bounds the admin routes in a window of 15 minutes, for each key.
const requests = 100_000

// Accounts makes tenants, their users and keys.
type Accounts interface {
	Create(ctx context.Context, name string, startBalance *state.MicroUSD) (state.Account, error)
	AddUser(ctx context.Context, account state.AccountID, name, role string) (state.User, error)
	CreateKey(context.Context, actors.NewKey) (text string, key state.Key, err error)
	RevokeKey(context.Context, state.AccountID, state.KeyID) error
}

// Computers runs machines of every account.
type Computers interface {
	Exec(context.Context, actors.Caller, state.ComputerID, actors.Command) (actors.Exit, error)
	Start(context.Context, actors.Caller, state.ComputerID) (state.Computer, error)
	Stop(context.Context, actors.Caller, state.ComputerID) (state.Computer, error)
	Save(context.Context, actors.Caller, state.ComputerID) (state.Computer, error)
	Recover(context.Context, actors.Caller, state.ComputerID) (state.Computer, error)
	// OldestUnsaved is the age of the oldest change on this node that no save has.
	OldestUnsaved() time.Duration
	Remove(context.Context, actors.Caller, state.ComputerID) error
}

// Nodes knows the cluster's members.
type Nodes interface {
	// JoinToken makes a token that admits one node.
	JoinToken(ctx context.Context) (token string, expires time.Time, err error)
	// Members is what only the cluster knows of its nodes, by id; a node may be
	// missing.
	Members() map[state.NodeID]Member
	// Remove takes a node out of the cluster: its vote first, then its record.
	// It is a Conflict while the node owns computers.
	Remove(ctx context.Context, node state.NodeID) error
	// Backup writes an encrypted backup of the cluster's records and keys.
	Backup(ctx context.Context, recipients []string, w io.Writer) error
	// Abandon is Remove for a node that is away for ever, with what it alone has.
	Abandon(ctx context.Context, node state.NodeID) error
	// RotateSecrets has a new key seal what users entrust to the cluster. It is a
	// Conflict while the key before it is being replaced.
	RotateSecrets(ctx context.Context) (state.SecretsKeys, error)
}

// Member is a node as consensus and gossip have it.
type Member struct {
	Alive     bool
	Voter     bool
	Leader    bool
	LeaseLeft time.Duration // 0 when not known here
}

// Nouns are what the API asks.
type Nouns struct {
	Accounts  Accounts
	Money     computeragents.Money
	Computers Computers
	Nodes     Nodes
	Drains    Drains
}

// Options is what the API stands on.
type Options struct {
	Nouns
	Shared  door.Shared
	Version string
}

// API serves the admin routes.
type API struct {
	*door.Door
	Nouns
	version string
}

// New makes the API.
func New(o Options) *API {
	return &API{Nouns: o.Nouns, version: o.Version, Door: door.New(o.Shared, door.Dialect{
		Name: "admin", Requests: requests, Window: 15 * time.Minute,
		Refuse: func(c *gin.Context, f *fault.Error) (int, any) {
			status, body := computeragents.Refuse(c, f)
			return status, body
		},
	})}
}

// Routes lists every admin route.
func (a *API) Routes() []door.Route {
	routes := []door.Route{
		{Method: "GET", Path: "/admin/status", Serve: a.Handle(a.status)},
		{Method: "POST", Path: "/admin/tokens", Serve: a.Handle(a.createToken)},
		{Method: "DELETE", Path: "/admin/nodes/:id", Serve: a.Handle(a.removeNode)},
		{Method: "POST", Path: "/admin/backup", Long: true, Serve: a.Handle(a.backup)},
		{Method: "GET", Path: "/admin/nodes/:id/drain", Serve: a.Handle(a.getDrain)},
		{Method: "POST", Path: "/admin/nodes/:id/drain", Serve: a.Handle(a.drain)},
		{Method: "POST", Path: "/admin/nodes/:id/undrain", Serve: a.Handle(a.undrain)},
		{Method: "POST", Path: "/admin/rebalance", Serve: a.Handle(a.rebalance)},
		{Method: "GET", Path: "/admin/secrets-key", Serve: a.Handle(a.getSecretsKey)},
		{Method: "POST", Path: "/admin/secrets-key/rotate", Serve: a.Handle(a.rotateSecretsKey)},
		{Method: "GET", Path: "/admin/accounts", Serve: a.Handle(a.listAccounts)},
		{Method: "POST", Path: "/admin/accounts", Serve: a.Handle(a.createAccount)},
		{Method: "GET", Path: "/admin/accounts/:account", Serve: a.Handle(a.getAccount)},
		{Method: "GET", Path: "/admin/accounts/:account/users", Serve: a.Handle(a.listUsers)},
		{Method: "POST", Path: "/admin/accounts/:account/users", Serve: a.Handle(a.addUser)},
		{Method: "GET", Path: "/admin/accounts/:account/keys", Serve: a.Handle(a.listKeys)},
		{Method: "POST", Path: "/admin/accounts/:account/keys", Serve: a.Handle(a.createKey)},
		{Method: "DELETE", Path: "/admin/accounts/:account/keys/:key", Serve: a.Handle(a.revokeKey)},
		{Method: "GET", Path: "/admin/accounts/:account/budget", Serve: a.Handle(a.getBudget)},
		{Method: "PATCH", Path: "/admin/accounts/:account/budget", Serve: a.Handle(a.patchBudget)},
		{Method: "POST", Path: "/admin/accounts/:account/budget/increase", Serve: a.Handle(a.increaseBudget)},
		{Method: "GET", Path: "/admin/computers", Serve: a.Handle(a.listComputers)},
		{Method: "GET", Path: "/admin/computers/:id", Serve: a.Handle(a.getComputer)},
		{Method: "DELETE", Path: "/admin/computers/:id", Serve: a.Handle(a.removeComputer)},
		{Method: "POST", Path: "/admin/computers/:id/start", Serve: a.Handle(a.startComputer)},
		{Method: "POST", Path: "/admin/computers/:id/stop", Serve: a.Handle(a.stopComputer)},
		{Method: "POST", Path: "/admin/computers/:id/save", Long: true, Serve: a.Handle(a.saveComputer)},
		{Method: "POST", Path: "/admin/computers/:id/recover", Serve: a.Handle(a.recoverComputer)},
		{Method: "POST", Path: "/admin/computers/:id/exec", Long: true, Serve: a.Handle(a.exec)},
	}
	for i := range routes {
		routes[i].Access = door.ByAdmin
	}
	return append(routes, door.Route{Method: "GET", Path: "/admin/audit", Scopes: []string{"audit:read"}, Serve: a.Handle(a.listAudit)})
}

// Mount adds the routes to an engine.
func (a *API) Mount(e *gin.Engine) { a.Door.Mount(e, []string{prefix}, a.Routes()) }

func (a *API) ok(c *gin.Context, body any) { c.JSON(http.StatusOK, body) }

func invalid(field, format string, args ...any) error {
	return fault.New(fault.Invalid, format, args...).WithField(field)
}

// maxNameBytes bounds names of accounts, users and keys.
const maxNameBytes = 128

// named refuses what cannot be a name.
func named(field, text string, needed bool) error {
	switch {
	case needed && text == "":
		return invalid(field, "Missing required field: %s", field)
	case len(text) > maxNameBytes:
		return invalid(field, "%s must be at most %d bytes", field, maxNameBytes)
	}
	for _, r := range text {
		if r < ' ' || r == 0x7f {
			return invalid(field, "%s must not hold control characters", field)
		}
	}
	return nil
}

// accountID is the account in the path; "self" is the caller's own.
func accountID(c *gin.Context) (state.AccountID, error) {
	id, err := door.ID(c, "account", "Account")
	if id == "self" {
		return door.CallerOf(c).Account, nil
	}
	return state.AccountID(id), err
}

// look reads one record of the account in the path, which must exist.
func look[T any](a *API, c *gin.Context, read func(v *state.View, account state.Account) (T, error)) (found T, err error) {
	id, err := accountID(c)
	if err != nil {
		return found, err
	}
	err = a.Look(c, func(v *state.View) error {
		account, err := v.Account(id, a.Now())
		if err == nil {
			found, err = read(v, account)
		}
		return err
	})
	return found, err
}

// listed turns a page of records into its wire form.
func listed[T, W any](list state.List[T], page state.Page, turn func(T) W) wire.List[W] {
	data := make([]W, 0, len(list.Items))
	for _, rec := range list.Items {
		data = append(data, turn(rec))
	}
	return wire.ListOf(data, list.HasMore(page), list.Total)
}
