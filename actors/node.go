package actors

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/anthdm/hollywood/actor"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bothy-computer/bothy/actors/agent/catalog"
	"github.com/bothy-computer/bothy/actors/ledger"
	"github.com/bothy-computer/bothy/actors/modelgateway"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/trace"
	"github.com/bothy-computer/bothy/cluster/transport"
	"github.com/bothy-computer/bothy/runtime"
)

// lookEvery is how often a node compares all its computers with their records,
// for what no record tells: a computer that ended by itself, a letter lost.
const lookEvery = 15 * time.Second

// reconcileEvery is how often a node looks for computers on its machine that
// are not, or no longer, its own.
const reconcileEvery = time.Minute

// Changes tells what this node's replica applied. *cluster.Watcher is one.
type Changes interface {
	// Wake has a value when there is something to Take.
	Wake() <-chan struct{}
	// Take returns what changed since the last Take, each record once. missed
	// means that there was more: look at everything.
	Take() (changes []state.Change, missed bool)
}

// Lease is this node's right to act.
type Lease interface {
	// Held returns nil while the node may act.
	Held() error
	// Context ends when the node may no longer act, or with its parent.
	Context(parent context.Context) (context.Context, context.CancelFunc)
}

// Options is what a node's actors work with.
type Options struct {
	Cluster   Cluster
	Lease     Lease
	Changes   Changes
	Index     *Index // nil on a node that cannot search
	Driver    Driver
	Builder   runtime.Builder // nil on a node that makes no images
	Recipes   Recipes
	Transport *transport.Transport // nil on a node that is alone
	Sealer    Sealer
	Catalog   *catalog.Catalog
	Shape     Shape // of an environment's computer
	Price     ledger.ComputerPrice
	// Reach are addresses inside that what tenants name may lead to all the same.
	Reach   []netip.Prefix
	Version string // of this program, told to MCP servers
	// StartBalance is what a new account begins with.
	StartBalance state.MicroUSD
	Log          *slog.Logger
	Tracer       *trace.Tracer // of runs; nil begins no spans
	Registerer   prometheus.Registerer
	Now          func() time.Time
}

// System is one node's actors and the nouns that doors call.
type System struct {
	Threads      *Threads
	Tasks        *Tasks
	Webhooks     *Webhooks
	Uploads      *Uploads
	Agents       *Agents
	Schedules    *Schedules
	Environments *Environments
	Attachments  *Attachments
	Builds       *Builds
	Computers    *Computers
	Images       *Images
	Registries   *Registries
	Snapshots    *Snapshots
	Probes       *Probes
	Drains       *Drains
	Accounts     *Accounts
	Sessions     *Sessions
	Ports        *Ports
	Shares       *Shares
	Limits       *Limits
	SSH          *SSH
	Certificates *Certificates
	Search       *Search
	Skills       *Skills
	Git          *Git
	Diary        *Diary
	Models       Models

	o       Options
	log     *slog.Logger
	system  *system
	shop    *workshop
	local   *local
	bell    *bell
	times   *timekeeper
	courier *courier
	// forgetting deletes the saves of computers that are gone.
	forgetting *forgetter
	end        context.CancelFunc
	loops      sync.WaitGroup

	reconciling sync.Mutex
	orphans     map[runtime.ID]time.Time     // since when; guarded by reconciling
	strays      map[runtime.Source]time.Time // snapshots without a record, likewise

	sweeping sync.Mutex           // held while images are swept
	untagged map[string]time.Time // names of images that belong to nothing, since when; guarded by sweeping

	dropping sync.Mutex // held while snapshots are deleted
	doomed   chan struct{}

	departures *departures
	drains     chan struct{}
}

// reach is how this node's actors reach those of others: not at all without a
// transport.
func (s *System) reach(t *transport.Transport) (*wire, actor.Remoter, error) {
	if t == nil {
		return &wire{}, nil, nil
	}
	remoter, err := t.NewRemoter(transport.RemoterOptions{Knows: Knows,
		Deliver: func(_ *actor.Engine, _ string, env *transport.Envelope, sender *actor.PID) error {
			return s.system.deliver(s.local, env, sender)
		}})
	if err != nil {
		return nil, nil, err
	}
	return &wire{remoter: remoter, client: &http.Client{Transport: t.RoundTripper()}}, remoter, nil
}

