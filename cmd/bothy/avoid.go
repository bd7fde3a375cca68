package main

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
)

// namePatience bounds how long one node's name may take to resolve.
const namePatience = 5 * time.Second

// avoidNodes keeps computers from every node of the cluster, as nodes come and
// go, until the function that it returns is called.
func (n *node) avoidNodes() (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	w := n.cluster.Watch(func(c state.Change) bool { return c.Noun == state.ChangedNode })
	var work sync.WaitGroup
	work.Go(func() {
		var last []netip.Addr
		for known := false; ; known = true {
			addrs, err := n.nodeAddrs(ctx)
			if err == nil && (!known || !slices.Equal(addrs, last)) {
				if err = n.machine.driver.Refuse(ctx, addrs); err == nil {
					last = addrs
				}
			}
			if err != nil && ctx.Err() == nil {
				n.log.Error("computers may reach other nodes", "err", err)
			}
			select {
			case <-w.Wake():
				w.Take()
			case <-ctx.Done():
				return
			}
		}
	})
	return func() error { cancel(); work.Wait(); w.Close(); return nil }
}

// nodeAddrs are the addresses that the nodes say they are at, in order.
func (n *node) nodeAddrs(ctx context.Context) ([]netip.Addr, error) {
	v, err := n.cluster.Stale()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	nodes, err := v.Nodes()
	if err != nil {
		return nil, err
	}
	hosts := hostsOf(nodes)
	var addrs []netip.Addr
	for _, host := range hosts {
		if addr, err := netip.ParseAddr(host); err == nil {
			addrs = append(addrs, addr)
			continue
		}
		limited, cancel := context.WithTimeout(ctx, namePatience)
		found, err := net.DefaultResolver.LookupNetIP(limited, "ip4", host)
		cancel()
		if err != nil {
			n.log.Warn("a node's name does not resolve: computers are not kept from it", "err", err)
		}
		addrs = append(addrs, found...)
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs), nil
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
