package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	clusterFile    = "cluster.json"
	clusterKeyFile = "cluster.key"
)

// membership is what a node holds as part of a cluster. It is never changed,
// only replaced.
type membership struct {
	ca         *x509.Certificate
	cert       *x509.Certificate
	pair       *tls.Certificate
	clusterKey symmetricKey
	sealed     SealedKeys
	keys       *openKeys
}

// clusterRecord is cluster.json.
type clusterRecord struct {
	Version     int        `json:"version"`
	Authority   string     `json:"authority"`   // PEM
	Certificate string     `json:"certificate"` // PEM
	Keys        SealedKeys `json:"keys"`
}

// readMembership returns nil when the node has no cluster yet.
func (id *Identity) readMembership() (*membership, error) {
	b, err := id.dir.read(clusterFile)
	if err != nil || b == nil {
		return nil, err
	}
	var rec clusterRecord
	if err := json.Unmarshal(b, &rec); err != nil {
		return nil, fmt.Errorf("read %s: %w", clusterFile, err)
	}
	text, err := id.dir.read(clusterKeyFile)
	if err != nil {
		return nil, err
	}
	if text == nil {
		return nil, fmt.Errorf("%s is missing: the cluster's keys cannot be opened without it; copy it from another member (it is the same on all)", clusterKeyFile)
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", clusterKeyFile, err)
	}
	m, err := id.assemble(rec, raw)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", clusterFile, err)
	}
	return m, nil
}

// assemble checks that all parts of a membership belong together and to this node.
func (id *Identity) assemble(rec clusterRecord, clusterKey []byte) (*membership, error) {
	m := &membership{sealed: rec.Keys}
	var err error
	if m.ca, err = decodeCertificate(rec.Authority); err != nil {
		return nil, fmt.Errorf("the authority's certificate: %w", err)
	}
	if m.cert, err = id.ownCertificate(rec.Certificate, m.ca); err != nil {
		return nil, err
	}
	if m.clusterKey, err = keyFrom(clusterKey); err != nil {
		return nil, fmt.Errorf("the cluster key: %w", err)
	}
	if m.keys, err = rec.Keys.open(m.clusterKey, m.ca); err != nil {
		return nil, err
	}
	m.pair = id.keyPair(m.cert)
	return m, nil
}

// ownCertificate reads a certificate and checks that ca gave it to this node.
// Whether it has expired does not matter here: an expired one can be renewed. Nor
// does which of the two is valid from an earlier time: builds differ in that.
func (id *Identity) ownCertificate(text string, ca *x509.Certificate) (*x509.Certificate, error) {
	cert, err := decodeCertificate(text)
	if err != nil {
		return nil, fmt.Errorf("the node's certificate: %w", err)
	}
	from := cert.NotBefore
	if ca.NotBefore.After(from) {
		from = ca.NotBefore
	}
	b, err := Verify(cert, ca, x509.ExtKeyUsageClientAuth, from.Add(time.Second))
	if err != nil {
		return nil, fmt.Errorf("the node's certificate: %w", err)
	}
	if b.Node != id.node || !bytes.Equal(b.Key, id.PublicKey()) {
		return nil, errors.New("the node's certificate was given to another node")
	}
	return cert, nil
}

// keep writes a membership, the key before the record that needs it, and makes
// it the current one.
func (id *Identity) keep(m *membership) error {
	rec := clusterRecord{
		Version: 1, Authority: encodeCertificate(m.ca),
		Certificate: encodeCertificate(m.cert), Keys: m.sealed,
	}
	b, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return err
	}
	text := base64.StdEncoding.EncodeToString(m.clusterKey[:]) + "\n"
	if err := id.dir.write(clusterKeyFile, []byte(text)); err != nil {
		return err
	}
	if err := id.dir.write(clusterFile, append(b, '\n')); err != nil {
		return err
	}
	id.member.Store(m)
	return nil
}

// Bootstrap makes a new cluster with this node as its first member: an
// authority, the cluster's keys and this node's certificate. On a member it
// is ErrJoined.
func (id *Identity) Bootstrap() error {
	id.writing.Lock()
	defer id.writing.Unlock()
	if id.Joined() {
		return ErrJoined
	}
	ca, err := newAuthority(id.now())
	if err != nil {
		return err
	}
	cert, err := ca.issue(id.node, id.PublicKey(), id.now())
	if err != nil {
		return err
	}
	clusterKey := newSymmetricKey()
	keys := newOpenKeys(ca.key)
	return id.keep(&membership{
		ca: ca.cert, cert: cert, pair: id.keyPair(cert),
		clusterKey: clusterKey, sealed: keys.seal(clusterKey), keys: keys,
	})
}

// Certificate is what the node shows to other members. Before it has one it
// is ErrAlone.
func (id *Identity) Certificate() (*tls.Certificate, error) {
	m := id.member.Load()
	if m == nil {
		return nil, ErrAlone
	}
	return m.pair, nil
}

// Authority is the certificate of the cluster's authority, or ErrAlone.
func (id *Identity) Authority() (*x509.Certificate, error) {
	m := id.member.Load()
	if m == nil {
		return nil, ErrAlone
	}
	return m.ca, nil
}

// GossipKey is the 32 byte key that gossip is encrypted with, or ErrAlone.
func (id *Identity) GossipKey() ([]byte, error) {
	m := id.member.Load()
	if m == nil {
		return nil, ErrAlone
	}
	return bytes.Clone(m.keys.gossip[:]), nil
}

// ExpiresAt is when the node's certificate ends; zero before it has one.
func (id *Identity) ExpiresAt() time.Time {
	m := id.member.Load()
	if m == nil {
		return time.Time{}
	}
	return m.cert.NotAfter
}

// RenewDue reports whether a third or less of the certificate's life is left.
func (id *Identity) RenewDue() bool {
	m := id.member.Load()
	return m != nil && m.cert.NotAfter.Sub(id.now()) <= CertificateLifetime/3
}

// Issue signs a certificate (PEM) for a node that the caller knows to be a
// member, itself included: a lone node renews with Issue and Renewed.
func (id *Identity) Issue(to Bearer) (string, error) {
	m := id.member.Load()
	if m == nil {
		return "", ErrAlone
	}
	ca := &authority{cert: m.ca, key: m.keys.authority}
	cert, err := ca.issue(to.Node, to.Key, id.now())
	if err != nil {
		return "", err
	}
	return encodeCertificate(cert), nil
}

// Renewed keeps a newer certificate (PEM) for this node and uses it from the
// next connection on. An older one than it has is ignored.
func (id *Identity) Renewed(certificate string) error {
	id.writing.Lock()
	defer id.writing.Unlock()
	old := id.member.Load()
	if old == nil {
		return ErrAlone
	}
	cert, err := id.ownCertificate(certificate, old.ca)
	if err != nil {
		return err
	}
	if cert.NotAfter.Before(old.cert.NotAfter) {
		return nil
	}
	m := *old
	m.cert, m.pair = cert, id.keyPair(cert)
	return id.keep(&m)
}

// Bearer is this node as its certificate names it.
func (id *Identity) Bearer() Bearer {
	return Bearer{Node: id.node, Key: id.key.Public().(ed25519.PublicKey)}
}
