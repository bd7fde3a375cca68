package transport

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"runtime/debug"
	"sync"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/trace"
)

// maxServing bounds the calls that run at once for one connection; more are
// answered Unavailable. Urgent calls have a connection, and so room, of their own.
const maxServing = 1024

// Method answers a call of a node that has proved to be from. ctx ends at the
// caller's deadline, when the caller gives up, and when the connection breaks.
// body is the method's to keep. An error travels back as a fault.
type Method func(ctx context.Context, from state.NodeID, body []byte) ([]byte, error)

// methods is what a node answers to, by name.
type methods struct{ byName sync.Map }

// Handle makes calls of name run m from now on. A name is set once.
func (t *Transport) Handle(name string, m Method) {
	if len(name) > maxMethodBytes {
		panic(fmt.Sprintf("transport: the method name %q is over %d bytes", name, maxMethodBytes))
	}
	if _, twice := t.methods.byName.LoadOrStore(name, m); twice {
		panic(fmt.Sprintf("transport: the method %q is set twice", name))
	}
}

// run runs a method. One that panics fails this call and nothing else.
func (ms *methods) run(ctx context.Context, t *Transport, from state.NodeID, name string, body []byte) (answer []byte, err error) {
	m, ok := ms.byName.Load(name)
	if !ok {
		return nil, fault.New(fault.Unsupported, "this node does not know the call %q", name).WithCode(string(UnknownKind))
	}
	defer func() {
		if r := recover(); r != nil {
			t.log.Error("a call panicked", "method", name, "from", string(from), "panic", r, "stack", string(debug.Stack()))
			answer, err = nil, fault.New(fault.Internal, "the call %q failed: %v", name, r)
		}
	}()
	answer, err = m.(Method)(ctx, from, body)
	if err == nil && len(answer) > MaxBodyBytes {
		return nil, fault.New(fault.TooLarge, "the answer of %q has %d bytes, over %d", name, len(answer), MaxBodyBytes)
	}
	return answer, err
}

// callServer answers the calls of one connection.
type callServer struct {
	t    *Transport
	from state.NodeID
	out  *sender
	ctx  context.Context
	busy chan struct{}
	work sync.WaitGroup

	mu      sync.Mutex
	running map[uint64]context.CancelFunc
}

// serveCalls answers a connection's calls until it breaks.
func (t *Transport) serveCalls(c net.Conn, from state.NodeID) {
	ctx, cancel := context.WithCancel(t.ctx)
	s := &callServer{
		t: t, from: from, out: newSender(c), ctx: ctx,
		busy: make(chan struct{}, maxServing), running: make(map[uint64]context.CancelFunc),
	}
	s.work.Go(func() {
		s.out.run(ctx) // its error is the connection's, which read reports
		c.Close()
	})
	err := s.read(bufio.NewReaderSize(c, streamBufferBytes))
	t.log.Debug("a connection for calls ended", "from", string(from), "err", err)
	cancel()
	c.Close()
	s.work.Wait()
}

func (s *callServer) read(r *bufio.Reader) error {
	for {
		kind, payload, err := readFrame(r)
		if err != nil {
			return err
		}
		switch kind {
		case framePing:
			s.reply(finish(newFrame(framePong, 0)))
		case frameCancel:
			id, _, err := decodeNumbered(payload)
			if err != nil {
				return err
			}
			s.finished(id)
		case frameCall, frameCallBy:
			call, err := decodeCall(kind, payload)
			if err != nil {
				return err
			}
			s.begin(call)
		default:
			return errFrame
		}
	}
}

// begin runs a call beside the others, or refuses it when there are too many.
func (s *callServer) begin(call callFrame) {
	select {
	case s.busy <- struct{}{}:
	default:
		err := fault.New(fault.Unavailable, "the node is busy: %d calls are running", maxServing).WithRetry(retryHint)
		s.reply(numbered(frameFault, call.id, encodeFault(err)))
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, call.left)
	s.mu.Lock()
	s.running[call.id] = cancel
	s.mu.Unlock()
	s.work.Go(func() {
		defer func() { <-s.busy }()
		defer s.finished(call.id)
		s.serve(ctx, call)
	})
}

func (s *callServer) serve(ctx context.Context, call callFrame) {
	ctx, done := s.t.received(trace.Decode(ctx, call.cause), s.from, call.method)
	answer, err := s.t.methods.run(ctx, s.t, s.from, call.method, call.body)
	done(err)
	if err != nil {
		s.t.metrics.served.WithLabelValues(callFault).Inc()
		s.reply(numbered(frameFault, call.id, encodeFault(err)))
		return
	}
	s.t.metrics.served.WithLabelValues(callDone).Inc()
	s.reply(numbered(frameAnswer, call.id, answer))
}

// finished releases a call's context; its caller no longer waits.
func (s *callServer) finished(id uint64) {
	s.mu.Lock()
	cancel := s.running[id]
	delete(s.running, id)
	s.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// reply queues an answer. It fails only with the connection, and then there is
// nobody to tell.
func (s *callServer) reply(frame []byte) { _ = s.out.put(s.ctx, frame) }
