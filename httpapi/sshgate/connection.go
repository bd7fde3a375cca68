package sshgate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// serverVersion is what the gate says it is.
const serverVersion = "SSH-2.0-Bothy"

// connection is one client that has logged in.
type connection struct {
	gate     *Gate
	login    actors.Login
	conn     *ssh.ServerConn
	channels <-chan ssh.NewChannel
	requests <-chan *ssh.Request
	log      *slog.Logger

	open   atomic.Int64 // channels
	begun  time.Time
	used   atomic.Int64 // when a channel last closed: a time.Duration since begun
	end    context.CancelCauseFunc
	others sync.WaitGroup
}

// loginOf is where a handshake keeps who was let in.
type loginOf struct{}

// handshake lets a client log in. Who it is, is read from the connection and
// not from the last key that was looked at: a client may show keys it does not
// have.
func (g *Gate) handshake(ctx context.Context, plain net.Conn, host string) (*connection, error) {
	key, err := g.SSH.HostKey(ctx)
	if err != nil {
		g.Log.Warn("an SSH client has to go away", "err", err)
		return nil, err
	}
	config := &ssh.ServerConfig{MaxAuthTries: maxAuthTries, ServerVersion: serverVersion,
		PublicKeyCallback: func(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			login, err := g.SSH.Admit(ctx, actors.Attempt{User: meta.User(), Host: host, Key: key})
			if err != nil {
				if !fault.Is(err, fault.Unauthorized) {
					g.Log.Warn("an SSH login could not be decided", "err", err)
				}
				return nil, err
			}
			return &ssh.Permissions{ExtraData: map[any]any{loginOf{}: login}}, nil
		}}
	config.AddHostKey(key)
	conn, channels, requests, err := ssh.NewServerConn(plain, config)
	if err != nil {
		return nil, fmt.Errorf("shake hands: %w", err)
	}
	login, ok := conn.Permissions.ExtraData[loginOf{}].(actors.Login)
	if !ok {
		return nil, errors.Join(errors.New("somebody came in by no login"), conn.Close())
	}
	return &connection{gate: g, login: login, conn: conn, channels: channels, requests: requests}, nil
}

// errLeft is the usual end of a connection.
var errLeft = errors.New("the client left")

// serve opens channels until the client goes, may stay no longer, or ctx ends.
func (c *connection) serve(ctx context.Context) {
	ctx, c.end = context.WithCancelCause(ctx)
	defer context.AfterFunc(ctx, func() { c.conn.Close() })()
	c.begun = time.Now()
	c.log.Info("somebody logged in by SSH", "by", c.login.By)
	c.gate.SSH.Used(c.login, state.SSHLogin, "from "+hostOf(c.conn.RemoteAddr()))
	c.others.Go(func() { c.end(c.gate.SSH.Follow(ctx, c.login)) })
	c.others.Go(func() { c.attend(ctx) })
	c.others.Go(func() { refuseAll(c.requests) })
	for wanted := range c.channels {
		c.channel(ctx, wanted)
	}
	c.end(errLeft)
	c.others.Wait()
	c.log.Info("an SSH connection ended", "why", context.Cause(ctx).Error())
}

// hostOf is an address without its port.
func hostOf(at net.Addr) string {
	if host, _, err := net.SplitHostPort(at.String()); err == nil {
		return host
	}
	return at.String()
}

// refuseAll answers requests for what is not given: ports of this node to
// listen on. A question whether anybody is there is answered by any answer.
func refuseAll(requests <-chan *ssh.Request) {
	for r := range requests {
		if r.WantReply {
			_ = r.Reply(false, nil) // a client that is gone ends the loop
		}
	}
}

// channel opens one, or says why not.
func (c *connection) channel(ctx context.Context, wanted ssh.NewChannel) {
	serve := map[string]func(context.Context, ssh.NewChannel){"session": c.session, "direct-tcpip": c.forward}[wanted.ChannelType()]
	switch {
	case serve == nil:
		reject(wanted, ssh.UnknownChannelType, "only sessions and ports of the computer can be opened")
		return
	case c.open.Load() >= maxChannels:
		reject(wanted, ssh.ResourceShortage, fmt.Sprintf("the connection has %d channels open, which is the limit", maxChannels))
		return
	case !c.gate.open.take(c.login.Computer):
		reject(wanted, ssh.ResourceShortage, fmt.Sprintf("the computer has %d channels open, which is the limit", maxChannelsOfComputer))
		return
	}
	c.open.Add(1)
	closed := c.gate.metrics.channel(wanted.ChannelType())
	c.others.Go(func() {
		defer func() {
			closed()
			c.gate.open.give(c.login.Computer)
			c.used.Store(int64(time.Since(c.begun)))
			c.open.Add(-1)
		}()
		serve(ctx, wanted)
	})
}

func reject(wanted ssh.NewChannel, reason ssh.RejectionReason, why string) {
	_ = wanted.Reject(reason, "bothy: "+why) // a client that is gone needs no answer
}

// attend asks now and then whether the client is there, and ends a connection
// that is not answered, or that nothing goes over.
func (c *connection) attend(ctx context.Context) {
	tick := time.NewTicker(c.gate.patience.keepalive)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if c.open.Load() == 0 && time.Since(c.begun)-time.Duration(c.used.Load()) > c.gate.patience.idle {
			c.end(errors.New("it was idle for too long"))
			return
		}
		silent := time.AfterFunc(c.gate.patience.silence, func() { c.end(errors.New("the client does not answer")) })
		_, _, err := c.conn.SendRequest("keepalive@openssh.com", true, nil)
		silent.Stop()
		if err != nil {
			return // the connection has ended
		}
	}
}
