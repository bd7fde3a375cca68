package actors

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
)

// dialPath is where an owner takes connections to a computer's ports from other
// nodes.
const dialPath = "/computers/dial/"

// Dial connects to a port that something in the computer listens on, through
// any node. The computer is started and kept as by Guest, until the connection
// is closed, which cuts it: who has more to send calls CloseWrite first. A port
// that nothing listens on is Unavailable: it may come up.
func (s *Computers) Dial(ctx context.Context, account state.AccountID, id state.ComputerID, port uint16) (net.Conn, error) {
	owner, err := s.owner(ctx, account, id)
	if err != nil {
		return nil, err
	}
	if owner == s.cluster.Self() {
		return s.local.dial(ctx, id, port)
	}
	return s.remote.Dial(ctx, owner, account, id, port)
}

// dial connects to a port of a computer that this node owns.
func (l *local) dial(ctx context.Context, id state.ComputerID, port uint16) (net.Conn, error) {
	return l.connect(ctx, id, func(state.Epoch) (uint16, error) { return port, nil })
}

// connect holds a computer that this node owns, and connects to the port that
// find tells when the computer runs.
func (l *local) connect(ctx context.Context, id state.ComputerID, find func(state.Epoch) (uint16, error)) (net.Conn, error) {
	d, ok := l.deps.driver.(runtime.Dialer)
	if !ok {
		return nil, fault.New(fault.Unsupported, "ports of this node's computers cannot be reached")
	}
	// The connection outlives the call that asks for it, not the lease.
	lent, let, g, err := l.lend(ctx, context.WithoutCancel(ctx), id)
	if err != nil {
		return nil, err
	}
	port, err := find(g.epoch)
	if err != nil {
		let()
		return nil, l.lostBy(id, err)
	}
	conn, err := d.Dial(ctx, runtime.Epoch(g.epoch), runtime.ID(id), port)
	if err != nil {
		let()
		if err = l.lostBy(id, err); fault.Of(err) == fault.Internal && ctx.Err() == nil {
			err = fault.New(fault.Unavailable, "%w", err)
		}
		return nil, err
	}
	cut := context.AfterFunc(lent, func() { conn.Close() })
	return &lentConn{Conn: conn, let: func() { cut(); let() }}, nil
}

// lentConn gives the computer back when the connection is closed.
type lentConn struct {
	net.Conn
	let func()
}

func (c *lentConn) Close() error {
	defer c.let()
	return c.Conn.Close()
}

// CloseWrite says that nothing more will be sent.
func (c *lentConn) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Dial connects to a port of a computer through its owner.
func (w *wire) Dial(ctx context.Context, node state.NodeID, account state.AccountID, id state.ComputerID, port uint16) (net.Conn, error) {
	return w.stream(ctx, node, dialPath+string(account)+"/"+string(id)+"/"+strconv.Itoa(int(port)))
}

// stream opens a connection into a computer at a path of its owner.
func (w *wire) stream(ctx context.Context, node state.NodeID, path string) (net.Conn, error) {
	// The stream outlives the call that asks for it.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, end)
	read, write := io.Pipe()
	req, err := http.NewRequestWithContext(life, http.MethodPost, "https://"+string(node)+path, read)
	if err != nil {
		end()
		return nil, fmt.Errorf("reach a computer through node %s: %w", node, err)
	}
	res, err := w.client.Do(req)
	if err != nil {
		end()
		return nil, unreached(node, err)
	}
	if res.Header.Get(faultHeader) != "" || res.StatusCode != http.StatusOK {
		defer end()
		return nil, refused(res)
	}
	if !stop() {
		res.Body.Close()
		return nil, ctx.Err()
	}
	return &streamConn{in: res.Body, out: write, end: end, node: node}, nil
}

// serveDial joins another node's stream to a port of a computer that this node
// owns.
func (l *local) serveDial(w http.ResponseWriter, r *http.Request) {
	id := state.ComputerID(r.PathValue("computer"))
	port, err := strconv.ParseUint(r.PathValue("port"), 10, 16)
	if err == nil {
		err = l.belongs(r.Context(), state.AccountID(r.PathValue("account")), id)
	} else {
		err = fault.New(fault.Invalid, "no such port: %q", r.PathValue("port"))
	}
	if err != nil {
		refuse(w, err)
		return
	}
	conn, err := l.dial(r.Context(), id, uint16(port))
	if err != nil {
		refuse(w, err)
		return
	}
	join(w, r, conn)
}

// join passes on between another node's stream and a connection into a computer,
// which it closes, until the computer's side has ended: a stream's answer cannot
// end before the stream does.
func join(w http.ResponseWriter, r *http.Request, conn net.Conn) {
	defer conn.Close()
	control := http.NewResponseController(w)
	w.WriteHeader(http.StatusOK)
	if control.Flush() != nil {
		return
	}
	defer context.AfterFunc(r.Context(), func() { conn.Close() })()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(conn, r.Body) // its end is the sender's, or the connection's
		_ = closeWrite(conn)
	}()
	_, err := io.Copy(flushed{w, control}, conn)
	conn.Close()
	r.Body.Close()
	<-done
	if err != nil {
		panic(http.ErrAbortHandler) // a connection that was cut must not look like one that ended
	}
}

// flushed sends each piece as it comes.
type flushed struct {
	w       io.Writer
	control *http.ResponseController
}

func (f flushed) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err == nil {
		err = f.control.Flush()
	}
	return n, err
}

// streamConn is a connection carried by one HTTP/2 stream between nodes.
type streamConn struct {
	in   io.ReadCloser
	out  *io.PipeWriter
	end  context.CancelFunc
	node state.NodeID
}

func (c *streamConn) Read(p []byte) (int, error)  { return c.in.Read(p) }
func (c *streamConn) Write(p []byte) (int, error) { return c.out.Write(p) }

// CloseWrite says that nothing more will be sent.
func (c *streamConn) CloseWrite() error { return c.out.Close() }

func (c *streamConn) Close() error {
	c.out.Close()
	c.end()
	return c.in.Close()
}

func (c *streamConn) LocalAddr() net.Addr  { return nodeAddr(c.node) }
func (c *streamConn) RemoteAddr() net.Addr { return nodeAddr(c.node) }

// Deadlines are the stream's own: it ends with its context.
func (c *streamConn) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (c *streamConn) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (c *streamConn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

// nodeAddr names the node that a connection leads through.
type nodeAddr state.NodeID

func (nodeAddr) Network() string  { return "bothy" }
func (a nodeAddr) String() string { return string(a) }
