package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/members"
	"github.com/bothy-computer/bothy/cluster/placement"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/admin"
	"github.com/bothy-computer/bothy/httpapi/agentcomputer"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/warden"
)

// recordsOf is the cluster as actors and doors know it.
type recordsOf struct{ *cluster.Cluster }

// Stale never fails: a store that cannot be read says so at the first read.
func (r recordsOf) Stale() *state.View {
	v, err := r.Cluster.Stale()
	if err != nil {
		return state.Broken(err)
	}
	return v
}

// Place returns the computer's record with its owner in it.
func (r recordsOf) Place(ctx context.Context, id state.ComputerID) (state.Computer, error) {
	p, err := r.Cluster.Place(ctx, id)
	if err != nil {
		return state.Computer{}, err
	}
	v := r.Stale()
	defer v.Close()
	c, ok, err := v.AnyComputer(id)
	if err == nil && !ok {
		err = fault.New(fault.NotFound, "Computer not found: %s", id)
	}
	c.Node, c.Epoch = p.Node, p.Epoch
	return c, err
}

// leaseOf is this node's right to act.
type leaseOf struct{ *cluster.Cluster }

// Held returns nil while the node may act.
func (l leaseOf) Held() error {
	if l.LeaseHeld() {
		return nil
	}
	return fault.New(fault.Unavailable, "this node's lease does not hold; it waits for the cluster").WithRetry(time.Second)
}

// Context ends when the node may no longer act.
func (l leaseOf) Context(parent context.Context) (context.Context, context.CancelFunc) {
	return l.LeaseContext(parent)
}

// wardenOf tells the warden until when computers may run.
type wardenOf struct {
	client *warden.Client
	last   atomic.Int64 // the deadline told last; warden.NoDeadline is none
	// froze is called when a deadline is told after the last had passed: the
	// warden has frozen the computers meanwhile, and leaves them so.
	froze func()
}

// wardenPatience bounds one word to the warden.
const wardenPatience = 2 * time.Second

// Deadline sets when to freeze, by CLOCK_BOOTTIME.
func (w *wardenOf) Deadline(boottime time.Duration) error { return w.set(warden.Instant(boottime)) }

// NoDeadline lets the computers run on.
func (w *wardenOf) NoDeadline() error { return w.set(warden.NoDeadline) }

func (w *wardenOf) set(at warden.Instant) error {
	ctx, cancel := context.WithTimeout(context.Background(), wardenPatience)
	defer cancel()
	if err := w.client.SetDeadline(ctx, at); err != nil {
		return err
	}
	last := warden.Instant(w.last.Swap(int64(at)))
	if last != warden.NoDeadline && warden.Now() > last {
		w.froze()
	}
	return nil
}

// nodesOf is what an operator asks of the cluster.
type nodesOf struct{ n *node }

// JoinToken makes a token that admits one node.
func (o nodesOf) JoinToken(ctx context.Context) (string, time.Time, error) {
	expires := time.Now().Add(state.TokenLifetime)
	token, err := o.n.cluster.NewToken(ctx)
	if err != nil {
		return "", expires, err
	}
	return token.Text(), expires, nil
}

// Remove takes a node out of the cluster.
func (o nodesOf) Remove(ctx context.Context, node state.NodeID) error {
	return o.n.cluster.Remove(ctx, node)
}

// Backup writes an encrypted backup of the cluster's records and keys.
func (o nodesOf) Backup(ctx context.Context, recipients []string, w io.Writer) error {
	return o.n.cluster.Backup(ctx, recipients, w)
}

// Abandon takes a node that is away for ever out of the cluster, with what it
// alone has.
func (o nodesOf) Abandon(ctx context.Context, node state.NodeID) error {
	return o.n.cluster.Abandon(ctx, node)
}

// RotateSecrets has a new key seal what users entrust to the cluster.
func (o nodesOf) RotateSecrets(ctx context.Context) (state.SecretsKeys, error) {
	return o.n.cluster.RotateSecrets(ctx)
}

// statusPatience bounds what a status waits for: it is asked when things are broken.
const statusPatience = time.Second

// Members joins what raft and gossip know of the nodes.
func (o nodesOf) Members() map[state.NodeID]admin.Member {
	ctx, cancel := context.WithTimeout(context.Background(), statusPatience)
	defer cancel()
	out := map[state.NodeID]admin.Member{}
	status, err := o.n.cluster.Status(ctx)
	if err != nil {
		o.n.log.Warn("read the cluster's status", "err", err)
	}
	alive := map[state.NodeID]bool{o.n.identity.Node(): true}
	for _, m := range o.n.seen() {
		alive[m.Node] = alive[m.Node] || m.Alive
	}
	for _, s := range status.Nodes {
		m := admin.Member{Alive: alive[s.ID], Voter: s.Voter, Leader: s.Leader}
		if s.ID == status.Self {
			m.LeaseLeft = max(0, status.LeaseMargin)
		}
		out[s.ID] = m
	}
	return out
}

func (n *node) seen() []members.Member {
	if m := n.gossip.Load(); m != nil {
		return m.List()
	}
	return nil
}

// resolve is where gossip has seen a node take others.
func (n *node) resolve(id state.NodeID) (string, bool) {
	for _, m := range n.seen() {
		if m.Node == id && m.Meta.Peer != "" {
			return m.Meta.Peer, true
		}
	}
	return "", false
}

// capacity is what gossip says of a node's room.
func (n *node) capacity(id state.NodeID) (placement.Node, bool) {
	if id == n.identity.Node() {
		return placeOf(id, n.meta()), true
	}
	for _, m := range n.seen() {
		if m.Node == id && m.Alive {
			return placeOf(id, m.Meta), true
		}
	}
	return placement.Node{}, false
}

