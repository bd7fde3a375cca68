package main

import (
	"context"
	"fmt"
	"net"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/httpapi/sshgate"
)

func (n *node) listenSSH() (err error) {
	if n.config.SSH.Addr == off {
		return nil
	}
	if n.ssh, err = net.Listen("tcp", n.config.SSH.Addr); err != nil {
		return fmt.Errorf("listen for SSH: %w (--ssh chooses another address, --ssh off none)", err)
	}
	n.onClose(func() error { return quiet(n.ssh.Close()) })
	return nil
}

// sshAddr is the SSH door as replies tell it; "" is none.
func (n *node) sshAddr() string {
	if n.ssh == nil {
		return ""
	}
	if at := n.config.SSH.PublicAddr; at != "" {
		return at
	}
	_, port, err := net.SplitHostPort(n.ssh.Addr().String())
	if err != nil {
		return ""
	}
	return ":" + port
}

// openGate makes the SSH door, where it is on.
func (n *node) openGate(sys *actors.System) (err error) {
	if n.ssh == nil {
		return nil
	}
	o := sshgate.Options{SSH: sys.SSH, Computers: sys.Computers, Log: n.log, Registerer: n.registry}
	if c := n.config.SSH; c.TLSCert != "" {
		pair, err := openPair(c.TLSCert, c.TLSKey, n.log)
		if err != nil {
			return fmt.Errorf("read ssh.tlsCert and ssh.tlsKey: %w", err)
		}
		o.Certificate = pair.show
	}
	n.gate, err = sshgate.New(o)
	return err
}

// serveSSH takes SSH connections until ctx ends; what it returns is closed when
// the last has ended. A failure stops the node.
func (n *node) serveSSH(ctx context.Context, stop context.CancelCauseFunc) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if n.gate == nil {
			return
		}
		if err := n.gate.Serve(ctx, n.ssh); err != nil {
			stop(fmt.Errorf("serve SSH: %w", err))
		}
	}()
	return done
}
