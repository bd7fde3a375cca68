package members

import (
	"cmp"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/bothy-computer/bothy/cluster/state"
)

// maxMembers bounds the list; beyond it new nodes are not shown.
const maxMembers = 4096

// forgetAfter is how long a member that seems dead stays on the list.
const forgetAfter = 10 * time.Minute

// roster keeps what gossip tells. The library calls it with its own locks
// held, so every method returns at once and calls nothing back.
type roster struct {
	log     *slog.Logger
	own     atomic.Pointer[string] // this node's encoded Meta
	changed chan struct{}          // has room for one wake-up

	mu      sync.Mutex
	members map[state.NodeID]Member
}

func newRoster(log *slog.Logger) *roster {
	return &roster{log: log, changed: make(chan struct{}, 1), members: make(map[state.NodeID]Member)}
}

// tell sets what the node says about itself when next asked.
func (r *roster) tell(m Meta) error {
	b, err := m.encode()
	if err != nil {
		return err
	}
	s := string(b)
	r.own.Store(&s)
	return nil
}

func (r *roster) told() string { return *r.own.Load() }

// all lists the members by uuid, and forgets those long dead.
func (r *roster) all() []Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Member, 0, len(r.members))
	for node, m := range r.members {
		if !m.Alive && time.Since(m.Since) > forgetAfter {
			delete(r.members, node)
			continue
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b Member) int { return cmp.Compare(a.Node, b.Node) })
	return out
}

// missing returns the addresses at which no member is seen alive.
func (r *roster) missing(addrs []string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	alive := make(map[string]bool, len(r.members))
	for _, m := range r.members {
		if m.Alive {
			alive[m.Gossip] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(addrs), func(a string) bool { return alive[a] })
}

func (r *roster) alive() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.members {
		if m.Alive {
			n++
		}
	}
	return n
}

// note sets a member as the library reports it.
func (r *roster) note(n *memberlist.Node, alive bool) {
	meta, err := decodeMeta(n.Meta)
	if err != nil {
		r.log.Warn("a member's description cannot be read", "node", n.Name, "err", err)
	}
	id := state.NodeID(n.Name)
	r.mu.Lock()
	defer r.mu.Unlock()
	old, known := r.members[id]
	if !known && len(r.members) >= maxMembers {
		return
	}
	m := Member{Node: id, Gossip: n.Address(), Meta: meta, Alive: alive, Since: old.Since}
	if err != nil {
		m.Meta = old.Meta
	}
	if !known || old.Alive != alive {
		m.Since = time.Now()
	}
	r.members[id] = m
	select {
	case r.changed <- struct{}{}:
	default: // a wake-up waits already
	}
}

// NotifyJoin is memberlist's EventDelegate.
func (r *roster) NotifyJoin(n *memberlist.Node) { r.note(n, true) }

// NotifyUpdate is memberlist's EventDelegate.
func (r *roster) NotifyUpdate(n *memberlist.Node) { r.note(n, true) }

// NotifyLeave is memberlist's EventDelegate: the node left or seems dead.
func (r *roster) NotifyLeave(n *memberlist.Node) { r.note(n, false) }

// NotifyConflict is memberlist's ConflictDelegate.
func (r *roster) NotifyConflict(existing, other *memberlist.Node) {
	r.log.Warn("two addresses claim to be one node; its data directory may have been copied",
		"node", existing.Name, "known", existing.Address(), "other", other.Address())
}

// NodeMeta is memberlist's Delegate.
func (r *roster) NodeMeta(int) []byte { return []byte(r.told()) }

// NotifyMsg is memberlist's Delegate; no messages are sent by gossip.
func (r *roster) NotifyMsg([]byte) {}

// GetBroadcasts is memberlist's Delegate; there are none.
func (r *roster) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState is memberlist's Delegate; there is none beside NodeMeta.
func (r *roster) LocalState(bool) []byte { return nil }

// MergeRemoteState is memberlist's Delegate.
func (r *roster) MergeRemoteState([]byte, bool) {}
