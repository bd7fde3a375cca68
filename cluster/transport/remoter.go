package transport

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

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
	env.Request, env.Cause = id, r.t.cause(ctx)
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
