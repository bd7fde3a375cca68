package identity

import (
	"crypto/sha256"
	"fmt"
	"log/slog"

	"github.com/bothy-computer/bothy/cluster/state"
)

// Peer is a member and where it takes other nodes.
type Peer struct {
	Node state.NodeID `json:"node"`
	Addr string       `json:"addr"` // host:port
}

// Admission is what a member hands to a node that the cluster admitted. It
// holds the cluster key: it travels only inside the join connection and is
// never logged or kept.
type Admission struct {
	Authority   string     `json:"authority"`   // PEM
	Certificate string     `json:"certificate"` // PEM, for the new node
	ClusterKey  []byte     `json:"cluster_key"`
	Keys        SealedKeys `json:"keys"`
	Peers       []Peer     `json:"peers"`  // voters first; at least the one that answers
	Gossip      []string   `json:"gossip"` // host:port of members' gossip
}

// String hides the keys, so that an admission printed by mistake gives nothing away.
func (a Admission) String() string { return "admission(hidden)" }

// LogValue hides the keys from logs.
func (a Admission) LogValue() slog.Value { return slog.StringValue(a.String()) }

// NewToken makes a join token for this cluster that leads to addrs, and the
// hash of its secret, which is all that may be kept of it.
func (id *Identity) NewToken(addrs []string) (Token, string, error) {
	m := id.member.Load()
	if m == nil {
		return Token{}, "", ErrAlone
	}
	t, err := newToken(sha256.Sum256(m.ca.Raw), addrs)
	if err != nil {
		return Token{}, "", err
	}
	return t, t.SecretHash(), nil
}

// Admit makes the admission for a node that the cluster has just made a
// member. The caller adds peers and gossip addresses.
func (id *Identity) Admit(joiner Bearer) (Admission, error) {
	m := id.member.Load()
	if m == nil {
		return Admission{}, ErrAlone
	}
	cert, err := id.Issue(joiner)
	if err != nil {
		return Admission{}, err
	}
	return Admission{
		Authority: encodeCertificate(m.ca), Certificate: cert,
		ClusterKey: m.clusterKey[:], Keys: m.sealed,
	}, nil
}

// Accept makes this node a member by what it was admitted with, after checking
// that all parts belong together, to this node, and to the authority that the
// token named. Accepting again for the same authority is success.
func (id *Identity) Accept(t Token, a Admission) error {
	id.writing.Lock()
	defer id.writing.Unlock()
	m, err := id.assemble(clusterRecord{Authority: a.Authority, Certificate: a.Certificate, Keys: a.Keys}, a.ClusterKey)
	if err != nil {
		return fmt.Errorf("accept the admission: %w", err)
	}
	if sha256.Sum256(m.ca.Raw) != t.CA {
		return fmt.Errorf("accept the admission: %w: the authority is not the one in the token", ErrStranger)
	}
	if old := id.member.Load(); old != nil && !old.ca.Equal(m.ca) {
		return ErrJoined
	}
	return id.keep(m)
}
