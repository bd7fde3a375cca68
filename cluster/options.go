package cluster

import (
	"context"
	"errors"
	"log/slog"
	"net"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bothy-computer/bothy/cluster/identity"
	"github.com/bothy-computer/bothy/cluster/placement"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/store"
	"github.com/bothy-computer/bothy/cluster/trace"
	"github.com/bothy-computer/bothy/cluster/transport"
)

const (
	// DefaultBallastBytes is room that is given back when the disk is full.
	DefaultBallastBytes = 32 << 20
	// DefaultMinFreeBytes is how little free disk makes a node refuse commands.
	DefaultMinFreeBytes = 64 << 20
	// DefaultSnapshotEntries is how many log entries are applied between two
	// raft snapshots, and DefaultTrailingEntries how many stay in the log after
	// one, so that a follower that was away a while needs no snapshot.
	DefaultSnapshotEntries = 8192
	DefaultTrailingEntries = 10240
)

// First is what a new cluster begins with: an account, its owner and the
// owner's key.
type First struct {
	Account state.Account
	User    state.User
	Key     state.Key
}

// Options says who a node is and what it stands on.
type Options struct {
	// Identity is the node's, open; Open does not close it. If it belongs to no
	// cluster yet, the node joins one with Token, or founds one with First.
	Identity *identity.Identity
	// Listener takes connections of other nodes. Close closes it.
	Listener net.Listener
	// Addrs is how others reach this node. Commands is the newest command set that
	// it speaks: 0 is all that this build knows.
	Addrs state.NodeAddrs
	// Token lets a new node join; nil founds a cluster.
	Token *identity.Token
	// First is what a founded cluster begins with.
	First First

	// Warden freezes this node's computers; nil for a node that has none.
	Warden Warden
	// OnExpired is called when this node's lease had expired and it has begun a
	// new life: it finds out, by records read at the leader, which computers are
	// still its own. Until it returns nil, LeaseHeld is false. ctx ends when the
	// new lease does. It may be nil.
	OnExpired func(ctx context.Context, incarnation uint64) error
	// Capacity says what a node told of its free room; false when nothing is
	// known. Nil knows nothing of any.
	Capacity func(state.NodeID) (placement.Node, bool)
	// ImageKey names an image as Capacity's Images do; nil ignores images.
	ImageKey func(image string) uint64
	// Resolve is where gossip has seen a node take others; it may be nil.
	Resolve func(state.NodeID) (addr string, ok bool)
	// Dial opens connections to other nodes; nil dials TCP.
	Dial transport.DialFunc

	// Clock is the node's; nil is the machine's.
	Clock Clock
	// Timing is every interval; zero fields are DefaultTiming's.
	Timing Timing
	// Log is where the node reports; nil discards.
	Log *slog.Logger
	// Registerer takes the metrics; nil keeps none.
	Registerer prometheus.Registerer
	// Tracer begins the spans of what other nodes ask; nil begins none.
	Tracer *trace.Tracer

	// CacheBytes bounds the store's block cache; 0 is store.DefaultCacheBytes.
	CacheBytes int64
	// BallastBytes and MinFreeBytes: 0 is the default, negative is none.
	BallastBytes, MinFreeBytes int64
	// SnapshotEntries and TrailingEntries: 0 is the default.
	SnapshotEntries, TrailingEntries uint64

	// Fatal is called when this replica cannot go on; it must not return in
	// production. Nil panics.
	Fatal func(error)
	// OnRemoved is called once when this node finds that it is no member of the
	// cluster any more. Nil looks for no such thing.
	OnRemoved func()
	// Crash is called at each point between two durable steps; an error ends
	// the step as a crash would. Nil in production.
	Crash func(point string) error
}

// complete checks the options and fills in defaults.
func (o Options) complete() (Options, error) {
	if o.Identity == nil || o.Listener == nil {
		return o, errors.New("an identity and a listener are needed")
	}
	o.Timing = o.Timing.orDefault()
	if err := o.Timing.check(); err != nil {
		return o, err
	}
	if o.Warden == nil {
		o.Warden = noWarden{}
	}
	if o.Clock == nil {
		o.Clock = SystemClock{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Fatal == nil {
		o.Fatal = func(err error) { panic("cluster: this replica cannot go on: " + err.Error()) }
	}
	if o.Crash == nil {
		o.Crash = func(string) error { return nil }
	}
	if o.ImageKey == nil {
		o.ImageKey = func(string) uint64 { return 0 }
	}
	for _, f := range []struct {
		have *int64
		def  int64
	}{{&o.BallastBytes, DefaultBallastBytes}, {&o.MinFreeBytes, DefaultMinFreeBytes}, {&o.CacheBytes, store.DefaultCacheBytes}} {
		if *f.have == 0 {
			*f.have = f.def
		}
		*f.have = max(*f.have, 0)
	}
	if o.SnapshotEntries == 0 {
		o.SnapshotEntries = DefaultSnapshotEntries
	}
	if o.TrailingEntries == 0 {
		o.TrailingEntries = DefaultTrailingEntries
	}
	if o.Addrs.Commands == 0 {
		o.Addrs.Commands = state.CommandVersion
	}
	return o, nil
}
