package transport

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/anthdm/hollywood/actor"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// responsePrefix begins the ids of hollywood's own pending responses. They
// block whoever gives a second answer, so nothing from the wire reaches them.
const responsePrefix = "response/"

// RemoterOptions says what a node's actors take from other nodes.
type RemoterOptions struct {
	// Knows reports whether this node knows envelopes of a kind.
	Knows func(kind string) bool
	// Deliver hands an envelope to the actor with the id to, on behalf of the
	// sender (nil when nobody is to be answered), after any admission. It must
	// not wait; its error is told to the sender. Nil sends to the actor if it
	// exists, without any bound on its mailbox.
	Deliver func(e *actor.Engine, to string, env *Envelope, sender *actor.PID) error
}

// Remoter carries envelopes between the actors of nodes; it is the
// actor.Remoter of one hollywood engine. The address of a PID is a node's
// uuid. A message arrives once or not at all, in order from one node to
// another; one that does not arrive comes back to its sender.
//
// hollywood's engine.Request must not be used across nodes: Ask is its safe form.
type Remoter struct {
	t      *Transport
	o      RemoterOptions
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
	asks   asks

	mu      sync.Mutex
	engine  *actor.Engine
	boxes   map[state.NodeID]openBox
	stopped bool
}

type openBox struct {
	*outbox
	end context.CancelFunc
}

// NewRemoter makes the transport's remoter, to be given to
// actor.EngineConfig.WithRemote. A transport has one.
func (t *Transport) NewRemoter(o RemoterOptions) (*Remoter, error) {
	r := &Remoter{t: t, o: o, boxes: make(map[state.NodeID]openBox), asks: asks{open: make(map[uint64]openAsk)}}
	r.ctx, r.cancel = context.WithCancel(t.ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.remoter != nil {
		r.cancel()
		return nil, errors.New("the transport has a remoter already")
	}
	t.remoter = r
	return r, nil
}

// actors is the remoter, once its engine has started it.
func (t *Transport) actors() *Remoter {
	t.mu.Lock()
	r := t.remoter
	t.mu.Unlock()
	if r == nil || r.local() == nil {
		return nil
	}
	return r
}

// Address is this node's uuid.
func (r *Remoter) Address() string { return string(r.t.self) }

// Start is called by the engine that the remoter was given to.
func (r *Remoter) Start(e *actor.Engine) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.engine != nil {
		return errors.New("the remoter serves another engine already")
	}
	r.engine = e
	return nil
}

// Stop ends all sending; what still waits is returned to its senders. The wait
// group is done when the last goroutine has ended.
func (r *Remoter) Stop() *sync.WaitGroup {
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	r.cancel()
	return &r.work
}

func (r *Remoter) local() *actor.Engine {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.engine
}

// Send is called by the engine for a PID of another node. It never waits: what
// cannot be sent comes back to the sender as an *Undelivered.
func (r *Remoter) Send(to *actor.PID, msg any, sender *actor.PID) {
	l := letter{kind: letterMessage, to: to.ID}
	node := state.NodeID(to.Address)
	if sender != nil {
		l.from = sender.ID
	}
	env, ok := msg.(*Envelope)
	if !ok || env == nil {
		r.giveBack(sender, node, l, fmt.Errorf("a %T cannot leave the node", msg))
		return
	}
	l.env = *env
	if sender != nil && (sender.Address != r.Address() || strings.HasPrefix(sender.ID, responsePrefix)) {
		r.giveBack(sender, node, l, fmt.Errorf("%s cannot be answered from another node", sender))
		return
	}
	r.post(node, l)
}

// giveBack returns what cannot be sent at all to its sender, which may be of
// another node when an actor here passed its message on.
func (r *Remoter) giveBack(sender *actor.PID, node state.NodeID, l letter, cause error) {
	if sender == nil || sender.Address == r.Address() {
		r.bounce(node, l, NoEnvelope, cause)
		return
	}
	r.t.metrics.nacked(nack(node, NoEnvelope, cause))
	r.post(state.NodeID(sender.Address), l.returned(NoEnvelope, cause))
}

