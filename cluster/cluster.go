package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"

	"github.com/bothy-computer/bothy/cluster/identity"
	"github.com/bothy-computer/bothy/cluster/placement"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/store"
	"github.com/bothy-computer/bothy/cluster/transport"
)

// leadNews is room for raft's news of gaining and losing the lead, so that raft
// never waits while a reign ends.
const leadNews = 64

// Cluster is this node's part in the cluster.
type Cluster struct {
	o         Options
	self      state.NodeID
	identity  *identity.Identity
	addrs     state.NodeAddrs
	origin    origin
	clock     Clock
	timing    Timing
	log       *slog.Logger
	metrics   *metrics
	capacity  func(state.NodeID) (placement.Node, bool)
	imageKey  func(string) uint64
	onExpired func(context.Context, uint64) error

	store     *store.Store
	shelf     *store.Shelf
	journal   *wal.WAL
	fsm       *fsm
	hub       *hub
	roster    *roster
	transport *transport.Transport
	links     *raft.NetworkTransport
	raft      *raft.Raft

	leads     chan bool // raft's news of this node leading
	reign     atomic.Pointer[reign]
	leader    *leaderView
	proposer  *proposer
	readIndex rounds[uint64]
	lease     *lease
	full      atomic.Bool
	archiving sync.Mutex // held while a backup is taken here

	ctx  context.Context // ends at Close
	stop context.CancelFunc
	work sync.WaitGroup
	once sync.Once
	end  error
}

// Open takes up this node's part. It returns when the node takes part in raft;
// Apply and Read then wait for a leader as long as they may. A new node that
// joins waits for its admission, as long as ctx lasts; one that founds a
// cluster waits for its first records.
func Open(ctx context.Context, o Options) (*Cluster, error) {
	o, err := o.complete()
	if err != nil {
		return nil, fmt.Errorf("open the cluster: %w", err)
	}
	from, err := enter(ctx, o, filepath.Join(o.Identity.Dir(), "raft"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the cluster: %w", err), o.Listener.Close())
	}
	c := &Cluster{
		o: o, self: o.Identity.Node(), identity: o.Identity, addrs: o.Addrs, origin: from,
		clock: o.Clock, timing: o.Timing, log: o.Log,
		capacity: o.Capacity, imageKey: o.ImageKey, onExpired: o.OnExpired,
		hub: newHub(), leader: newLeaderView(), leads: make(chan bool, leadNews),
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.roster = newRoster(c.self, from.Peers, o.Resolve)
	c.lease = newLease(c.clock, c.timing, o.Warden, c.log, func() bool { return len(c.roster.all()) == 1 })
	c.readIndex.ask = c.askIndex
	err = c.start()
	if err == nil && from.Founder {
		err = c.firstRecords(ctx, o.First)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the cluster: %w", err), c.Close())
	}
	return c, nil
}

// start opens what the node stands on, from the disk upwards, and begins its work.
func (c *Cluster) start() error {
	c.fsm = &fsm{hub: c.hub, roster: c.roster, commands: c.addrs.Commands, fatal: c.o.Fatal}
	c.proposer = newProposer(c.self, c.timing.Patience, c.fsm.applied.position, c.sendBatch)
	c.fsm.settle = c.proposer.settle
	c.metrics = newMetrics(c.o.Registerer, c)
	c.fsm.metrics = c.metrics
	shelf, err := c.openStore()
	if err != nil {
		return err
	}
	if err := c.openTransport(); err != nil {
		return err
	}
	c.shelf = shelf
	if err := c.openRaft(shelf); err != nil {
		return err
	}
	if c.origin.Founder {
		if err := c.found(); err != nil {
			return err
		}
	}
	for _, f := range []func(context.Context){c.followLeader, c.reignNow, c.live, c.watchSpace, c.boundLog, c.severStrangers, c.watchRemoved, c.followSecretsKeys, c.proposer.run} {
		c.work.Go(func() { f(c.ctx) })
	}
	c.work.Go(func() { c.hub.run(c.ctx.Done()) })
	c.serve()
	return nil
}

func (c *Cluster) openStore() (*store.Shelf, error) {
	st, err := store.Open(filepath.Join(c.identity.Dir(), "store"), store.Options{
		CacheBytes: c.o.CacheBytes, BallastBytes: c.o.BallastBytes, Log: c.log, Crash: c.o.Crash,
	})
	if err != nil {
		return nil, err
	}
	c.store, c.fsm.store = st, st
	shelf, err := st.Shelf(keptSnapshots)
	if err != nil {
		return nil, err
	}
	if err := catchUp(st, shelf); err != nil {
		return nil, fmt.Errorf("restore the newest snapshot: %w", err)
	}
	return shelf, c.fsm.begin()
}

func (c *Cluster) openTransport() (err error) {
	c.transport, err = transport.Open(c.o.Listener, transport.Options{
		Identity: c.identity, Resolve: c.roster.resolve, Elsewhere: c.o.Resolve, Member: c.roster.member, Admit: c.admit, Dial: c.o.Dial,
		Voters: c.certifiers, Log: c.log, Registerer: c.o.Registerer, Tracer: c.o.Tracer,
		Causes: func() bool { return c.roster.version() >= state.CauseVersion },
	})
	return err
}

// certifiers lists the nodes that give certificates: every member can.
func (c *Cluster) certifiers() []state.NodeID {
	if len(c.roster.all()) == 1 {
		return []state.NodeID{c.self}
	}
	return c.roster.others()
}

// Transport carries what goes between nodes. It is the cluster's: do not close it.
func (c *Cluster) Transport() *transport.Transport { return c.transport }

// Self is this node.
func (c *Cluster) Self() state.NodeID { return c.self }

// Incarnation is this node's present life; 0 before the first.
func (c *Cluster) Incarnation() uint64 { return c.proposer.incarnation() }

// WaitReady waits until this node can change records: it has an incarnation
// and holds its lease.
func (c *Cluster) WaitReady(ctx context.Context) error {
	for !c.Ready() {
		pause(ctx, retryPause)
		if ctx.Err() != nil {
			return fmt.Errorf("wait for the node to be ready: %w", context.Cause(ctx))
		}
		if c.ctx.Err() != nil {
			return ErrClosed
		}
	}
	return nil
}

// Close ends this node's part. What was acknowledged is on disk. It may be
// called again.
func (c *Cluster) Close() error {
	c.once.Do(func() {
		if r := c.reign.Load(); r != nil && r.ctx.Err() == nil && c.voters() > 1 {
			r.abdicate() // the others need not find out by silence
		}
		c.stop()
		c.work.Wait() // entries in flight end: raft commits them or loses the lead
		var errs []error
		if c.transport != nil { // first: raft waits for what it has asked others
			errs = append(errs, c.transport.Close())
		} else {
			errs = append(errs, c.o.Listener.Close())
		}
		if c.raft != nil {
			errs = append(errs, c.raft.Shutdown().Error())
		}
		if c.links != nil {
			errs = append(errs, c.links.Close())
		}
		if c.journal != nil {
			errs = append(errs, c.journal.Close())
		}
		if c.store != nil {
			errs = append(errs, c.store.Close())
		}
		c.lease.close()
		c.end = errors.Join(errs...)
	})
	return c.end
}
