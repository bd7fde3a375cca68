package sshgate

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/ssh"
	"golang.org/x/net/netutil"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/state"
)

// Bounds of what clients may make a node hold.
const (
	maxConnections = 4096
	// maxKnocking bounds the connections of one address (IPv6: one /64) that
	// have not logged in.
	maxKnocking  = 32
	maxAuthTries = 10
	// maxChannels bounds what one connection has open at once.
	maxChannels = 64
	// maxChannelsOfComputer bounds what all connections through this node have
	// open to one computer.
	maxChannelsOfComputer = 512
	// maxConnectionsOfAccount bounds what one account holds of maxConnections.
	maxConnectionsOfAccount = 512
)

// patience bounds what clients may make a node wait for.
type patience struct {
	firstByte time.Duration // for a client that waits for the server to begin
	auth      time.Duration // from the connection to the login
	keepalive time.Duration // between questions whether the client is there
	silence   time.Duration // until one must be answered
	idle      time.Duration // of a connection without channels
	dial      time.Duration // to a port
	control   time.Duration // for the guest to take a signal or a size
}

var usual = patience{firstByte: 300 * time.Millisecond, auth: 30 * time.Second, keepalive: 30 * time.Second,
	silence: 90 * time.Second, idle: time.Hour, dial: 30 * time.Second, control: 10 * time.Second}

// acceptPause is how long no connection is taken after one could not be.
const acceptPause = 100 * time.Millisecond

// Doorkeeper decides who may log in. *actors.SSH is one.
type Doorkeeper interface {
	HostKey(ctx context.Context) (ssh.Signer, error)
	Admit(ctx context.Context, a actors.Attempt) (actors.Login, error)
	Follow(ctx context.Context, l actors.Login) error
	Used(l actors.Login, action string, names ...string)
	Names(l actors.Login) ([]string, error)
}

// Computers are where logins lead. *actors.Computers is one.
type Computers interface {
	Guest(account state.AccountID, id state.ComputerID) http.RoundTripper
	Dial(ctx context.Context, account state.AccountID, id state.ComputerID, port uint16) (net.Conn, error)
}

// Options is what a gate stands on.
type Options struct {
	SSH       Doorkeeper
	Computers Computers
	// Certificate is shown inside TLS; nil is one made for this process, which
	// no client can verify.
	Certificate ShowCertificate
	Log         *slog.Logger
	Registerer  prometheus.Registerer
}

// Gate takes SSH connections for one node.
type Gate struct {
	Options
	patience patience
	edge     *tls.Config
	metrics  *metrics
	knocking *tally[netip.Addr]       // connections before their login
	inside   *tally[state.AccountID]  // and after it
	open     *tally[state.ComputerID] // channels
}

// ShowCertificate chooses the certificate for a connection.
type ShowCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)

// New makes a gate. It does not listen yet.
func New(o Options) (*Gate, error) {
	g := &Gate{Options: o, patience: usual, metrics: newMetrics(o.Registerer), knocking: newTally[netip.Addr](maxKnocking),
		inside: newTally[state.AccountID](maxConnectionsOfAccount), open: newTally[state.ComputerID](maxChannelsOfComputer)}
	var err error
	g.edge, err = edgeConfig(o.Certificate)
	return g, err
}

// Serve takes connections on ln until ctx ends; then it cuts those there are,
// and returns when they have ended. It closes ln.
func (g *Gate) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ln = netutil.LimitListener(ln, maxConnections)
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	var connections sync.WaitGroup
	defer connections.Wait()
	defer cancel()
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			connections.Go(func() { g.serve(ctx, conn) })
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return nil
		default:
			g.Log.Warn("take an SSH connection", "err", err)
			select {
			case <-time.After(acceptPause):
			case <-ctx.Done():
			}
		}
	}
}

// serve is one connection from its first byte to its last.
func (g *Gate) serve(ctx context.Context, raw net.Conn) {
	defer raw.Close()
	from := place(raw.RemoteAddr())
	if !g.knocking.take(from) {
		g.metrics.login("crowded")
		return
	}
	left := sync.OnceFunc(func() { g.knocking.give(from) })
	defer left()
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	log := g.Log.With("from", raw.RemoteAddr().String())
	c, err := g.greet(ctx, raw, log)
	if err != nil {
		g.metrics.login("refused")
		log.Debug("an SSH client did not log in", "err", err)
		return
	}
	left()
	if !g.inside.take(c.login.Account) {
		g.metrics.login("crowded")
		c.log.Warn("an account has too many SSH connections", "limit", maxConnectionsOfAccount)
		return
	}
	defer g.inside.give(c.login.Account)
	g.metrics.login("admitted")
	c.serve(ctx)
}

// greet lets a client log in, in bounded time.
func (g *Gate) greet(ctx context.Context, raw net.Conn, log *slog.Logger) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, g.patience.auth)
	defer cancel()
	defer context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })()
	plain, host, err := g.unwrap(ctx, raw)
	if err != nil {
		return nil, err
	}
	c, err := g.handshake(ctx, plain, host)
	if err != nil {
		return nil, err
	}
	c.log = log.With("computer", string(c.login.Computer), "account", string(c.login.Account))
	return c, nil
}

// place is whom connections of an address are counted for.
func place(at net.Addr) netip.Addr {
	port, err := netip.ParseAddrPort(at.String())
	if err != nil {
		return netip.Addr{}
	}
	addr := port.Addr().Unmap().WithZone("")
	if addr.Is6() {
		if prefix, err := addr.Prefix(64); err == nil {
			return prefix.Addr()
		}
	}
	return addr
}