func placeOf(id state.NodeID, m members.Meta) placement.Node {
	return placement.Node{ID: id, Known: true, FreeMemoryBytes: m.FreeMemoryBytes,
		FreeDiskBytes: m.FreeDiskBytes, LoadPercent: m.LoadPercent, Images: m.Images}
}

// imageKey names an image in gossip, where there is no room for digests.
func imageKey(image string) uint64 { return xxhash.Sum64String(image) }

// meta is what this node tells others of itself.
func (n *node) meta() members.Meta {
	m := n.machine.room()
	m.Name, m.Version, m.Commands = n.identity.Name(), buildVersion(), state.CommandVersion
	if addrs, err := n.addrs(n.peer); err == nil {
		m.HTTP, m.Peer = addrs.HTTP, addrs.Peer
	}
	return m
}

// addrs is how others reach this node: what it listens on, with a host that
// others can use where it listens on all of its own.
func (n *node) addrs(peer net.Addr) (state.NodeAddrs, error) {
	host := n.config.Node.Advertise
	if host == "" {
		host = ownHost()
	}
	reach := func(addr string) (string, error) {
		h, port, err := net.SplitHostPort(addr)
		if err == nil && everywhere(h) {
			h = host
		}
		return net.JoinHostPort(h, port), err
	}
	a := state.NodeAddrs{Version: buildVersion(), Commands: state.CommandVersion}
	var errs []error
	for _, f := range []struct {
		to   *string
		addr string
	}{{&a.HTTP, n.http.Addr().String()}, {&a.Gossip, n.config.Gossip.Addr}} {
		at, err := reach(f.addr)
		*f.to = at
		errs = append(errs, err)
	}
	if peer != nil {
		at, err := reach(peer.String())
		a.Peer = at
		errs = append(errs, err)
	}
	return a, errors.Join(errs...)
}

// ownHost is the address that this machine would send from, or its loopback
// where it has no other. Nothing is sent.
func ownHost() string {
	conn, err := net.Dial("udp", "192.0.2.1:9") // reserved for documentation
	if err != nil {
		return "127.0.0.1"
	}
	defer conn.Close()
	host, _, err := net.SplitHostPort(conn.LocalAddr().String())
	if err != nil {
		return "127.0.0.1"
	}
	return host
}

func adminKeyPath(dir string) string { return filepath.Join(dir, "admin.key") }

// existing is path, or "" when there is no such file.
func existing(path string) string {
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// knownKey is the file that this machine knows the first key by, or "".
func (n *node) knownKey() string {
	if path := n.config.Bootstrap.AdminKeyFile; path != "" {
		return existing(path)
	}
	return existing(adminKeyPath(n.config.Node.Dir))
}

// firstKey returns the first key of a new cluster and the file that it is in:
// the operator's, or one of the node's own, which is in its file before the
// cluster knows it, so that a founding that was cut short loses nothing.
func firstKey(c Config) (key state.Key, path string, err error) {
	text, err := readAdminKey(c.Bootstrap.AdminKeyFile)
	if err != nil {
		return key, "", err
	}
	if text != "" {
		key, err = actors.KeyOf(text, actors.NewKey{})
		return key, c.Bootstrap.AdminKeyFile, err
	}
	path = adminKeyPath(c.Node.Dir)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = newAdminKey(path)
		return key, path, err
	}
	if err != nil {
		return key, "", fmt.Errorf("read the admin key: %w", err)
	}
	key, err = actors.KeyOf(strings.TrimSpace(string(b)), actors.NewKey{})
	return key, path, err
}

func newAdminKey(path string) (state.Key, error) {
	text, key, err := actors.MakeKey(actors.NewKey{})
	if err != nil {
		return key, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return key, fmt.Errorf("write the admin key: %w", err)
	}
	_, err = f.WriteString(text + "\n")
	return key, errors.Join(err, f.Sync(), f.Close())
}

// Banner is what is true of the node now.
func (n *node) Banner() Banner {
	can := n.machine.driver.Abilities()
	b := Banner{Version: buildVersion(), Command: os.Args[0], Name: n.identity.Name(), HTTPAddr: n.http.Addr().String(), Dir: n.config.Node.Dir,
		KeyPath: n.keyPath, Model: n.catalog.Default(), Abilities: can.Can, Missing: append(n.machine.missing, can.Missing...)}
	if saver, ok := any(n.machine.driver).(runtime.Saver); ok {
		b.Saves = saver.Store() != ""
	}
	for _, m := range (nodesOf{n}).Members() {
		b.Nodes++
		if m.Voter {
			b.Voters++
		}
	}
	if n.tls != nil {
		b.TLSAddr = n.tls.Addr().String()
	}
	if n.ssh != nil {
		b.SSHAddr = n.ssh.Addr().String()
	}
	if b.Model == "script" {
		b.ModelVariables = n.catalog.Missing()
	}
	return b
}

// Rooms is what each node that may take computers has left for them.
func (o nodesOf) Rooms() []agentcomputer.Room {
	v := recordsOf{o.n.cluster}.Stale()
	defer v.Close()
	nodes, err := v.Nodes()
	if err != nil {
		o.n.log.Warn("read the nodes", "err", err)
	}
	var all []agentcomputer.Room
	for _, n := range nodes {
		if p, known := o.n.capacity(n.ID); known && n.Leased() && !n.Draining() {
			all = append(all, agentcomputer.Room{MemoryFree: p.FreeMemoryBytes, DiskFree: p.FreeDiskBytes})
		}
	}
	return all
}
