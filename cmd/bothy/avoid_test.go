package main

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
)

func TestHostsOfNodes(t *testing.T) {
	got := hostsOf([]state.Node{
		{PeerAddr: "203.0.113.1:7000", HTTPAddr: "203.0.113.1:8080", GossipAddr: "[2001:db8::1]:7001"},
		{PeerAddr: "node-b.example:7000", HTTPAddr: ":8080", GossipAddr: ""},
	})
	if want := []string{"203.0.113.1", "2001:db8::1", "node-b.example"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// avoided plays a cluster whose names and rules fail, in time of its own.
type avoided struct {
	mu      sync.Mutex
	hosts   []string
	names   map[string]string // what does not fail to resolve
	broken  bool              // the rules cannot be changed
	refused [][]netip.Addr
}

func (p *avoided) avoidance() *avoidance {
	return &avoidance{log: slog.New(slog.DiscardHandler), known: map[string][]netip.Addr{},
		hosts: func() ([]string, error) { p.mu.Lock(); defer p.mu.Unlock(); return p.hosts, nil },
		resolve: func(_ context.Context, host string) ([]netip.Addr, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.names[host] == "" {
				return nil, errors.New("no such host")
			}
			return []netip.Addr{netip.MustParseAddr(p.names[host])}, nil
		},
		refuse: func(_ context.Context, addrs []netip.Addr) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.broken {
				return errors.New("the rules are locked")
			}
			p.refused = append(p.refused, addrs)
			return nil
		}}
}

func (p *avoided) change(to func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	to()
}

func TestComputersAreKeptFromNodesAfterAFailure(t *testing.T) {
	addr := netip.MustParseAddr
	synctest.Test(t, func(t *testing.T) {
		p := &avoided{hosts: []string{"203.0.113.1", "node-b.example"}, names: map[string]string{}, broken: true}
		wake := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); p.avoidance().run(ctx, wake, func() {}) }()
		shows := func(what string, after time.Duration, want ...netip.Addr) {
			t.Helper()
			p.mu.Lock()
			before := len(p.refused)
			p.mu.Unlock()
			<-time.After(after)
			synctest.Wait()
			p.mu.Lock()
			defer p.mu.Unlock()
			switch {
			case want == nil && len(p.refused) != before:
				t.Fatalf("%s: %v", what, p.refused[before:])
			case want != nil && (len(p.refused) != before+1 || !slices.Equal(p.refused[before], want)):
				t.Fatalf("%s: %v, want %v", what, p.refused[before:], want)
			}
		}
		shows("while the rules cannot be changed", 10*time.Second)
		p.change(func() { p.broken = false })
		shows("what is known, without a name that fails", maxAvoidPause, addr("203.0.113.1"))
		p.change(func() { p.names["node-b.example"] = "203.0.113.2" })
		shows("the name, once it resolves", maxAvoidPause, addr("203.0.113.1"), addr("203.0.113.2"))
		shows("nothing more", time.Hour)
		p.change(func() { p.names, p.hosts = map[string]string{}, []string{"node-b.example", "203.0.113.3"} })
		wake <- struct{}{}
		shows("a name that fails leads where it did", time.Second/2, addr("203.0.113.2"), addr("203.0.113.3"))
		p.change(func() { p.hosts = p.hosts[1:] })
		shows("a node that is gone, at the next look", maxAvoidPause, addr("203.0.113.3"))
		cancel()
		<-ended
	})
}
