package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/actors/agent/catalog"
	"github.com/bothy-computer/bothy/cluster"
	"github.com/bothy-computer/bothy/cluster/identity"
	"github.com/bothy-computer/bothy/cluster/members"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/trace"
	"github.com/bothy-computer/bothy/httpapi"
	"github.com/bothy-computer/bothy/httpapi/sshgate"
)

// node is one bothy process, from the disk upwards. Each stands on those
// before it, and they are closed in the reverse order:
//
//	identity ─▶ machine ─▶ cluster ─▶ gossip ─▶ actors ─▶ doors
//	 (dir)      (computers) (records)  (hints)            (HTTP, ops)
type node struct {
	config   Config
	log      *slog.Logger
	registry *prometheus.Registry
	identity *identity.Identity
	machine  *machine
	cluster  *cluster.Cluster
	gossip   atomic.Pointer[members.Members]
	watcher  *cluster.Watcher
	actors   atomic.Pointer[actors.System]
	server   *httpapi.Server
	catalog  *catalog.Catalog
	tracer   *trace.Tracer // nil where nothing is traced
	keyPath  string        // of the admin key, where this node founded the cluster

	peer      net.Addr // that nodes reach this one at
	http, ops net.Listener
	tls       net.Listener  // nil where the door is off
	shown     *certificates // what clients are shown by TLS; nil where that is off
	ssh       net.Listener  // nil where the door is off
	gate      *sshgate.Gate
	closers   []func() error // last first
	removed   chan struct{}  // closed when this node is no member any more
}

// startNode opens the node that a configuration describes.
func startNode(ctx context.Context, c Config, log *slog.Logger) (runner, error) {
	n := &node{config: c, log: log, registry: prometheus.NewRegistry(), removed: make(chan struct{})}
	n.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, step := range []func(context.Context) error{
		n.openIdentity, n.openTracing, n.openMachine, n.openDoors, n.openCluster, n.openGossip, n.openActors, n.openServer,
	} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, n.close())
		}
	}
	return n, nil
}

func (n *node) onClose(f func() error) { n.closers = append(n.closers, f) }

func (n *node) close() error {
	var errs []error
	for i := len(n.closers) - 1; i >= 0; i-- {
		errs = append(errs, n.closers[i]())
	}
	n.closers = nil
	return errors.Join(errs...)
}

func (n *node) openIdentity(context.Context) (err error) {
	if n.catalog, err = catalog.New(n.config.Models, os.Getenv); err != nil {
		return err
	}
	n.identity, err = identity.Open(identity.Options{Dir: n.config.Node.Dir, Name: n.config.Node.ID})
	if err != nil {
		return err
	}
	n.onClose(n.identity.Close)
	return nil
}

// tracingPatience is how long a node that stops waits for its last spans to be
// taken.
const tracingPatience = 3 * time.Second

func (n *node) openTracing(ctx context.Context) (err error) {
	c := n.config.Tracing
	if c.Endpoint == "" {
		return nil
	}
	n.tracer, err = trace.Open(ctx, trace.Config{Endpoint: c.Endpoint, Headers: c.Headers, Ratio: c.Ratio,
		Node: n.identity.Name(), Version: buildVersion()}, n.log)
	if err != nil {
		return err
	}
	n.onClose(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), tracingPatience)
		defer cancel()
		if err := n.tracer.Close(ctx); err != nil {
			n.log.Warn("the last spans were lost", "err", err)
		}
		return nil
	})
	return nil
}

// openMachine makes this machine ready for computers.
func (n *node) openMachine(ctx context.Context) (err error) {
	n.machine, err = openMachine(ctx, n.config, n.identity.Node(), n.registry, n.log)
	if err != nil {
		return err
	}
	n.onClose(n.machine.close)
	n.export()
	return nil
}

// openDoors listens early, so that a port in use is known before anything else
// happens.
func (n *node) openDoors(context.Context) (err error) {
	if n.http, err = net.Listen("tcp", n.config.HTTP.Addr); err != nil {
		return fmt.Errorf("listen for clients: %w", err)
	}
	n.onClose(func() error { return quiet(n.http.Close()) })
	if n.ops, err = net.Listen("tcp", n.config.Ops.Addr); err != nil {
		return fmt.Errorf("listen for operators: %w", err)
	}
	n.onClose(func() error { return quiet(n.ops.Close()) })
	if err := n.listenTLS(); err != nil {
		return err
	}
	return n.listenSSH()
}

