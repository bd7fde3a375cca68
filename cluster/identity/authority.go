package identity

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// CertificateLifetime is how long a node's certificate is valid.
	CertificateLifetime = 90 * 24 * time.Hour
	// authorityLifetime is how long the authority's own certificate is valid.
	authorityLifetime = 20 * 365 * 24 * time.Hour
	// backdate forgives a peer whose clock is behind, or an issuer whose clock was
	// ahead: also by a wrong time zone.
	backdate = 24 * time.Hour
)

// authority signs the certificates of one cluster's nodes.
type authority struct {
	cert *x509.Certificate
	key  ed25519.PrivateKey
}

// newAuthority makes a cluster's authority.
func newAuthority(now time.Time) (*authority, error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the authority's key: %w", err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: newSerial(), Subject: pkix.Name{CommonName: "bothy cluster"},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(authorityLifetime),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	cert, err := sign(tmpl, tmpl, pub, key)
	if err != nil {
		return nil, err
	}
	return &authority{cert: cert, key: key}, nil
}

// issue signs a node's certificate.
func (a *authority) issue(node state.NodeID, key ed25519.PublicKey, now time.Time) (*x509.Certificate, error) {
	if len(key) != ed25519.PublicKeySize {
		return nil, errors.New("issue a certificate: the public key is not ed25519")
	}
	return sign(nodeTemplate(node, now, CertificateLifetime), a.cert, key, a.key)
}

func nodeTemplate(node state.NodeID, now time.Time, life time.Duration) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: newSerial(), Subject: pkix.Name{CommonName: string(node)},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(life),
		URIs:                  []*url.URL{nodeURI(node)},
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
}

func nodeURI(node state.NodeID) *url.URL {
	return &url.URL{Scheme: "bothy", Host: "node", Path: "/" + string(node)}
}

// sign makes a certificate and reads it back.
func sign(tmpl, parent *x509.Certificate, pub crypto.PublicKey, key ed25519.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, key)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

func newSerial() *big.Int {
	var b [16]byte
	rand.Read(b[:])
	b[0] &= 0x7f // positive
	return new(big.Int).SetBytes(b[:])
}

func encodeCertificate(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

func decodeCertificate(text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("not a PEM certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}
