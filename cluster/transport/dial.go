package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/cluster/identity"
	"github.com/bothy-computer/bothy/cluster/state"
)

// giveUpSilent makes the kernel break a connection whose peer acknowledges
// nothing for writeTimeout; by itself it would go on for a quarter of an hour.
func giveUpSilent(_, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(writeTimeout/time.Millisecond))
	})
	return errors.Join(err, failed)
}

// dial connects to a node for one protocol. Every failure is a *Nack.
func (t *Transport) dial(ctx context.Context, node state.NodeID, proto string) (*tls.Conn, error) {
	c, err := t.tryDial(ctx, node, proto)
	if err != nil {
		t.metrics.dialFailures.WithLabelValues(proto).Inc()
		return nil, err
	}
	return c, nil
}

func (t *Transport) tryDial(ctx context.Context, node state.NodeID, proto string) (*tls.Conn, error) {
	addr, ok := t.o.Resolve(node)
	if !ok {
		return nil, nack(node, UnknownNode, nil)
	}
	c, err := t.dialAt(ctx, node, addr, proto)
	if err == nil || ctx.Err() != nil || t.o.Elsewhere == nil {
		return c, err
	}
	if other, ok := t.o.Elsewhere(node); ok && other != addr {
		return t.dialAt(ctx, node, other, proto)
	}
	return nil, err
}

func (t *Transport) dialAt(ctx context.Context, node state.NodeID, addr, proto string) (*tls.Conn, error) {
	connectCtx, cancel := context.WithTimeout(ctx, connectTimeout)
	raw, err := t.o.Dial(connectCtx, node, addr)
	cancel()
	if err != nil {
		return nil, nack(node, Unreachable, err)
	}
	w := t.track(raw, node)
	if w == nil {
		return nil, nack(node, Closed, nil)
	}
	w.meter.Store(t.metrics.meter(proto))
	c, err := t.shakeHands(ctx, w, node, proto)
	if err != nil {
		w.Close()
		return nil, nack(node, handshakeReason(err), err)
	}
	return c, nil
}

// shakeHands proves both sides to each other and waits for the greeting.
func (t *Transport) shakeHands(ctx context.Context, w *wire, node state.NodeID, proto string) (*tls.Conn, error) {
	cfg, err := t.clientConfig(node, proto)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { w.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	c := tls.Client(w, cfg)
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	if proto == protoStreams {
		return c, nil // HTTP/2 begins with a greeting of its own
	}
	var b [1]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return nil, fmt.Errorf("wait to be let in: %w", err)
	}
	if b[0] != greeting {
		return nil, errors.New("wait to be let in: not a bothy node")
	}
	if !stop() {
		return nil, context.Cause(ctx)
	}
	return c, nil
}

// handshakeReason tells a peer that says no from one that says nothing.
func handshakeReason(err error) Reason {
	var alert *net.OpError
	if errors.As(err, &alert) && alert.Op == "remote error" { // crypto/tls: the peer sent an alert
		return Refused
	}
	if errors.Is(err, identity.ErrStranger) || errors.Is(err, errWrongNode) {
		return Refused
	}
	return Unreachable
}
