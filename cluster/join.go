package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/google/uuid"
	"github.com/hashicorp/raft"

	"github.com/bothy-computer/bothy/cluster/identity"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/transport"
)

// enter makes the node part of a cluster, if it is not: of the token's, or of
// one that it founds. The origin is written before the identity joins, so that
// an identity that has joined always has one, unless its log was removed.
func enter(ctx context.Context, o Options, dir string) (origin, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return origin{}, fmt.Errorf("make the log's directory: %w", err)
	}
	from, ok, err := readOrigin(dir)
	if err != nil {
		return origin{}, err
	}
	self := o.Identity.Node()
	if ok && from.Node != self {
		return origin{}, fmt.Errorf("the log in %s belongs to node %s, and this is node %s", dir, from.Node, self)
	}
	if o.Identity.Joined() {
		if !ok {
			return origin{}, ErrLogGone
		}
		return from, nil
	}
	if ok && !from.Founder && o.Token == nil {
		return origin{}, ErrHalfJoined
	}
	from = origin{Node: self, Founder: o.Token == nil}
	if err := from.write(dir); err != nil {
		return origin{}, err
	}
	if from.Founder {
		return from, o.Identity.Bootstrap()
	}
	a, err := transport.Join(ctx, o.Identity, *o.Token, transport.Addrs{
		Peer: o.Addrs.Peer, HTTP: o.Addrs.HTTP, Gossip: o.Addrs.Gossip, Version: o.Addrs.Version, Commands: o.Addrs.Commands,
	})
	if err != nil {
		return origin{}, err
	}
	from.Peers, from.Gossip = a.Peers, a.Gossip
	return from, from.write(dir)
}

// found begins raft's log with this node as the only voter, once.
func (c *Cluster) found() error {
	id := raft.ServerID(c.self)
	err := c.raft.BootstrapCluster(raft.Configuration{Servers: []raft.Server{
		{Suffrage: raft.Voter, ID: id, Address: raft.ServerAddress(c.self)},
	}}).Error()
	if err != nil && !errors.Is(err, raft.ErrCantBootstrap) { // it has a log already
		return fmt.Errorf("begin the log: %w", err)
	}
	return nil
}

// firstRecords makes the cluster's first records. It may be repeated; only the
// founder does it, and until it is done there is no other node.
func (c *Cluster) firstRecords(ctx context.Context, first First) error {
	for c.roster.version() == 0 {
		if r := c.reign.Load(); r != nil && r.inOffice(ctx) == nil {
			hash := c.identity.KeyHash()
			a, err := r.decree(state.Bootstrap{
				Cluster: uuid.NewString(), Version: c.addrs.Commands, Account: first.Account, User: first.User, Key: first.Key,
				Node: state.Node{
					ID: c.self, Name: c.identity.Name(), KeyHash: hash[:], PeerAddr: c.addrs.Peer, HTTPAddr: c.addrs.HTTP,
					GossipAddr: c.addrs.Gossip, Version: c.addrs.Version, Commands: c.addrs.Commands,
				},
			})
			if err == nil {
				err = a.Result.Err()
			}
			if err != nil && !again(err) {
				return fmt.Errorf("make the first records: %w", err)
			}
		}
		pause(ctx, retryPause)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// admit makes a node with a token a member, and hands it what it needs.
func (c *Cluster) admit(ctx context.Context, j transport.Joiner) (identity.Admission, error) {
	if err := c.upToDate(j.Name, j.Addrs.Commands); err != nil {
		return identity.Admission{}, err
	}
	hash := identity.KeyHash(j.Key)
	_, err := c.Apply(ctx, state.AdmitNode{Token: j.SecretHash, Node: state.Node{
		ID: j.Node, Name: j.Name, KeyHash: hash[:], PeerAddr: j.Addrs.Peer, HTTPAddr: j.Addrs.HTTP,
		GossipAddr: j.Addrs.Gossip, Version: j.Addrs.Version, Commands: j.Addrs.Commands,
	}})
	if err != nil {
		return identity.Admission{}, err
	}
	a, err := c.identity.Admit(j.Bearer)
	if err != nil {
		return a, err
	}
	a.Peers, err = c.peers(j.Node)
	a.Gossip = append([]string{c.addrs.Gossip}, c.GossipAddrs()...)
	c.log.Info("a node was admitted", "node", string(j.Node), "name", j.Name)
	return a, err
}

// peers lists the members that a new node may hear from: the voters, which
// lead, before the others.
func (c *Cluster) peers(except state.NodeID) ([]identity.Peer, error) {
	voters, err := c.voterIDs()
	if err != nil {
		return nil, err
	}
	votes := map[state.NodeID]bool{}
	for _, v := range voters {
		votes[v] = true
	}
	var first, rest []identity.Peer
	for _, n := range c.roster.all() {
		switch p := (identity.Peer{Node: n.ID, Addr: n.PeerAddr}); {
		case n.ID == except:
		case votes[n.ID]:
			first = append(first, p)
		default:
			rest = append(rest, p)
		}
	}
	return append(first, rest...), nil
}

// NewToken makes a join token that leads to this node and the voters, and has
// the cluster accept it for state.TokenLifetime.
func (c *Cluster) NewToken(ctx context.Context) (identity.Token, error) {
	peers, err := c.peers(c.self)
	if err != nil {
		return identity.Token{}, err
	}
	addrs := []string{c.addrs.Peer}
	for _, p := range peers {
		if len(addrs) < maxTokenAddrs {
			addrs = append(addrs, p.Addr)
		}
	}
	token, hash, err := c.identity.NewToken(addrs)
	if err != nil {
		return identity.Token{}, err
	}
	_, err = c.Apply(ctx, state.CreateToken{Hash: hash})
	return token, err
}

// maxTokenAddrs bounds the nodes that a token leads to.
const maxTokenAddrs = 5

// GossipAddrs lists where members take gossip, for joining it.
func (c *Cluster) GossipAddrs() []string {
	var out []string
	for _, n := range c.roster.all() {
		if n.ID != c.self && n.GossipAddr != "" {
			out = append(out, n.GossipAddr)
		}
	}
	if c.roster.young() {
		out = append(out, c.origin.Gossip...)
	}
	return out
}