// quiet forgets that something was closed already.
func quiet(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (n *node) openCluster(ctx context.Context) error {
	listener, err := net.Listen("tcp", n.config.Peer.Addr)
	if err != nil {
		return fmt.Errorf("listen for nodes: %w", err)
	}
	n.peer = listener.Addr() // before the cluster opens: its leader asks for capacity at once
	addrs, err := n.addrs(n.peer)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	o := cluster.Options{
		Identity: n.identity, Listener: listener, Addrs: addrs,
		Warden: &wardenOf{client: n.machine.warden, froze: n.frozen}, OnExpired: n.reconcile, Capacity: n.capacity, ImageKey: imageKey, Resolve: n.resolve,
		Log: n.log, Registerer: n.registry, Tracer: n.tracer, Fatal: n.fatal,
		OnRemoved: sync.OnceFunc(func() { close(n.removed) }),
	}
	if err := n.entry(ctx, &o); err != nil {
		return errors.Join(err, listener.Close())
	}
	if n.cluster, err = cluster.Open(ctx, o); err != nil {
		return err
	}
	n.onClose(n.cluster.Close)
	return nil
}

// entry says how a node that belongs to no cluster comes to one.
func (n *node) entry(ctx context.Context, o *cluster.Options) error {
	if n.identity.Joined() {
		n.keyPath = n.knownKey()
		return nil
	}
	if n.config.Join != "" {
		token, err := identity.ParseToken(n.config.Join)
		if err != nil {
			return fmt.Errorf("--join: %w", err)
		}
		o.Token = &token
		return nil
	}
	if err := n.bootstrap(ctx, o); err != nil || o.Token != nil {
		n.keyPath = n.knownKey()
		return err
	}
	key, path, err := firstKey(n.config)
	if err != nil {
		return err
	}
	n.keyPath = path
	o.First.Account, o.First.User, o.First.Key = actors.Founders(key)
	return nil
}

// bootstrap finds a token of the cluster that this node's fellows belong to;
// none means that this node makes it.
func (n *node) bootstrap(ctx context.Context, o *cluster.Options) (err error) {
	ln, ok := n.http.(*net.TCPListener)
	if len(n.config.Bootstrap.Nodes) == 0 || !ok {
		return nil
	}
	b := bootstrap{self: n.identity.Node(), config: n.config.Bootstrap, http: &http.Client{}, log: n.log}
	o.Token, err = b.run(ctx, ln)
	return err
}

func (n *node) openGossip(context.Context) error {
	key, err := n.identity.GossipKey()
	if err != nil {
		return err
	}
	addrs, err := n.addrs(n.cluster.Transport().Addr())
	if err != nil {
		return err
	}
	m, err := members.Open(members.Options{Node: n.identity.Node(), Bind: n.config.Gossip.Addr, Advertise: addrs.Gossip, Key: key,
		Meta: n.meta, Seeds: n.cluster.GossipAddrs, Log: n.log, Registerer: n.registry})
	if err != nil {
		return err
	}
	n.gossip.Store(m)
	n.onClose(func() error {
		return errors.Join(m.Leave(leavePatience), m.Close())
	})
	seeds := n.cluster.GossipAddrs()
	if len(seeds) == 0 {
		return nil
	}
	if err := m.Join(seeds); err != nil {
		// Seeds are asked again each minute, and members ask this node.
		n.log.Warn("nobody of the cluster answers gossip yet", "err", err)
	}
	return nil
}

// leavePatience bounds how long gossip tells others that this node stops, and
// how long it gives back the requests that it could still have admitted.
const leavePatience = time.Second

func (n *node) openActors(context.Context) error {
	secrets, err := n.cluster.Secrets()
	if err != nil {
		return err
	}
	n.watcher = n.cluster.Watch(func(state.Change) bool { return true })
	n.onClose(func() error { n.watcher.Close(); return nil })
	index, err := n.openIndex()
	if err != nil {
		return err
	}
	shape := n.config.Computer
	sys, err := actors.Open(actors.Options{
		Cluster: recordsOf{n.cluster}, Lease: leaseOf{n.cluster}, Changes: n.watcher, Index: index, Driver: n.machine.driver,
		Builder: n.machine.builder(n.config), Recipes: n.config.recipes(),
		Transport: n.cluster.Transport(), Sealer: secrets, Catalog: n.catalog, Price: n.config.Prices,
		Shape: actors.Shape{Image: shape.Image, MemoryBytes: int64(shape.Memory), MilliCPU: shape.MilliCPU, DiskBytes: int64(shape.Disk),
			EnvironmentIdle: shape.Idle.Environments, ComputerIdle: shape.Idle.Computers},
		Reach: n.config.Outside.prefixes(), Version: buildVersion(),
		StartBalance: state.MicroUSD(n.config.Accounts.StartBalance), Log: n.log, Registerer: n.registry, Tracer: n.tracer, Now: time.Now,
	})
	if err != nil {
		return err
	}
	n.actors.Store(sys)
	n.onClose(n.avoidNodes())
	n.onClose(func() error { sys.Close(); return nil })
	n.cluster.Transport().Serve(sys.Handler())
	return nil
}

func (n *node) openServer(context.Context) (err error) {
	sys, records, shape := n.actors.Load(), recordsOf{n.cluster}, n.config.Computer
	o := httpapi.Stand(httpapi.Options{
		Records: httpapi.RecordsOf(records, n.ready), Registry: n.registry, Log: n.log, Tracer: n.tracer, Now: time.Now, Version: buildVersion(),
		PublicURL: n.config.HTTP.PublicURL, Domain: n.config.HTTP.Domain, SSHAddr: n.sshAddr(),
		Size:     state.Size{MemoryBytes: int64(shape.Memory), MilliCPU: shape.MilliCPU, DiskBytes: int64(shape.Disk)},
		Requests: n.config.Limits.ComputerAgents,
	}, sys)
	if err := n.openCertificates(sys); err != nil {
		return err
	}
	if n.shown != nil {
		o.Challenged = n.shown.challenged
	}
	o.Admin.Nodes, o.AgentComputer.Hosts = nodesOf{n}, nodesOf{n}
	if n.server, err = httpapi.New(o); err != nil {
		return err
	}
	return n.openGate(sys)
}

// Run serves until ctx ends, then lets requests finish and closes the node.
func (n *node) Run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ops := &http.Server{Handler: n.server.OpsHandler(), ReadHeaderTimeout: opsPatience}
	n.onClose(ops.Close)
	go func() {
		if err := ops.Serve(n.ops); !errors.Is(err, http.ErrServerClosed) {
			stop(fmt.Errorf("serve operators: %w", err))
		}
	}()
	go n.takeUp(ctx)
	go func() {
		select {
		case <-n.removed:
			stop(fmt.Errorf("node %s is no member of its cluster any more: it left or was removed. Clear it with `bothy wipe --data-dir %s --yes`; to come back it joins with a new token", n.identity.Name(), n.config.Node.Dir))
		case <-ctx.Done():
		}
	}()
	gate := n.serveSSH(ctx, stop)
	n.serveTLS(ctx, stop)
	// Streams end when their clients can go elsewhere, before the rest drains.
	defer context.AfterFunc(ctx, n.actors.Load().Drain)()
	err := n.server.Serve(ctx, n.http)
	if cause := context.Cause(ctx); err == nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	stop(nil)
	<-gate
	returned, cancel := context.WithTimeout(context.Background(), leavePatience)
	defer cancel()
	if leftover := n.actors.Load().Limits.Return(returned); leftover != nil {
		n.log.Debug("give back admitted requests", "err", leftover)
	}
	return errors.Join(err, n.close())
}

