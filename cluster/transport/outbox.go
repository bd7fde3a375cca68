package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// outboxLetters bounds the letters that wait for one node.
	outboxLetters = 8192
	// outboxBytes bounds their bodies.
	outboxBytes = 32 << 20
)

// outbox carries this node's letters to another, in order, at most once.
type outbox struct {
	r       *Remoter
	node    state.NodeID
	letters chan letter
	room    *semaphore.Weighted // bytes of bodies

	mu     sync.RWMutex
	closed bool // no letter is taken any more

	conn    *tls.Conn
	dead    chan struct{} // closed when conn was seen to end
	w       *bufio.Writer
	backoff backoff
	burst   []letter // written and not flushed yet
}

func newOutbox(r *Remoter, node state.NodeID) *outbox {
	return &outbox{
		r: r, node: node, letters: make(chan letter, outboxLetters),
		room: semaphore.NewWeighted(outboxBytes),
	}
}

// offer queues a letter, or says at once why not.
func (o *outbox) offer(l letter) Reason {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.closed {
		return Closed
	}
	n := int64(len(l.env.Body))
	if !o.room.TryAcquire(n) {
		return QueueFull
	}
	select {
	case o.letters <- l:
		return ""
	default:
		o.room.Release(n)
		return QueueFull
	}
}

// run sends letters until ctx ends.
func (o *outbox) run(ctx context.Context) {
	var watchers sync.WaitGroup
	defer watchers.Wait()
	defer o.hangUp()
	for {
		select {
		case l := <-o.letters:
			o.send(ctx, l, &watchers)
		case <-ctx.Done():
			o.close()
			return
		}
	}
}

// close takes no more letters and returns those that are left.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	for {
		select {
		case l := <-o.letters:
			o.r.bounce(o.node, l, Closed, nil)
		default:
			return
		}
	}
}

// send writes one letter, dialling first if need be, and flushes when no other
// waits behind it.
func (o *outbox) send(ctx context.Context, l letter, watchers *sync.WaitGroup) {
	o.room.Release(int64(len(l.env.Body)))
	if l.expired(time.Now()) {
		o.r.bounce(o.node, l, Expired, nil)
		o.flush()
		return
	}
	if err := o.connect(ctx, watchers); err != nil {
		o.r.bounceNack(l, err)
		return
	}
	o.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	o.burst = append(o.burst, l)
	if _, err := o.w.Write(l.encode(time.Now())); err != nil {
		o.broke(err)
		return
	}
	o.r.t.metrics.envelopesOut.Inc()
	o.flush()
}

func (o *outbox) flush() {
	if o.conn == nil || len(o.letters) > 0 && len(o.burst) < maxBurst {
		return
	}
	if err := o.w.Flush(); err != nil {
		o.broke(err)
		return
	}
	clear(o.burst)
	o.burst = o.burst[:0]
}

// maxBurst bounds the letters that one flush may hold back.
const maxBurst = 256

// broke gives up the connection. What was written in its last burst may or may
// not have arrived.
func (o *outbox) broke(err error) {
	for _, l := range o.burst {
		o.r.bounce(o.node, l, Lost, err)
	}
	clear(o.burst)
	o.burst = o.burst[:0]
	o.hangUp()
}

func (o *outbox) hangUp() {
	if o.conn != nil {
		o.conn.NetConn().Close()
		o.conn, o.w = nil, nil
	}
}

// connect makes sure of a connection. Soon after a failure it gives that
// failure again.
func (o *outbox) connect(ctx context.Context, watchers *sync.WaitGroup) error {
	select {
	case <-o.dead: // a nil channel before the first connection
		o.hangUp()
	default:
	}
	if o.conn != nil {
		return nil
	}
	if err := o.backoff.wait(); err != nil {
		return err
	}
	c, err := o.r.t.dial(ctx, o.node, protoActors)
	if err != nil {
		o.backoff.failed(err)
		return err
	}
	o.backoff = backoff{}
	o.conn, o.w = c, bufio.NewWriterSize(c, streamBufferBytes)
	dead := make(chan struct{})
	o.dead = dead
	watchers.Go(func() { o.watch(c, dead) })
	return nil
}

// watch waits for the end of a connection, over which nothing is ever sent
// back, so that asks which went over it need not wait for their deadlines.
func (o *outbox) watch(c *tls.Conn, dead chan<- struct{}) {
	_, err := c.Read(make([]byte, 1))
	c.NetConn().Close()
	close(dead)
	o.r.lost(o.node, err)
}
