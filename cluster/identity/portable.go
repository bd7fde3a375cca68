package identity

import (
	"fmt"
	"log/slog"
)

// Portable is what a cluster is rebuilt with where no node of it is left: its
// authority and its keys, with the cluster key that opens them. It travels
// encrypted alone and is never logged.
type Portable struct {
	Authority  string     `json:"authority"` // PEM
	ClusterKey []byte     `json:"cluster_key"`
	Keys       SealedKeys `json:"keys"`
}

// String hides the keys, so that one printed by mistake gives nothing away.
func (p Portable) String() string { return "keys(hidden)" }

// LogValue hides the keys from logs.
func (p Portable) LogValue() slog.Value { return slog.StringValue(p.String()) }

// Portable is this member's cluster, to be rebuilt elsewhere; ErrAlone without one.
func (id *Identity) Portable() (Portable, error) {
	m := id.member.Load()
	if m == nil {
		return Portable{}, ErrAlone
	}
	return Portable{Authority: encodeCertificate(m.ca), ClusterKey: m.clusterKey[:], Keys: m.sealed}, nil
}

// Rebuild makes this node, which has no cluster, the first member of one that is
// rebuilt: the same authority and keys, and a certificate of its own. On a member
// it is ErrJoined.
func (id *Identity) Rebuild(p Portable) error {
	id.writing.Lock()
	defer id.writing.Unlock()
	if id.Joined() {
		return ErrJoined
	}
	ca, err := decodeCertificate(p.Authority)
	if err != nil {
		return fmt.Errorf("rebuild: the authority's certificate: %w", err)
	}
	clusterKey, err := keyFrom(p.ClusterKey)
	if err != nil {
		return fmt.Errorf("rebuild: the cluster key: %w", err)
	}
	keys, err := p.Keys.open(clusterKey, ca)
	if err != nil {
		return fmt.Errorf("rebuild: %w", err)
	}
	cert, err := (&authority{cert: ca, key: keys.authority}).issue(id.node, id.PublicKey(), id.now())
	if err != nil {
		return fmt.Errorf("rebuild: %w", err)
	}
	return id.keep(&membership{ca: ca, cert: cert, pair: id.keyPair(cert), clusterKey: clusterKey, sealed: p.Keys, keys: keys})
}
