package httpapi

import (
	"context"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/computeragents"
	"github.com/bothy-computer/bothy/httpapi/console"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/gateway"
	"github.com/bothy-computer/bothy/httpapi/rebyte"
)

// Stand puts the doors on a node's actors: it fills in every noun of o but the
// records, the nodes and their rooms, which are the cluster's.
func Stand(o Options, sys *actors.System) Options {
	o.Nouns = computeragents.Nouns{Threads: sys.Threads, Runs: runs{sys.Threads}, Agents: sys.Agents, Schedules: sys.Schedules,
		Environments: sys.Environments, Builds: builds{sys.Builds}, Files: sys.Computers, Attachments: sys.Attachments, Machines: sys.Environments, Money: sys.Accounts, Search: sys.Search, Skills: sys.Skills, Git: sys.Git, Models: sys.Models}
	o.Admin.Accounts, o.Admin.Money, o.Admin.Computers, o.Admin.Drains = sys.Accounts, sys.Accounts, sys.Computers, sys.Drains
	o.AgentComputer.Computers, o.AgentComputer.Images, o.AgentComputer.Money = sys.Computers, sys.Images, sys.Accounts
	o.AgentComputer.Registries = sys.Registries
	o.AgentComputer.Files = sys.Computers
	o.AgentComputer.Snapshots = sys.Snapshots
	o.AgentComputer.SSH = sys.SSH
	o.Rebyte = rebyte.Nouns{Computers: sys.Computers, Tasks: tasks{sys.Tasks}, Webhooks: sys.Webhooks,
		Uploads: sys.Uploads, Files: sys.Computers}
	o.Prober = sys.Probes
	o.AgentComputer.Sessions, o.AgentComputer.Ports, o.AgentComputer.Shares = sys.Sessions, sys.Ports, sys.Shares
	o.Gateway = gateway.Nouns{Sessions: sys.Sessions, Ports: sys.Ports, Shares: sys.Shares, Computers: sys.Computers, Diary: sys.Diary}
	o.Console = console.Nouns{Sessions: sys.Sessions, Computers: sys.Computers, Images: sys.Images, Diary: sys.Diary}
	o.Keys, o.Limits = sys.Accounts, sys.Limits
	return o
}

// runs follows a thread as an interface, which the doors' tests can stand in for.
type runs struct{ *actors.Threads }

func (r runs) Follow(ctx context.Context, thread state.ThreadID, after uint64) computeragents.Follower {
	return r.Threads.Follow(ctx, thread, after)
}

// tasks follows a task as an interface, likewise.
type tasks struct{ *actors.Tasks }

func (t tasks) Follow(ctx context.Context, task state.ThreadID, after uint64) door.Follower {
	return t.Tasks.Follow(ctx, task, after)
}

// builds follows a build as an interface, likewise.
type builds struct{ *actors.Builds }

func (b builds) Follow(id state.BuildID, after uint64) computeragents.BuildFollower {
	return b.Builds.Follow(id, after)
}

// RecordsOf reads through the cluster; ready says whether this node may serve.
func RecordsOf(c actors.Cluster, ready func() error) door.Records { return records{c, ready} }

type records struct {
	cluster actors.Cluster
	ready   func() error
}

func (r records) View(ctx context.Context) (*state.View, error) { return r.cluster.Read(ctx) }
func (r records) StaleView() *state.View                        { return r.cluster.Stale() }
func (r records) Ready() error                                  { return r.ready() }
func (r records) Self() state.NodeID                            { return r.cluster.Self() }

// NodeName is a node's display name, or its id while its record is not here.
func (r records) NodeName(id state.NodeID) string {
	v := r.cluster.Stale()
	defer v.Close()
	if n, ok, err := v.FindNode(id); err == nil && ok {
		return n.Name
	}
	return string(id)
}
