package transport

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/identity"
	"github.com/bothy-computer/bothy/cluster/state"
)

// knock handshakes as some peer would and reports whether it was let in.
func knock(t *testing.T, addr string, protos []string, certs ...tls.Certificate) error {
	t.Helper()
	raw, err := net.DialTimeout("tcp", addr, time.Second)
	must(t, err)
	defer raw.Close()
	must(t, raw.SetDeadline(time.Now().Add(10*time.Second)))
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, NextProtos: protos, Certificates: certs})
	if err := c.Handshake(); err != nil {
		return err
	}
	_, err = io.ReadFull(c, make([]byte, 1))
	return err
}

func certificate(t *testing.T, id *identity.Identity) tls.Certificate {
	t.Helper()
	pair, err := id.Certificate()
	must(t, err)
	return *pair
}

func TestOnlyMembersAreLetIn(t *testing.T) {
	c := newCluster(t, 1)
	a := c.nodes[0]
	addr := a.Addr().String()
	member := c.newMember(t)
	expelled := c.newMember(t)
	c.expel(expelled.Node())
	early := openIdentity(t, nil)
	foreign := openIdentity(t, nil)
	must(t, foreign.Bootstrap())
	c.enroll(foreign) // even a uuid and key that the records know need our authority
	selfSigned, err := early.SelfSigned()
	must(t, err)

	for _, proto := range []string{protoRaft, protoCalls} {
		if err := knock(t, addr, []string{proto}, certificate(t, member)); err != nil {
			t.Fatalf("a member was refused for %s: %v", proto, err)
		}
	}
	for name, certs := range map[string][]tls.Certificate{
		"no certificate":              nil,
		"another cluster's":           {certificate(t, foreign)},
		"signed by itself":            {*selfSigned},
		"of a node that is no member": {certificate(t, expelled)},
	} {
		t.Run(name, func(t *testing.T) {
			for _, proto := range memberProtocols {
				if err := knock(t, addr, []string{proto}, certs...); err == nil {
					t.Fatalf("let in for %s", proto)
				}
			}
		})
	}
	for name, protos := range map[string][]string{
		"no protocol":         nil,
		"an unknown protocol": {"http/1.1"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := knock(t, addr, protos, certificate(t, member)); err == nil {
				t.Fatal("let in")
			}
		})
	}
	t.Run("an older TLS", func(t *testing.T) {
		_, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, NextProtos: []string{protoCalls}})
		if err == nil {
			t.Fatal("let in")
		}
	})
}

func TestExpiredCertificateIsRefusedAndRenewed(t *testing.T) {
	c := newCluster(t, 2)
	a, b := c.nodes[0], c.nodes[1]
	a.Handle("echo", echo)
	ctx := within(t, 60*time.Second)
	_, err := b.Call(ctx, a.id, "echo", nil)
	must(t, err)
	must(t, b.renewIfDue(ctx, nil)) // not due: nobody is asked

	c.ahead.Store(int64(identity.CertificateLifetime * 3 / 4))
	if !b.ident.RenewDue() {
		t.Fatal("no renewal is due with a quarter of the life left")
	}
	c.ahead.Store(int64(identity.CertificateLifetime + time.Hour))
	if err := knock(t, a.Addr().String(), []string{protoCalls}, certificate(t, b.ident)); err == nil {
		t.Fatal("an expired certificate was let in")
	}
	if err := b.Renew(ctx, a.id); !errors.Is(err, identity.ErrStranger) {
		t.Fatalf("renewed at a node whose own certificate has expired: %v", err)
	}
	must(t, a.renewIfDue(ctx, []state.NodeID{a.id}))
	const away = "6a2f41a3-c54c-4ce8-b2d2-0324e1c32e22"
	if err := b.renewIfDue(ctx, []state.NodeID{away}); err == nil {
		t.Fatal("renewed at a node that is not there")
	}
	must(t, b.renewIfDue(ctx, []state.NodeID{b.id, away, a.id}))
	if b.ident.RenewDue() {
		t.Fatal("due again at once")
	}
	b.Sever(a.id)
	_, err = b.Call(ctx, a.id, "echo", nil)
	must(t, err)

	c.expel(b.id)
	if err := b.Renew(ctx, a.id); fault.Of(err) != fault.Forbidden {
		t.Fatalf("a node that is no member renewed: %v", err)
	}
}

func TestDiallerJudgesTheOtherSide(t *testing.T) {
	c := newCluster(t, 3)
	a, b, d := c.nodes[0], c.nodes[1], c.nodes[2]
	ctx := within(t, 20*time.Second)
	b.Handle("echo", echo)

	t.Run("another node at the address", func(t *testing.T) {
		c.mu.Lock()
		c.addrs[d.id] = b.Addr().String()
		c.mu.Unlock()
		_, err := a.Call(ctx, d.id, "echo", nil)
		var n *Nack
		if !errors.As(err, &n) || n.Reason != Refused || !errors.Is(err, errWrongNode) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("a node of another cluster at the address", func(t *testing.T) {
		other := newCluster(t, 1)
		c.mu.Lock()
		c.addrs[d.id] = other.nodes[0].Addr().String()
		c.mu.Unlock()
		eventually(t, "it is refused for its certificate", func() bool {
			_, err := a.Call(ctx, d.id, "echo", nil)
			var n *Nack
			return errors.As(err, &n) && n.Reason == Refused && (errors.Is(err, identity.ErrStranger))
		})
	})
	t.Run("nobody at the address", func(t *testing.T) {
		c.mu.Lock()
		c.addrs[d.id] = "127.0.0.1:1"
		c.mu.Unlock()
		eventually(t, "it is unreachable", func() bool {
			_, err := a.Call(ctx, d.id, "echo", nil)
			var n *Nack
			return errors.As(err, &n) && n.Reason == Unreachable
		})
	})
}

func TestSeverEndsConnections(t *testing.T) {
	c := newCluster(t, 2)
	a, b := c.nodes[0], c.nodes[1]
	b.Handle("echo", echo)
	ctx := within(t, 20*time.Second)
	_, err := a.Call(ctx, b.id, "echo", nil)
	must(t, err)
	c.expel(a.id)
	b.Sever(a.id)
	eventually(t, "a is refused", func() bool {
		_, err := a.Call(ctx, b.id, "echo", nil)
		var n *Nack
		return errors.As(err, &n) && n.Reason == Refused
	})
}
