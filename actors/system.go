package actors

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anthdm/hollywood/actor"

	"github.com/bothy-computer/bothy/cluster/fault"
)

const (
	// mailboxBound is how many letters may wait for one actor. The next one is
	// refused, since hollywood's own inbox would grow without end.
	mailboxBound = 256
	// inboxSize is the inbox's first size: small, since most actors are idle.
	inboxSize = 16
	// retryMailbox is what a caller who met a full mailbox is told to wait.
	retryMailbox = time.Second
)

// kindOf names a sort of actor. It is a closed list: metrics use it.
type kindOf string

const (
	threadKind   kindOf = "thread"
	computerKind kindOf = "computer"
	buildKind    kindOf = "build"
	pullKind     kindOf = "pull"
)

// behaviour is what one actor does. Its methods run one at a time and never
// wait: slow work goes aside.
type behaviour interface {
	// receive handles one letter. answer must be called at most once, now or
	// later, when the letter was asked and not only told.
	receive(msg any, answer func(any, error))
	// idle reports whether the actor holds nothing that its records do not.
	idle() bool
	// stopped is called once, when no letter comes any more.
	stopped()
}

// letter is the only message that our actors are sent.
type letter struct {
	msg    any
	answer chan<- answer // buffered, one; nil when told
	at     time.Time
}

type answer struct {
	value any
	err   error
}

// cell is one live actor and its place in the directory.
type cell struct {
	kind    kindOf
	key     string
	pid     *actor.PID
	waiting atomic.Int64 // letters admitted and not yet handled
	gone    atomic.Bool  // taken out of the directory; nothing more is handled
	system  *system
	turn    sync.Mutex // held while b is used
	b       behaviour
}

// system is the only place that spawns. Every actor is behind its guard, so
// that a panic ends that actor and never the process, and behind its door, so
// that no mailbox grows without bound.
type system struct {
	engine  *actor.Engine
	log     *slog.Logger
	metrics *metrics
	now     func() time.Time

	mu     sync.Mutex
	cells  map[kindOf]map[string]*cell
	closed bool
	// foreign counts the questions of other nodes that are being answered.
	foreign int
	aside   sync.WaitGroup
	life    context.Context // ends at close
	end     context.CancelFunc
}

func newSystem(remote actor.Remoter, log *slog.Logger, m *metrics, now func() time.Time) (*system, error) {
	config := actor.NewEngineConfig()
	if remote != nil {
		config = config.WithRemote(remote)
	}
	engine, err := actor.NewEngine(config)
	if err != nil {
		return nil, fmt.Errorf("start the actor engine: %w", err)
	}
	life, end := context.WithCancel(context.Background())
	return &system{engine: engine, log: log, metrics: m, now: now, life: life, end: end,
		cells: map[kindOf]map[string]*cell{threadKind: {}, computerKind: {}, buildKind: {}, pullKind: {}}}, nil
}

// tell sends msg to the actor of key, which make creates when there is none.
func (s *system) tell(kind kindOf, key string, msg any, make func(*cell) behaviour) error {
	return s.post(kind, key, letter{msg: msg, at: s.now()}, make)
}

// ask sends msg and waits for its answer until ctx ends.
func (s *system) ask(ctx context.Context, kind kindOf, key string, msg any, make func(*cell) behaviour) (any, error) {
	reply := newReply()
	begun := s.now()
	if err := s.post(kind, key, letter{msg: msg, answer: reply, at: begun}, make); err != nil {
		return nil, err
	}
	select {
	case a := <-reply:
		s.metrics.asked(kind, s.now().Sub(begun))
		return a.value, a.err
	case <-ctx.Done():
		return nil, fault.New(fault.Unavailable, "the %s did not answer in time", kind).WithRetry(retryMailbox)
	case <-s.life.Done():
		return nil, fault.New(fault.Unavailable, "the node is stopping").WithRetry(retryMailbox)
	}
}

// newReply is buffered, so that answering never waits for who asked.
func newReply() chan answer { return make(chan answer, 1) }

// post admits a letter under the directory's lock, so that an actor which
// decides to go never misses one.
func (s *system) post(kind kindOf, key string, l letter, make func(*cell) behaviour) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fault.New(fault.Unavailable, "the node is stopping").WithRetry(retryMailbox)
	}
	c := s.cells[kind][key]
	if c == nil {
		if make == nil {
			return nil
		}
		c = s.spawn(kind, key, make)
	}
	if c.waiting.Add(1) > mailboxBound {
		c.waiting.Add(-1)
		s.metrics.refused(kind)
		return fault.New(fault.Unavailable, "the %s has too much to do", kind).WithRetry(retryMailbox)
	}
	s.metrics.admitted(kind)
	s.engine.Send(c.pid, l)
	return nil
}