// Ask sends an envelope to an actor of another node and waits for its answer.
// It sets the envelope's Request and, from ctx, its Deadline. The error is the
// answer's fault, a *Nack, or ctx's.
func (r *Remoter) Ask(ctx context.Context, to *actor.PID, env Envelope) (*Envelope, error) {
	node := state.NodeID(to.Address)
	if node == r.t.self {
		return nil, fault.New(fault.Internal, "actor %s is on this node; ask it here", to.ID)
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, DefaultCallTimeout)
		defer cancel()
	}
	id, answer := r.asks.begin(node)
	if answer == nil {
		return nil, r.t.metrics.nacked(nack(node, QueueFull, nil))
	}
	defer r.asks.end(id)
	env.Request = id
	env.Deadline, _ = ctx.Deadline()
	r.post(node, letter{kind: letterMessage, to: to.ID, from: askID(id), env: env})
	select {
	case got := <-answer:
		if got.err != nil {
			return nil, got.err
		}
		if got.env.Fault != nil {
			return nil, got.env.Fault
		}
		return got.env, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// post puts a letter into the outbox of its node.
func (r *Remoter) post(node state.NodeID, l letter) {
	if !l.fits() {
		r.bounce(node, l, TooLarge, nil)
		return
	}
	box, reason := r.box(node)
	if box == nil {
		r.bounce(node, l, reason, nil)
		return
	}
	if reason := box.offer(l); reason != "" {
		r.bounce(node, l, reason, nil)
	}
}

// box returns a node's outbox, beginning one for a node that has an address.
func (r *Remoter) box(node state.NodeID) (*outbox, Reason) {
	r.mu.Lock()
	b, ok := r.boxes[node]
	stopped := r.stopped
	r.mu.Unlock()
	if stopped {
		return nil, Closed
	}
	if ok {
		return b.outbox, ""
	}
	if _, known := r.t.o.Resolve(node); !known {
		return nil, UnknownNode
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if b, ok := r.boxes[node]; ok {
		return b.outbox, ""
	}
	box := newOutbox(r, node)
	ctx, end := context.WithCancel(r.ctx)
	r.work.Add(1)
	if r.stopped || !r.t.spawn(func() { defer r.work.Done(); box.run(ctx) }) {
		r.work.Done()
		end()
		return nil, Closed
	}
	r.boxes[node] = openBox{box, end}
	return box, ""
}

// forget ends the outbox of a node that is no longer a member.
func (r *Remoter) forget(node state.NodeID) {
	r.mu.Lock()
	b, ok := r.boxes[node]
	delete(r.boxes, node)
	r.mu.Unlock()
	if ok {
		b.end()
	}
}

// bounce tells the sender that a letter did not get to a node.
func (r *Remoter) bounce(node state.NodeID, l letter, reason Reason, cause error) {
	r.bounceNack(l, nack(node, reason, cause))
}

func (r *Remoter) bounceNack(l letter, err error) {
	var n *Nack
	if !errors.As(err, &n) {
		n = nack("", Unreachable, err)
	}
	r.t.metrics.nacked(n)
	if l.kind == letterNack || l.from == "" {
		r.t.log.Debug("an envelope was not delivered", "node", string(n.Node), "to", l.to, "kind", l.env.Kind, "reason", string(n.Reason))
		return // nobody to tell
	}
	r.tell(l.from, l, n)
}

// tell gives a nack to the local ask or actor that sent the letter.
func (r *Remoter) tell(sender string, l letter, n *Nack) {
	if id, ok := parseAsk(sender); ok {
		r.asks.settle(id, n.Node, reply{err: n})
		return
	}
	if e := r.local(); e != nil {
		e.SendLocal(actor.NewPID(r.Address(), sender), &Undelivered{
			To: actor.NewPID(string(n.Node), l.to), Kind: l.env.Kind, Key: l.env.Key, Request: l.env.Request, Nack: n,
		}, nil)
	}
}

// lost ends the asks whose letters went over a connection that broke.
func (r *Remoter) lost(node state.NodeID, err error) {
	n := nack(node, Lost, err)
	r.t.metrics.nacks.WithLabelValues(string(Lost)).Add(float64(r.asks.lose(node, n)))
}

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