// opsPatience bounds how long an operator's request headers may take.
const opsPatience = 10 * time.Second

// takeUp compares this machine's computers with the records, as soon as the
// node may act: what is its own goes on, what moved away stops.
func (n *node) takeUp(ctx context.Context) {
	for ctx.Err() == nil {
		sys := n.actors.Load()
		if sys == nil {
			return // still starting: Run takes up what there is
		}
		err := n.cluster.WaitReady(ctx)
		if err == nil {
			err = sys.Reconcile(ctx)
		}
		if err == nil {
			return
		}
		n.log.Warn("take up this machine's computers", "err", err)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

// frozen has the computers go on that the warden froze while this node was cut
// off, now that its lease holds again and nobody took them over.
func (n *node) frozen() {
	n.log.Warn("the warden froze this node's computers while its lease was not renewed; they go on as soon as that is confirmed")
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), thawPatience)
		defer cancel()
		n.takeUp(ctx)
	}()
}

// thawPatience bounds how long a node that came back tries at once; after it
// the periodic look goes on.
const thawPatience = 30 * time.Second

// reconcile is what a new life begins with, after the lease had expired.
func (n *node) reconcile(ctx context.Context, _ uint64) error {
	sys := n.actors.Load()
	if sys == nil {
		return errors.New("the node is still starting")
	}
	return sys.Reconcile(ctx)
}

// fatal ends a process whose replica cannot go on: its computers run on, and
// the next start takes up from the log.
func (n *node) fatal(err error) {
	n.log.Error("this node's records cannot go on; it stops", "err", err)
	os.Exit(exitFailed)
}

func (n *node) ready() error {
	if n.cluster.Leader() == "" {
		return cluster.ErrNoLeader
	}
	return leaseOf{n.cluster}.Held()
}
