package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// maxPending bounds the calls that wait for answers on one line.
	maxPending = 8192
	// pingEvery is how often a silent line with calls waiting is probed.
	pingEvery = time.Second
	// maxSilence is how long a line with calls waiting may say nothing before
	// it is given up, so that a healed link is dialled anew and does not wait
	// for TCP's long timers.
	maxSilence = 3 * time.Second
)

// line is the caller's end of one connection for calls.
type line struct {
	node state.NodeID
	conn *tls.Conn
	out  *sender

	opened time.Time
	heard  atomic.Int64 // when the last frame came: a time.Duration since opened
	ctx    context.Context
	end    context.CancelFunc

	mu      sync.Mutex
	pending map[uint64]chan outcome // each with room for its one answer
	last    uint64                  // id of the newest call
	err     *Nack                   // why the line is broken
}

// outcome is how a call ended at the other node.
type outcome struct {
	body []byte
	err  error
}

func newLine(node state.NodeID, c *tls.Conn) *line {
	l := &line{node: node, conn: c, out: newSender(c), opened: time.Now(), pending: make(map[uint64]chan outcome)}
	l.ctx, l.end = context.WithCancel(context.Background())
	return l
}

func (l *line) broken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err != nil
}

// run reads answers until the line breaks, and returns when its goroutines have.
func (l *line) run() {
	var others sync.WaitGroup
	others.Go(func() {
		if err := l.out.run(l.ctx); err != nil {
			l.fail(nack(l.node, Lost, err))
		}
	})
	others.Go(l.probe)
	l.fail(nack(l.node, Lost, l.read()))
	others.Wait()
}

// fail ends the line once: every waiting call gets the nack.
func (l *line) fail(n *Nack) {
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	l.err = n
	waiting := l.pending
	l.pending = nil
	l.mu.Unlock()
	l.end()
	l.conn.NetConn().Close() // without a goodbye, which could wait
	for _, ch := range waiting {
		ch <- outcome{err: n}
	}
}

func (l *line) read() error {
	r := bufio.NewReaderSize(l.conn, streamBufferBytes)
	for {
		kind, payload, err := readFrame(r)
		if err != nil {
			return err
		}
		l.heard.Store(int64(time.Since(l.opened)))
		if kind == framePong {
			continue
		}
		id, body, err := decodeNumbered(payload)
		if err != nil {
			return err
		}
		switch kind {
		case frameAnswer:
			l.settle(id, outcome{body: body})
		case frameFault:
			l.settle(id, outcome{err: decodeFault(body)})
		default:
			return errFrame
		}
	}
}

// settle answers the call, if anybody still waits for it.
func (l *line) settle(id uint64, o outcome) {
	l.mu.Lock()
	ch := l.pending[id]
	delete(l.pending, id)
	l.mu.Unlock()
	if ch != nil {
		ch <- o
	}
}

// probe gives the line up when calls wait and the other side is silent.
func (l *line) probe() {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	asked := time.Time{} // when the first unanswered ping went out
	for {
		select {
		case <-tick.C:
		case <-l.ctx.Done():
			return
		}
		heard := l.opened.Add(time.Duration(l.heard.Load())) // counted: a clock that is set changes nothing
		switch {
		case !l.waiting() || time.Since(heard) < pingEvery:
			asked = time.Time{}
		case asked.IsZero() || heard.After(asked):
			asked = time.Now()
			l.out.offer(finish(newFrame(framePing, 0))) // a full queue is probed by its own writes
		case time.Since(asked) > maxSilence:
			l.fail(nack(l.node, Lost, errSilent))
			return
		}
	}
}

func (l *line) waiting() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.pending) > 0
}

// call sends one call, with its cause if it has one, and waits for its answer.
func (l *line) call(ctx context.Context, cause []byte, method string, body []byte) ([]byte, error) {
	deadline, _ := ctx.Deadline()
	left := time.Until(deadline)
	if left <= 0 {
		return nil, nack(l.node, Expired, context.DeadlineExceeded)
	}
	id, answer, err := l.register()
	if err != nil {
		return nil, err
	}
	frame := callFrame{cause: cause, id: id, left: left, method: method, body: body}.encode()
	if err := l.out.put(ctx, frame); err != nil {
		return nil, l.unsent(ctx, id, err)
	}
	select {
	case o := <-answer:
		return o.body, o.err
	case <-ctx.Done():
		l.forget(id)
		return nil, ctx.Err()
	}
}

func (l *line) register() (uint64, <-chan outcome, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return 0, nil, nack(l.node, Unreachable, l.err.cause)
	}
	if len(l.pending) >= maxPending {
		return 0, nil, nack(l.node, QueueFull, nil)
	}
	l.last++
	ch := make(chan outcome, 1)
	l.pending[l.last] = ch
	return l.last, ch, nil
}

// unsent takes back a call that was never queued.
func (l *line) unsent(ctx context.Context, id uint64, err error) error {
	l.mu.Lock()
	delete(l.pending, id)
	l.mu.Unlock()
	if ctx.Err() != nil {
		return nack(l.node, Expired, ctx.Err())
	}
	return nack(l.node, Unreachable, err)
}

// forget stops waiting for an answer and tells the other node so.
func (l *line) forget(id uint64) {
	l.mu.Lock()
	_, open := l.pending[id]
	delete(l.pending, id)
	l.mu.Unlock()
	if open {
		l.out.offer(numbered(frameCancel, id, nil)) // only saves work; the deadline ends it anyway
	}
}
