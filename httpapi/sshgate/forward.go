package sshgate

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/bothy-computer/bothy/cluster/state"
)

// forward joins a channel to a port of the computer, as it is reached from
// inside. Other hosts are refused: what the computer itself may reach is for
// its programs.
func (c *connection) forward(ctx context.Context, wanted ssh.NewChannel) {
	host, port, err := parseForward(wanted.ExtraData())
	if err != nil {
		reject(wanted, ssh.ConnectionFailed, err.Error())
		return
	}
	names, err := c.gate.SSH.Names(c.login)
	if err != nil || !isOwn(host, names) {
		reject(wanted, ssh.Prohibited, "ports are forwarded to the computer itself alone: localhost, 127.0.0.1, ::1")
		return
	}
	dialing, cancel := context.WithTimeout(ctx, c.gate.patience.dial)
	conn, err := c.gate.Computers.Dial(dialing, c.login.Account, c.login.Computer, port)
	cancel()
	if err != nil {
		c.log.Debug("reach a port", "port", port, "err", err)
		reject(wanted, ssh.ConnectionFailed, told(err))
		return
	}
	c.gate.SSH.Used(c.login, state.SSHForward, fmt.Sprint("port ", port))
	channel, requests, err := wanted.Accept()
	if err != nil {
		conn.Close()
		return // the connection has ended
	}
	c.join(ctx, channel, requests, conn)
}

// join copies both ways until both have ended, each end passed on by itself.
func (c *connection) join(ctx context.Context, channel ssh.Channel, requests <-chan *ssh.Request, conn net.Conn) {
	shut := sync.OnceFunc(func() {
		conn.Close()
		_ = channel.Close() // it may be closed already
	})
	defer context.AfterFunc(ctx, shut)()
	var answers, copies sync.WaitGroup
	answers.Go(func() {
		refuseAll(requests) // ends when the client has closed the channel
		shut()
	})
	copies.Go(func() {
		_, err := io.Copy(conn, channel)
		half, ok := conn.(interface{ CloseWrite() error })
		if err != nil || !ok || half.CloseWrite() != nil {
			shut()
		}
	})
	_, _ = io.Copy(channel, conn) // its end is one of the two's
	_ = channel.CloseWrite()
	copies.Wait()
	shut()
	answers.Wait()
}