// Open starts a node's actors. What this node owns is taken up at once.
func Open(o Options) (*System, error) {
	m := newMetrics(o.Registerer)
	s := &System{o: o, log: o.Log, bell: newBell(), Models: NewModels(o.Catalog), orphans: map[runtime.ID]time.Time{}, untagged: map[string]time.Time{}, doomed: make(chan struct{}, 1),
		departures: newDepartures(o.Now), drains: make(chan struct{}, 1)}
	w, remote, err := s.reach(o.Transport)
	if err != nil {
		return nil, err
	}
	if s.system, err = newSystem(remote, o.Log, m, o.Now); err != nil {
		return nil, err
	}
	m.watch(o.Registerer, o.Cluster, o.Now)
	safe := vault{o.Sealer}
	s.Registries, s.Certificates = &Registries{cluster: o.Cluster, vault: safe}, &Certificates{cluster: o.Cluster, sealer: o.Sealer}
	own := &ownership{registries: s.Registries, pulls: make(chan struct{}, maxPulls), way: outside(o.Driver, o.Reach), cluster: o.Cluster, driver: o.Driver, builder: o.Builder, remote: w, metrics: m, log: o.Log, tracer: o.Tracer, now: o.Now,
		barriers: newBarriers(), held: o.Lease.Held, lease: o.Lease.Context,
		savings: newSavings(func(id state.ComputerID) bool { return s.local.using(id) }),
		meter:   &meter{cluster: o.Cluster, driver: o.Driver, price: o.Price, now: o.Now, log: o.Log}}
	s.local = &local{deps: own, system: s.system, files: newFileRoom(maxFileOps, maxFileOpsEach),
		streams: newFileRoom(maxFileStreams, maxFileStreamsEach)}
	s.shop = &workshop{ownership: own, local: s.local, models: s.Models, vault: safe, bell: s.bell, version: o.Version,
		programs: newPrograms(o.Driver, o.Builder, o.Now), gateway: modelgateway.New(s.Models.counter)}
	s.Images = &Images{driver: o.Driver, cluster: o.Cluster, remote: w, bell: s.bell,
		importing: make(chan struct{}, maxImports), exporting: make(chan struct{}, maxExports)}
	s.Diary = newDiary(o.Cluster, m, o.Log, o.Now)
	s.Computers = &Computers{diary: s.Diary, cluster: o.Cluster, images: s.Images, bell: s.bell, remote: w, local: s.local, shape: o.Shape, now: o.Now}
	s.shop.computers = s.Computers
	s.Uploads = &Uploads{computers: s.Computers, vault: safe, now: o.Now}
	s.Probes = &Probes{cluster: o.Cluster}
	s.Drains = &Drains{cluster: o.Cluster, remote: w, departures: s.departures}
	s.Snapshots = &Snapshots{cluster: o.Cluster, computers: s.Computers}
	s.Environments = &Environments{cluster: o.Cluster, vault: safe, computers: s.Computers, shape: o.Shape, recipes: o.Recipes, images: s.Images}
	s.Attachments = &Attachments{cluster: o.Cluster, environments: s.Environments, computers: s.Computers}
	s.Builds = &Builds{cluster: o.Cluster, environments: s.Environments, bell: s.bell}
	own.rebuild = s.Builds.again
	s.Threads = &Threads{cluster: o.Cluster, environments: s.Environments, vault: safe, models: s.Models, bell: s.bell}
	s.Tasks = &Tasks{threads: s.Threads, computers: s.Computers}
	signer := &webhookSigner{cluster: o.Cluster, sealer: o.Sealer}
	s.Webhooks = &Webhooks{cluster: o.Cluster, vault: safe, signer: signer, insides: len(o.Reach) > 0}
	s.courier = &courier{cluster: o.Cluster, vault: safe, signer: signer, client: courierClient(s.shop.way), metrics: m,
		log: o.Log, now: o.Now, wake: make(chan struct{}, 1)}
	s.Agents = &Agents{cluster: o.Cluster, vault: safe, models: s.Models}
	s.Schedules = &Schedules{cluster: o.Cluster, threads: s.Threads, now: o.Now}
	s.times = &timekeeper{cluster: o.Cluster, threads: s.Threads, metrics: m, log: o.Log, now: o.Now, wake: make(chan struct{}, 1)}
	s.forgetting = &forgetter{own}
	m.watchSaves(o.Registerer, own.savings, o.Now)
	m.watchDrain(o.Registerer, s.draining, s.departures)
	s.Accounts = &Accounts{cluster: o.Cluster, now: o.Now, startBalance: o.StartBalance}
	s.Sessions = &Sessions{cluster: o.Cluster, bell: s.bell, vault: safe}
	s.Ports = &Ports{cluster: o.Cluster, bell: s.bell}
	s.Shares = &Shares{cluster: o.Cluster, sessions: s.Sessions, vault: safe, now: o.Now}
	s.Limits = newLimits(o.Cluster, o.Now)
	s.SSH = &SSH{diary: s.Diary, cluster: o.Cluster, sealer: o.Sealer, bell: s.bell, now: o.Now}
	s.Skills, s.Git = &Skills{cluster: o.Cluster}, &Git{cluster: o.Cluster, computers: s.Computers, vault: safe}
	s.Search = newSearch(o.Cluster, o.Index, o.Log)
	s.begin()
	return s, nil
}

