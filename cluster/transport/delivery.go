package transport

import (
	"bufio"
	"net"
	"runtime/debug"
	"strings"
	"time"

	"github.com/anthdm/hollywood/actor"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// serve takes the letters of one connection until it breaks.
func (r *Remoter) serve(c net.Conn, from state.NodeID) {
	in := bufio.NewReaderSize(c, streamBufferBytes)
	for {
		kind, payload, err := readFrame(in)
		if err != nil {
			return
		}
		l, err := decodeLetter(payload, time.Now())
		if kind != frameLetter || err != nil {
			r.t.log.Error("a node sent a malformed envelope; its connection is closed", "node", string(from))
			return
		}
		r.t.metrics.envelopesIn.Inc()
		r.receive(from, l)
	}
}

// receive delivers one letter from another node, or returns it.
func (r *Remoter) receive(from state.NodeID, l letter) {
	if l.kind == letterNack {
		n := r.t.metrics.nacked(l.nack(from))
		l.to, l.from = l.from, l.to // as it was when it left
		r.tell(l.from, l, n)
		return
	}
	if id, ok := parseAsk(l.to); ok {
		r.asks.settle(id, from, reply{env: &l.env})
		return
	}
	reason, err := r.deliver(from, l)
	if reason == "" {
		return
	}
	r.t.log.Debug("an envelope was returned", "from", string(from), "to", l.to, "kind", l.env.Kind, "reason", string(reason))
	if l.from != "" {
		r.post(from, l.returned(reason, err))
	}
}

// deliver gives a letter to its actor, or says why not.
func (r *Remoter) deliver(from state.NodeID, l letter) (reason Reason, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.t.log.Error("delivering an envelope panicked", "kind", l.env.Kind, "panic", p, "stack", string(debug.Stack()))
			reason, err = Rejected, fault.New(fault.Internal, "delivering failed: %v", p)
		}
	}()
	if !r.o.Knows(l.env.Kind) {
		return UnknownKind, nil
	}
	if strings.HasPrefix(l.to, responsePrefix) {
		return UnknownActor, nil
	}
	var sender *actor.PID
	if l.from != "" {
		sender = actor.NewPID(string(from), l.from)
	}
	e := r.local()
	if r.o.Deliver != nil {
		if err := r.o.Deliver(e, l.to, &l.env, sender); err != nil {
			return Rejected, err
		}
		return "", nil
	}
	kind, id, _ := strings.Cut(l.to, "/")
	pid := e.Registry.GetPID(kind, id)
	if pid == nil {
		return UnknownActor, nil
	}
	e.SendLocal(pid, &l.env, sender)
	return "", nil
}
