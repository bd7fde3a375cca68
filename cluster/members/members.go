// Package members tells, by gossip, which nodes seem to be alive, how loaded
// they are and what they run. It is a hint: it comes late, a slow machine may
// call a healthy node dead, and two nodes may see different things. Nothing is
// decided on it alone; leases and records decide.
//
// Gossip is encrypted with the cluster's gossip key and uses one UDP and one
// TCP port of the same number.
package members

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// rejoinEvery is how often seeds that are not seen alive are asked again:
	// two halves of a network that was parted do not find each other by themselves.
	rejoinEvery = time.Minute
	// metaEvery is how often a node looks whether what it tells has changed.
	metaEvery = 2 * time.Second
	// updateTimeout bounds how long a change waits to be sent out.
	updateTimeout = 2 * time.Second
	// reclaimAfter is how long a dead node's place is kept from the same node
	// at another address.
	reclaimAfter = time.Second
	// syncEvery is how often two nodes compare all they know; at the latest then
	// a node is seen that came back at another address.
	syncEvery = 15 * time.Second

	// A machine that is short of cpu answers late. These are above the
	// library's figures for a local network, so that fewer healthy nodes are
	// called dead; a dead one is noticed after about 8 to 15 s.
	probeEvery     = 1500 * time.Millisecond
	probeTimeout   = time.Second
	suspicionTimes = 5
)

// Options says how a node takes part.
type Options struct {
	// Node is the node's uuid.
	Node state.NodeID
	// Bind is host:port to listen on, UDP and TCP; port 0 picks one.
	Bind string
	// Advertise is host:port told to others, where it is not Bind.
	Advertise string
	// Key is the 32 byte gossip key of the cluster.
	Key []byte
	// Meta is what the node tells about itself. It is asked every 2 s and must
	// answer at once.
	Meta func() Meta
	// Seeds lists members' gossip addresses (host:port), asked each minute for
	// those not seen alive; nil when only Join is used.
	Seeds func() []string
	// Notify is called after the list has changed, from one goroutine; several
	// changes may come as one call. Nil is allowed.
	Notify func()
	// Log takes what the library reports; nil discards.
	Log *slog.Logger
	// Registerer takes the metrics; nil keeps none.
	Registerer prometheus.Registerer
}

// Member is a node as gossip sees it.
type Member struct {
	Node   state.NodeID
	Gossip string // host:port
	Meta   Meta
	Alive  bool      // it answers, or did lately
	Since  time.Time // when Alive last changed, by this node's clock
}

// Members is this node's part in the gossip.
type Members struct {
	o      Options
	log    *slog.Logger
	list   *memberlist.Memberlist
	roster *roster
	joins  prometheus.Counter
	cancel context.CancelFunc
	nudge  chan struct{}
	work   sync.WaitGroup
	once   sync.Once
}

// Open begins to take part, alone until Join or a seed leads to others.
func Open(o Options) (*Members, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	cfg, err := config(o)
	if err != nil {
		return nil, fmt.Errorf("open gossip: %w", err)
	}
	r := newRoster(o.Log)
	if err := r.tell(o.Meta()); err != nil {
		return nil, fmt.Errorf("open gossip: %w", err)
	}
	cfg.Delegate, cfg.Events, cfg.Conflict = r, r, r
	list, err := memberlist.Create(cfg)
	if err != nil {
		return nil, fmt.Errorf("open gossip on %s: %w", o.Bind, err)
	}
	m := &Members{o: o, log: o.Log, list: list, roster: r, nudge: make(chan struct{}, 1)}
	m.joins = m.register(o.Registerer)
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	m.work.Go(func() { m.rejoin(ctx) })
	m.work.Go(func() { m.update(ctx) })
	m.work.Go(func() { m.notify(ctx) })
	return m, nil
}