// begin starts what goes on until Close.
func (s *System) begin() {
	ctx, end := context.WithCancel(context.Background())
	s.end = end
	s.Drains.leave = s.leaveFor(ctx)
	s.loops.Go(func() { s.watch(ctx) })
	s.loops.Go(func() { s.Search.run(ctx) })
	s.loops.Go(func() { s.every(ctx, tickEvery, s.tick) })
	s.loops.Go(func() { s.every(ctx, lookEvery, s.lookAll) })
	s.loops.Go(func() { s.every(ctx, reconcileEvery, s.Reconcile) })
	s.loops.Go(func() { s.every(ctx, lookEvery, s.dropSnapshots) })
	s.loops.Go(func() { s.every(ctx, sweepImagesEvery, s.sweepImages) })
	s.loops.Go(func() { s.drop(ctx) })
	s.loops.Go(func() { s.every(ctx, lookEvery, s.tendSaves) })
	s.loops.Go(func() { s.every(ctx, reconcileEvery, s.tendInbox) })
	s.loops.Go(func() { s.forgetting.keep(ctx) })
	s.loops.Go(func() { s.drain(ctx) })
	s.loops.Go(func() { s.times.keep(ctx) })
	s.loops.Go(func() { s.courier.carry(ctx) })
	s.loops.Go(func() { s.Diary.keep(ctx) })
}

// Handler serves what other nodes ask of this one's computers, for
// transport.Serve.
func (s *System) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+execPath, s.local.serveExec)
	mux.HandleFunc("POST "+filesPath+"{account}/{computer}", s.local.serveFiles)
	mux.HandleFunc("GET "+contentPath+"{account}/{computer}", s.local.serveContent)
	mux.HandleFunc("PUT "+contentPath+"{account}/{computer}", s.local.takeContent)
	mux.HandleFunc("GET "+archivePath+"{account}/{computer}", s.local.serveArchive)
	mux.HandleFunc("POST "+archivePath+"{account}/{computer}", s.local.takeArchive)
	mux.HandleFunc(guestPath+"{account}/{computer}/{path...}", s.local.serveGuest)
	mux.HandleFunc("POST "+dialPath+"{account}/{computer}/{port}", s.local.serveDial)
	mux.HandleFunc("POST "+savePath+"{account}/{computer}", s.local.serveSave)
	mux.HandleFunc("POST "+desktopPath+"{account}/{computer}", s.local.serveDesktop)
	images := &imageRoom{driver: s.o.Driver, sending: make(chan struct{}, maxSentLayers)}
	mux.HandleFunc("GET "+manifestPath+"{digest}", images.serveManifest)
	mux.HandleFunc("GET "+layerPath+"{id}", images.serveLayer)
	mux.Handle(inboxPath+"/", serveInbox(s.o.Driver))
	mux.HandleFunc("GET "+departuresPath, s.Drains.serveDepartures)
	mux.HandleFunc("POST "+departuresPath, s.Drains.serveLeave)
	mux.HandleFunc("GET "+imageArchivePath+"{digest}", s.Images.serveArchive)
	return mux
}

// Drain ends every stream's wait, so that clients go to another node.
func (s *System) Drain() { s.bell.drain() }

// Close stops the actors. Computers go on; runs are taken up by whoever owns
// them next, which may be this node's next life.
func (s *System) Close() {
	s.Drain()
	s.end()
	s.loops.Wait()
	s.departures.close()
	s.system.close()
	s.shop.way.CloseIdleConnections()
	s.shop.gateway.Close()
}

// watch passes on what the replica applied: to those who wait for a record,
// and to the actors of what this node owns.
func (s *System) watch(ctx context.Context) {
	for {
		select {
		case <-s.o.Changes.Wake():
		case <-ctx.Done():
			return
		}
		changes, missed := s.o.Changes.Take()
		for _, c := range changes {
			s.bell.ring(c)
			switch c.Noun {
			case state.ChangedSchedule:
				signal(s.times.wake)
			case state.ChangedWebhook:
				signal(s.courier.wake)
			}
			if c.Node == s.o.Cluster.Self() {
				s.wake(c)
			}
		}
		if missed {
			s.bell.ringAll()
			signal(s.times.wake)
			signal(s.courier.wake)
			if err := s.lookAll(ctx); err != nil {
				s.log.Warn("look at everything", "err", err)
			}
		}
	}
}

