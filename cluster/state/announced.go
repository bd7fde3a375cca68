package state

import "fmt"

// Announce notes what an encoded entry says of nodes, without applying it: who
// was made a member, with which key, and where each takes others. A replica
// whose log is ahead of its records learns from it whom it may hear from.
// Bootstrap, AdmitNode and TakeIncarnation are read; other commands say nothing.
func Announce(encoded []byte, nodes map[NodeID]Node) error {
	var entry Entry
	if err := Decode(encoded, &entry); err != nil {
		return fmt.Errorf("read an entry: %w", err)
	}
	for _, p := range entry.Proposals {
		switch p.Kind {
		case KindOf(Bootstrap{}), KindOf(AdmitNode{}), KindOf(TakeIncarnation{}):
		default:
			continue
		}
		cmd, err := p.decode()
		if err != nil {
			return err
		}
		switch cmd := cmd.(type) {
		case Bootstrap:
			nodes[cmd.Node.ID] = cmd.Node
		case AdmitNode:
			nodes[cmd.Node.ID] = cmd.Node
		case TakeIncarnation:
			n := nodes[cmd.Node]
			n.ID, n.PeerAddr, n.HTTPAddr, n.GossipAddr = cmd.Node, cmd.Addrs.Peer, cmd.Addrs.HTTP, cmd.Addrs.Gossip
			nodes[cmd.Node] = n
		}
	}
	return nil
}
