package main

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// namePatience bounds how long one node's name may take to resolve.
	namePatience = 5 * time.Second
	// firstAvoidPause and maxAvoidPause are how long after a failure computers
	// are kept from the nodes again: it doubles from the one to the other.
	firstAvoidPause = time.Second
	maxAvoidPause   = time.Minute
)

// avoidance keeps computers from the nodes of the cluster.
type avoidance struct {
	hosts   func() ([]string, error) // of all nodes
	resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	refuse  func(context.Context, []netip.Addr) error
	log     *slog.Logger

	known map[string][]netip.Addr // what names led to last
	last  []netip.Addr            // refused now
	begun bool                    // something was refused
}

// avoidNodes keeps computers from every node of the cluster, as nodes come and
// go, until the function that it returns is called.
func (n *node) avoidNodes() (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	w := n.cluster.Watch(func(c state.Change) bool { return c.Noun == state.ChangedNode })
	a := avoidance{hosts: n.nodeHosts, refuse: n.machine.driver.Refuse, log: n.log, known: map[string][]netip.Addr{},
		resolve: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
		}}
	var work sync.WaitGroup
	work.Go(func() { a.run(ctx, w.Wake(), func() { w.Take() }) })
	return func() error { cancel(); work.Wait(); w.Close(); return nil }
}

// run looks when it is woken, and again after a failure, until ctx ends.
func (a *avoidance) run(ctx context.Context, wake <-chan struct{}, take func()) {
	for pause := firstAvoidPause; ; {
		var again <-chan time.Time
		if err := a.look(ctx); err == nil {
			pause = firstAvoidPause
		} else if ctx.Err() == nil {
			a.log.Error("computers may reach other nodes; it is tried again", "after", pause, "err", err)
			again = time.After(pause)
			pause = min(2*pause, maxAvoidPause)
		}
		select {
		case <-wake:
			take()
		case <-again:
		case <-ctx.Done():
			return
		}
	}
}

// look refuses the addresses that the nodes are at. A name that does not resolve
// leads where it did before, and is a failure.
func (a *avoidance) look(ctx context.Context) error {
	hosts, err := a.hosts()
	if err != nil {
		return err
	}
	addrs, unresolved := a.addrs(ctx, hosts)
	if a.begun && slices.Equal(addrs, a.last) {
		return unresolved
	}
	if err := a.refuse(ctx, addrs); err != nil {
		return errors.Join(err, unresolved)
	}
	a.last, a.begun = addrs, true
	return unresolved
}

// addrs are the addresses of hosts, in order.
func (a *avoidance) addrs(ctx context.Context, hosts []string) (addrs []netip.Addr, err error) {
	for _, host := range hosts {
		if addr, bad := netip.ParseAddr(host); bad == nil {
			addrs = append(addrs, addr)
			continue
		}
		limited, cancel := context.WithTimeout(ctx, namePatience)
		found, failed := a.resolve(limited, host)
		cancel()
		if failed == nil {
			a.known[host] = found
		}
		err = errors.Join(err, failed)
		addrs = append(addrs, a.known[host]...)
	}
	maps.DeleteFunc(a.known, func(host string, _ []netip.Addr) bool { return !slices.Contains(hosts, host) })
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs), err
}

// nodeHosts are the hosts that the nodes say they are at.
func (n *node) nodeHosts() ([]string, error) {
	v, err := n.cluster.Stale()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	nodes, err := v.Nodes()
	return hostsOf(nodes), err
}

// hostsOf are the hosts in the addresses of nodes, each once.
func hostsOf(nodes []state.Node) (hosts []string) {
	for _, n := range nodes {
		for _, addr := range []string{n.PeerAddr, n.HTTPAddr, n.GossipAddr} {
			if host, _, err := net.SplitHostPort(addr); err == nil && host != "" && !slices.Contains(hosts, host) {
				hosts = append(hosts, host)
			}
		}
	}
	return hosts
}
