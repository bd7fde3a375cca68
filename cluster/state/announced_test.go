package state

import "testing"

func TestAnEntryAnnouncesWhoItMakesAMember(t *testing.T) {
	encode := func(cmds ...Command) []byte {
		t.Helper()
		var entry Entry
		for _, cmd := range cmds {
			p, err := Propose(CommandID{}, 0, cmd)
			if err != nil {
				t.Fatal(err)
			}
			entry.Proposals = append(entry.Proposals, p)
		}
		b, err := Encode(entry)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	nodes := map[NodeID]Node{}
	for _, entry := range [][]byte{
		encode(RenewLease{Node: "n9", Incarnation: 1}),
		encode(AdmitNode{Token: "t", Node: Node{ID: "n2", Name: "two", KeyHash: []byte("k2"), PeerAddr: "old:1"}}),
		encode(TakeIncarnation{Node: "n2", Nonce: "x", Addrs: NodeAddrs{Peer: "new:1"}}, TakeIncarnation{Node: "n3", Addrs: NodeAddrs{Peer: "three:1"}}),
	} {
		if err := Announce(entry, nodes); err != nil {
			t.Fatal(err)
		}
	}
	if n := nodes["n2"]; len(nodes) != 2 || n.PeerAddr != "new:1" || string(n.KeyHash) != "k2" || nodes["n3"].PeerAddr != "three:1" {
		t.Fatalf("%+v", nodes)
	}
	if err := Announce([]byte("not an entry"), nodes); err == nil {
		t.Fatal("bytes that are no entry are read as one")
	}
}
