package main

import (
	"slices"
	"testing"

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