// wake has the actor of a record that this node owns look at it.
func (s *System) wake(c state.Change) {
	var err error
	switch c.Noun {
	case state.ChangedComputer:
		err = s.lookAt(state.ComputerID(c.ID))
	case state.ChangedSnapshot:
		signal(s.doomed)
	case state.ChangedNode:
		signal(s.drains)
	case state.ChangedBuild:
		err = s.lookAtBuild(state.BuildID(c.ID))
	case state.ChangedImage:
		err = s.lookAtPull(state.ImageID(c.ID))
	case state.ChangedRun:
		err = s.attendTo(state.RunID(c.ID))
	}
	if err != nil {
		// Not lost: lookAll comes back to it.
		s.log.Warn("wake an actor", "noun", c.Noun, "id", c.ID, "err", err)
	}
}

// drop deletes snapshots as soon as their records say so.
func (s *System) drop(ctx context.Context) {
	for {
		select {
		case <-s.doomed:
		case <-ctx.Done():
			return
		}
		if err := s.dropSnapshots(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("delete snapshots", "err", err) // looked at again in a while
		}
	}
}

func (s *System) lookAt(id state.ComputerID) error {
	return s.system.tell(computerKind, string(id), look{}, newComputer(s.shop.ownership, id))
}

func (s *System) lookAtBuild(id state.BuildID) error {
	return s.system.tell(buildKind, string(id), look{}, newBuild(s.shop.ownership, id))
}

func (s *System) lookAtPull(id state.ImageID) error {
	return s.system.tell(pullKind, string(id), look{}, newPull(s.shop.ownership, id))
}

func (s *System) attendTo(id state.RunID) error {
	run, err := applied(s.o.Cluster, func(v *state.View) (state.Run, error) {
		r, _, err := v.AnyRun(id)
		return r, err
	})
	if err != nil || run.Thread == "" {
		return err
	}
	return s.system.tell(threadKind, string(run.Thread), attend{}, newThread(s.shop, run.Thread))
}

// lookAll has every computer, build and pull of this node compared with its record,
// and every run on it attended to.
func (s *System) lookAll(context.Context) error {
	type owned struct {
		computers []state.ComputerID
		runs      []state.RunID
		builds    []state.BuildID
		pulls     []state.ImageID
	}
	o, err := applied(s.o.Cluster, func(v *state.View) (o owned, err error) {
		err = v.ComputersOn(s.o.Cluster.Self(), func(c state.Computer) bool {
			o.computers = append(o.computers, c.ID)
			return true
		})
		for _, id := range o.computers {
			if err == nil {
				err = v.LiveRuns(id, func(r state.Run) bool { o.runs = append(o.runs, r.ID); return true })
			}
		}
		if err == nil {
			err = v.BuildsOn(s.o.Cluster.Self(), func(b state.Build) bool { o.builds = append(o.builds, b.ID); return true })
		}
		if err == nil {
			err = v.PullsOn(s.o.Cluster.Self(), func(i state.Image) bool { o.pulls = append(o.pulls, i.ID); return true })
		}
		return o, err
	})
	for _, id := range o.computers {
		err = errors.Join(err, s.lookAt(id))
	}
	for _, id := range o.runs {
		err = errors.Join(err, s.attendTo(id))
	}
	for _, id := range o.builds {
		err = errors.Join(err, s.lookAtBuild(id))
	}
	for _, id := range o.pulls {
		err = errors.Join(err, s.lookAtPull(id))
	}
	return err
}

// tick reports what this node's computers used, and stops those whose next
// minutes nobody pays for.
func (s *System) tick(ctx context.Context) error {
	if s.o.Lease.Held() != nil {
		return nil
	}
	unpaid, err := s.shop.meter.all(ctx)
	for _, id := range unpaid {
		s.log.Info("stopping a computer that its budget does not cover", "computer", string(id))
		c, owner, findErr := s.shop.owned(id)
		if err = errors.Join(err, findErr); findErr != nil || !owner {
			continue
		}
		_, stopErr := s.o.Cluster.Apply(ctx, state.SetWish{Account: c.Account, Computer: id, Wish: state.WishStopped})
		err = errors.Join(err, stopErr)
	}
	return err
}

// every does something again and again until ctx ends.
func (s *System) every(ctx context.Context, period time.Duration, do func(context.Context) error) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			bounded, cancel := context.WithTimeout(ctx, period)
			if err := do(bounded); err != nil && ctx.Err() == nil && !fault.Is(err, fault.Unavailable) {
				s.log.Warn("periodic work", "err", err)
			}
			cancel()
		case <-ctx.Done():
			return
		}
	}
}
