package identity

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/bothy-computer/bothy/cluster/state"
)

// ErrStranger is returned for a certificate that this cluster's authority did
// not give, or that is not valid now.
var ErrStranger = errors.New("the certificate is not one of this cluster's")

// KeyHash names a node's public key: its SHA-256.
func KeyHash(key ed25519.PublicKey) [sha256.Size]byte { return sha256.Sum256(key) }

// Bearer is whom a certificate speaks for.
type Bearer struct {
	Node state.NodeID
	Key  ed25519.PublicKey
}

// bearerOf reads the node and key out of a certificate, trusting nothing but
// its form.
func bearerOf(c *x509.Certificate) (Bearer, error) {
	key, ok := c.PublicKey.(ed25519.PublicKey)
	if !ok {
		return Bearer{}, fmt.Errorf("%w: its key is not ed25519", ErrStranger)
	}
	if len(c.URIs) != 1 || c.URIs[0].Scheme != "bothy" || c.URIs[0].Host != "node" {
		return Bearer{}, fmt.Errorf("%w: it names no node", ErrStranger)
	}
	node, err := ParseNodeID(strings.TrimPrefix(c.URIs[0].Path, "/"))
	if err != nil {
		return Bearer{}, fmt.Errorf("%w: %w", ErrStranger, err)
	}
	return Bearer{Node: node, Key: key}, nil
}

// ParseNodeID accepts a uuid in its one canonical spelling.
func ParseNodeID(text string) (state.NodeID, error) {
	id, err := uuid.Parse(text)
	if err != nil || id.String() != text {
		return "", errors.New("a node's id must be a uuid in lower case")
	}
	return state.NodeID(text), nil
}

// Verify checks that cert was given by the authority ca, serves for use and is
// valid at now, and returns its bearer. Every failure is an ErrStranger.
func Verify(cert, ca *x509.Certificate, use x509.ExtKeyUsage, now time.Time) (Bearer, error) {
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	_, err := cert.Verify(x509.VerifyOptions{
		Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{use},
	})
	if err != nil {
		return Bearer{}, fmt.Errorf("%w: %w", ErrStranger, err)
	}
	return bearerOf(cert)
}

// SelfSigned reads the bearer of a certificate that a node without one of the
// cluster's signed itself. It proves only that the peer of the connection
// holds the key: who that is, a token or the member list must say.
func SelfSigned(cert *x509.Certificate) (Bearer, error) {
	if err := cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature); err != nil {
		return Bearer{}, fmt.Errorf("%w: %w", ErrStranger, err)
	}
	return bearerOf(cert)
}
