package actors

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
)

const (
	// inboxPath is where other nodes send disks. What is there counts for nothing
	// before its sender has handed a computer over with it, so neither lease nor
	// epoch is asked for.
	inboxPath = "/computers/inbox"
	// inboxAge is how long what was sent stays that no record names. It is more
	// than a sender takes from its first round to its last, whose runs are given
	// departGrace to end.
	inboxAge = 30 * time.Minute
	// forgetSentDeadline bounds the wish to delete what was sent; it is looked at
	// again in a while.
	forgetSentDeadline = time.Minute
)

// inboxOf leads to another node's inbox.
type inboxOf struct {
	*wire
	node state.NodeID
}

// RoundTrip implements http.RoundTripper.
func (i inboxOf) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.Host = "https", string(i.node), string(i.node)
	out.URL.Path = inboxPath + r.URL.Path
	return i.client.Transport.RoundTrip(out)
}

// serveInbox takes what other nodes send.
func serveInbox(d Driver) http.Handler {
	m, ok := d.(runtime.Mover)
	if !ok || m.Inbox() == nil {
		return http.NotFoundHandler()
	}
	return http.StripPrefix(inboxPath, m.Inbox())
}

// tendInbox deletes what was sent to this node and came to nothing.
func (s *System) tendInbox(ctx context.Context) error {
	m, ok := s.o.Driver.(runtime.Mover)
	if !ok {
		return nil
	}
	return m.SentComputers(ctx, func(id runtime.ID, last time.Time) error {
		if s.o.Now().Sub(last) < inboxAge {
			return nil
		}
		v, err := s.o.Cluster.Read(ctx)
		if err != nil {
			return fmt.Errorf("confirm what was sent: %w", err)
		}
		defer v.Close()
		c, _, err := v.AnyComputer(state.ComputerID(id))
		if err != nil || c.Sent.Name != "" && c.Sent.Node == s.o.Cluster.Self() {
			return err
		}
		s.log.Info("deleting a disk that was sent and is nobody's", "computer", string(id))
		return m.ForgetSent(ctx, id, last)
	})
}

// forgetSent deletes what was sent of a computer that does not need it any more.
func (d *ownership) forgetSent(ctx context.Context, id state.ComputerID) {
	m, ok := d.driver.(runtime.Mover)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, forgetSentDeadline)
	defer cancel()
	if err := m.ForgetSent(ctx, runtime.ID(id), d.now()); err != nil {
		d.log.Warn("delete a disk that was sent", "computer", string(id), "err", err) // tendInbox comes back to it
	}
}