// spawn makes an actor behind its guard. s.mu is held.
func (s *system) spawn(kind kindOf, key string, make func(*cell) behaviour) *cell {
	c := &cell{kind: kind, key: key, system: s}
	c.b = make(c)
	c.pid = s.engine.SpawnFunc(func(ctx *actor.Context) { c.handle(ctx) }, string(kind),
		actor.WithID(key+"/"+fmt.Sprint(s.now().UnixNano())),
		actor.WithInboxSize(inboxSize), actor.WithMaxRestarts(math.MaxInt32))
	s.cells[kind][key] = c
	s.metrics.live(kind, len(s.cells[kind]))
	return c
}

// handle is the guard: whatever panics below ends here. Hollywood v1.0.5 would
// restart the actor in place and at last end the whole process.
func (c *cell) handle(ctx *actor.Context) {
	l, ok := ctx.Message().(letter)
	if !ok {
		return // hollywood's own life messages
	}
	c.turn.Lock()
	defer c.turn.Unlock()
	defer c.system.metrics.handled(c.kind)
	if c.gone.Load() {
		l.reply(nil, fault.New(fault.Unavailable, "the %s is being made anew", c.kind).WithRetry(retryMailbox))
		return
	}
	defer func() {
		if v := recover(); v != nil {
			c.system.log.Error("actor panicked", "actor", c.kind, "key", c.key, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			c.system.metrics.panicked(c.kind)
			c.system.drop(c)
			c.b.stopped()
			l.reply(nil, fault.New(fault.Internal, "the %s failed", c.kind))
		}
	}()
	c.system.metrics.waited(c.kind, c.system.now().Sub(l.at))
	c.b.receive(l.msg, l.reply)
	if c.waiting.Add(-1) == 0 && c.b.idle() && c.system.passivate(c) {
		c.b.stopped()
	}
}

func (l letter) reply(v any, err error) {
	if l.answer == nil {
		return
	}
	select {
	case l.answer <- answer{v, err}:
	default: // answered before
	}
}

// passivate removes an idle actor, unless a letter was admitted meanwhile. Its
// next letter makes it anew from its records.
func (s *system) passivate(c *cell) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.waiting.Load() == 0 && s.remove(c)
}

// drop removes an actor that failed. Letters still in its mailbox are refused;
// whoever owns the record wakes it again.
func (s *system) drop(c *cell) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remove(c)
}

// remove takes an actor out of the directory; s.mu is held. Whoever did that
// has the behaviour stop, in its turn.
func (s *system) remove(c *cell) bool {
	if s.cells[c.kind][c.key] != c {
		return false
	}
	c.gone.Store(true)
	delete(s.cells[c.kind], c.key)
	s.metrics.live(c.kind, len(s.cells[c.kind]))
	s.engine.Stop(c.pid)
	return true
}

// finish has the behaviour of a removed actor stop, once its letter is done.
func (c *cell) finish() {
	c.turn.Lock()
	defer c.turn.Unlock()
	c.b.stopped()
}

// do runs slow work aside and sends what it returns back to the actor, if that
// still lives. A nil result sends nothing.
func (c *cell) do(work func(ctx context.Context) any) {
	s := c.system
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.aside.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				s.log.Error("work aside panicked", "actor", c.kind, "key", c.key, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
				s.metrics.panicked(c.kind)
				if s.drop(c) {
					c.finish()
				}
			}
		}()
		if msg := work(s.life); msg != nil {
			c.tell(msg)
		}
	})
}

// tell sends the actor a letter from its own side. It is admitted whatever
// waits: what an actor began must be able to end.
func (c *cell) tell(msg any) {
	s := c.system
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cells[c.kind][c.key] != c {
		return
	}
	c.waiting.Add(1)
	s.metrics.admitted(c.kind)
	s.engine.Send(c.pid, letter{msg: msg, at: s.now()})
}

// insist sends a letter that must arrive whatever waits, such as the end of a
// use that was admitted, to the actor of key if it lives.
func (s *system) insist(kind kindOf, key string, msg any) {
	s.mu.Lock()
	c := s.cells[kind][key]
	s.mu.Unlock()
	if c != nil {
		c.tell(msg)
	}
}

// after tells the actor msg once d has passed; the returned function calls it off.
func (c *cell) after(d time.Duration, msg any) (stop func()) {
	t := time.AfterFunc(d, func() { c.tell(msg) })
	return func() { t.Stop() }
}

// close stops every actor and waits for the work aside, which sees its context end.
func (s *system) close() {
	s.mu.Lock()
	s.closed = true
	s.end()
	var removed []*cell
	for _, cells := range s.cells {
		for _, c := range cells {
			s.remove(c)
			removed = append(removed, c)
		}
	}
	s.mu.Unlock()
	for _, c := range removed {
		c.finish()
	}
	s.aside.Wait()
}
