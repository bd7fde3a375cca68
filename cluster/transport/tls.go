package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"

	"github.com/bothy-computer/bothy/cluster/identity"
	"github.com/bothy-computer/bothy/cluster/state"
)

// The protocols that ALPN picks from.
const (
	protoRaft    = "bothy-raft/1"
	protoCalls   = "bothy-rpc/1"
	protoActors  = "bothy-actor/1"
	protoStreams = "h2"
	protoJoin    = "bothy-join/1"
)

// memberProtocols are those that need a member's certificate.
var memberProtocols = []string{protoRaft, protoCalls, protoActors, protoStreams}

// Errors that a handshake ends with, beside identity.ErrStranger.
var (
	errNoMember   = errors.New("the certificate's node is not a member of this cluster")
	errNoProtocol = errors.New("the peer offers no protocol spoken here")
	errWrongNode  = errors.New("another node answers at this address")
)

// wire is a TCP connection that counts its bytes, knows who proved itself over
// it, and is known to the transport until it is closed.
type wire struct {
	net.Conn
	t      *Transport
	bearer identity.Bearer // set in the handshake
	meter  atomic.Pointer[byteMeter]
}

// Close ends the connection at once. Closing the TLS connection over it does
// this too, but may first wait to say goodbye.
func (w *wire) Close() error {
	w.t.untrack(w)
	return w.Conn.Close()
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if m := w.meter.Load(); m != nil {
		m.in.Add(float64(n))
	}
	return n, err
}

func (w *wire) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	if m := w.meter.Load(); m != nil {
		m.out.Add(float64(n))
	}
	return n, err
}

// serverConfig makes the TLS side for one connection. It is made anew each
// time, so that a renewed certificate is used from the next connection on.
func (t *Transport) serverConfig(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	pair, err := t.o.Identity.Certificate()
	if err != nil {
		return nil, err
	}
	w, ok := hello.Conn.(*wire)
	if !ok {
		return nil, fmt.Errorf("handshake over a %T", hello.Conn)
	}
	cfg := &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{*pair},
		ClientAuth:             tls.RequireAnyClientCert, // judged in VerifyConnection, by our clock
		SessionTicketsDisabled: true,                     // every connection is judged anew
		NextProtos:             memberProtocols,
		VerifyConnection:       func(cs tls.ConnectionState) error { return t.judgeMember(w, cs) },
	}
	if len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == protoJoin {
		ca, err := t.o.Identity.Authority()
		if err != nil {
			return nil, err
		}
		withCA := *pair // a joiner knows the authority only by its hash
		withCA.Certificate = append(slices.Clone(pair.Certificate), ca.Raw)
		cfg.Certificates = []tls.Certificate{withCA}
		cfg.NextProtos = []string{protoJoin}
		cfg.VerifyConnection = func(cs tls.ConnectionState) error { return judgeJoiner(w, cs) }
	}
	return cfg, nil
}

// judgeMember lets in only members of this cluster.
func (t *Transport) judgeMember(w *wire, cs tls.ConnectionState) error {
	if cs.NegotiatedProtocol == "" {
		return errNoProtocol
	}
	b, err := t.verify(cs, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return err
	}
	if !t.o.Member(b.Node, identity.KeyHash(b.Key)) {
		return fmt.Errorf("%w: %s", errNoMember, b.Node)
	}
	w.bearer = b
	return nil
}

func (t *Transport) verify(cs tls.ConnectionState, use x509.ExtKeyUsage) (identity.Bearer, error) {
	ca, err := t.o.Identity.Authority()
	if err != nil {
		return identity.Bearer{}, err
	}
	return identity.Verify(cs.PeerCertificates[0], ca, use, t.o.Identity.Now())
}

// judgeJoiner takes any node's key; what it may do with it, the token or the
// member list decides.
func judgeJoiner(w *wire, cs tls.ConnectionState) (err error) {
	w.bearer, err = identity.SelfSigned(cs.PeerCertificates[0])
	return err
}

// clientConfig accepts only the one node as the other side.
func (t *Transport) clientConfig(node state.NodeID, proto string) (*tls.Config, error) {
	pair, err := t.o.Identity.Certificate()
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		Certificates:       []tls.Certificate{*pair},
		NextProtos:         []string{proto},
		InsecureSkipVerify: true, // nodes have no host names: VerifyConnection judges by uuid
		VerifyConnection: func(cs tls.ConnectionState) error {
			b, err := t.verify(cs, x509.ExtKeyUsageServerAuth)
			if err != nil {
				return err
			}
			if b.Node != node {
				return fmt.Errorf("%w: %s", errWrongNode, b.Node)
			}
			return nil
		},
	}, nil
}

// refusal is the metric label for a failed handshake.
func refusal(err error) string {
	switch {
	case errors.Is(err, errNoMember):
		return refusedMember
	case errors.Is(err, identity.ErrStranger):
		return refusedCertificate
	default:
		return refusedHandshake
	}
}
