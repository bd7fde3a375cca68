package sshgate

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	// tlsHandshake is the first byte of TLS (RFC 8446 section 5.1); SSH begins
	// with 'S' (RFC 4253 section 4.2).
	tlsHandshake = 0x16
	// edgeProtocol is the ALPN of SSH inside TLS.
	edgeProtocol = "ssh"
	// edgeLifetime of a certificate that this process makes for itself.
	edgeLifetime = 10 * 365 * 24 * time.Hour
)

func edgeConfig(show ShowCertificate) (*tls.Config, error) {
	if show == nil {
		made, err := selfSigned()
		if err != nil {
			return nil, fmt.Errorf("make a certificate for SSH inside TLS: %w", err)
		}
		show = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &made, nil }
	}
	return &tls.Config{GetCertificate: show, NextProtos: []string{edgeProtocol}, MinVersion: tls.VersionTLS12}, nil
}

func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "bothy ssh"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(edgeLifetime), DNSNames: []string{"bothy"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// unwrap takes the TLS off a connection that has it, and returns the computer
// that the TLS names, if it names one.
func (g *Gate) unwrap(ctx context.Context, raw net.Conn) (plain net.Conn, host string, err error) {
	first := &peeked{Conn: raw, in: bufio.NewReader(raw)}
	if err := raw.SetReadDeadline(time.Now().Add(g.patience.firstByte)); err != nil {
		return nil, "", err
	}
	begin, err := first.in.Peek(1)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, "", fmt.Errorf("read the first byte: %w", err)
	}
	if ctx.Err() != nil {
		return nil, "", ctx.Err()
	}
	if err := raw.SetReadDeadline(time.Time{}); err != nil {
		return nil, "", err
	}
	if len(begin) == 0 || begin[0] != tlsHandshake {
		return first, "", nil
	}
	secure := tls.Server(first, g.edge)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, "", fmt.Errorf("begin TLS: %w", err)
	}
	return secure, computerOf(secure.ConnectionState().ServerName), nil
}

// peeked is a connection of which some was read already.
type peeked struct {
	net.Conn
	in *bufio.Reader
}

func (p *peeked) Read(b []byte) (int, error) { return p.in.Read(b) }

// computerOf is the computer that a server name of the form
// <computer id>.<anything> tells; other names, which clients send that know
// only an address, tell none.
func computerOf(serverName string) string {
	label, _, _ := strings.Cut(strings.ToLower(serverName), ".")
	if len(label) != len(uuid.UUID{}.String()) || uuid.Validate(label) != nil {
		return ""
	}
	return label
}