// config is memberlist's, for a local network of machines that may be busy.
func config(o Options) (*memberlist.Config, error) {
	cfg := memberlist.DefaultLANConfig()
	cfg.Name = string(o.Node)
	cfg.SecretKey = o.Key
	if len(o.Key) != 32 {
		return nil, errors.New("the gossip key must have 32 bytes")
	}
	cfg.ProbeInterval, cfg.ProbeTimeout, cfg.SuspicionMult = probeEvery, probeTimeout, suspicionTimes
	cfg.DeadNodeReclaimTime, cfg.PushPullInterval = reclaimAfter, syncEvery
	cfg.Logger = newLogger(o.Log)
	var err error
	if cfg.BindAddr, cfg.BindPort, err = splitAddr(o.Bind); err != nil {
		return nil, fmt.Errorf("listen address %q: %w", o.Bind, err)
	}
	cfg.AdvertisePort = cfg.BindPort
	if o.Advertise == "" {
		return cfg, nil
	}
	if cfg.AdvertiseAddr, cfg.AdvertisePort, err = splitAddr(o.Advertise); err != nil {
		return nil, fmt.Errorf("advertised address %q: %w", o.Advertise, err)
	}
	return cfg, nil
}

// splitAddr takes host:port apart and finds the host's first IP address.
func splitAddr(addr string) (ip string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("port %q is no number up to 65535", text)
	}
	if host == "" {
		return "0.0.0.0", int(n), nil
	}
	if net.ParseIP(host) == nil {
		found, err := net.LookupHost(host)
		if err != nil {
			return "", 0, err
		}
		host = found[0]
	}
	return host, int(n), nil
}

// Addr is where other nodes find this one's gossip, host:port.
func (m *Members) Addr() string { return m.list.LocalNode().Address() }

// Join meets the nodes at addrs (host:port). It succeeds when one answers.
func (m *Members) Join(addrs []string) error {
	_, err := m.list.Join(addrs)
	if err != nil {
		return fmt.Errorf("join the gossip: %w", err)
	}
	return nil
}

// List is every member heard of, this node included, by uuid. Those that seem
// dead are kept for a while with Alive false.
func (m *Members) List() []Member { return m.roster.all() }

// Refresh tells the others at once what Meta says now.
func (m *Members) Refresh() {
	select {
	case m.nudge <- struct{}{}:
	default: // one is under way
	}
}

// Leave tells the others that this node goes on purpose, and waits until they
// were told or timeout. Close follows.
func (m *Members) Leave(timeout time.Duration) error {
	if err := m.list.Leave(timeout); err != nil {
		return fmt.Errorf("leave the gossip: %w", err)
	}
	return nil
}

// Close stops taking part, without a word to the others.
func (m *Members) Close() error {
	var err error
	m.once.Do(func() {
		m.cancel()
		err = m.list.Shutdown()
		m.work.Wait()
	})
	return err
}

// rejoin asks seeds that are not seen alive, each minute.
func (m *Members) rejoin(ctx context.Context) {
	tick := time.NewTicker(rejoinEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			m.meetSeeds()
		case <-ctx.Done():
			return
		}
	}
}

func (m *Members) meetSeeds() {
	if m.o.Seeds == nil {
		return
	}
	missing := m.roster.missing(m.o.Seeds())
	if len(missing) == 0 {
		return
	}
	if _, err := m.list.Join(missing); err != nil {
		m.joins.Inc()
		m.log.Debug("seeds did not answer", "seeds", missing, "err", err)
	}
}

// update tells the others when what this node says of itself has changed.
func (m *Members) update(ctx context.Context) {
	tick := time.NewTicker(metaEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-m.nudge:
		case <-ctx.Done():
			return
		}
		before := m.roster.told()
		if err := m.roster.tell(m.o.Meta()); err != nil {
			m.log.Error("what this node tells about itself cannot be sent", "err", err)
			continue
		}
		if m.roster.told() == before {
			continue
		}
		if err := m.list.UpdateNode(updateTimeout); err != nil {
			m.log.Debug("telling the others took too long; they learn it later", "err", err)
		}
	}
}

func (m *Members) notify(ctx context.Context) {
	for {
		select {
		case <-m.roster.changed:
			if m.o.Notify != nil {
				m.o.Notify()
			}
		case <-ctx.Done():
			return
		}
	}
}
