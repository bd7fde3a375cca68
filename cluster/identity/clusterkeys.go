package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/bothy-computer/bothy/cluster/state"
)

// What each key is sealed as. A key sealed as one thing does not open as another.
const (
	sealedAsAuthority = "bothy/1 authority key"
	sealedAsGossip    = "bothy/1 gossip key"
	sealedAsSecrets   = "bothy/1 secrets key " // and its id
)

// SealedKeys are the cluster's keys as they lie on disk and travel to a new
// node: each encrypted under the cluster key.
type SealedKeys struct {
	Authority []byte            `json:"authority"`
	Gossip    []byte            `json:"gossip"`
	Secrets   map[string][]byte `json:"secrets"` // by key id, hexadecimal
	Current   string            `json:"current"` // id of the secrets key that seals
}

// openKeys are the cluster's keys in memory.
type openKeys struct {
	authority ed25519.PrivateKey
	gossip    symmetricKey
	secrets   *keyring
}

func newOpenKeys(authority ed25519.PrivateKey) *openKeys {
	id := newSecretsKeyID()
	return &openKeys{
		authority: authority,
		gossip:    newSymmetricKey(),
		secrets:   &keyring{current: id, keys: map[secretsKeyID]symmetricKey{id: newSymmetricKey()}},
	}
}

func (k *openKeys) seal(under symmetricKey) SealedKeys {
	s := SealedKeys{
		Authority: under.seal([]byte(sealedAsAuthority), k.authority.Seed()),
		Gossip:    under.seal([]byte(sealedAsGossip), k.gossip[:]),
		Secrets:   make(map[string][]byte, len(k.secrets.keys)),
		Current:   k.secrets.current.String(),
	}
	for id, key := range k.secrets.keys {
		s.Secrets[id.String()] = under.seal([]byte(sealedAsSecrets+id.String()), key[:])
	}
	return s
}

// open undoes seal, and checks that the authority's key is that of its certificate.
func (s SealedKeys) open(under symmetricKey, ca *x509.Certificate) (*openKeys, error) {
	seed, err := under.open([]byte(sealedAsAuthority), s.Authority)
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("open the authority's key: %w", ErrSealed)
	}
	k := &openKeys{authority: ed25519.NewKeyFromSeed(seed)}
	if pub, ok := ca.PublicKey.(ed25519.PublicKey); !ok || !pub.Equal(k.authority.Public()) {
		return nil, errors.New("the authority's key and certificate do not belong together")
	}
	if k.gossip, err = s.openKey(under, sealedAsGossip, s.Gossip); err != nil {
		return nil, fmt.Errorf("open the gossip key: %w", err)
	}
	k.secrets, err = s.openSecrets(under)
	return k, err
}

func (s SealedKeys) openSecrets(under symmetricKey) (*keyring, error) {
	out := &keyring{keys: make(map[secretsKeyID]symmetricKey, len(s.Secrets))}
	for name, sealed := range s.Secrets {
		id, err := parseSecretsKeyID(name)
		if err != nil {
			return nil, err
		}
		if out.keys[id], err = s.openKey(under, sealedAsSecrets+name, sealed); err != nil {
			return nil, fmt.Errorf("open the secrets key %s: %w", name, err)
		}
	}
	var err error
	if out.current, err = parseSecretsKeyID(s.Current); err != nil {
		return nil, err
	}
	if _, ok := out.keys[out.current]; !ok {
		return nil, fmt.Errorf("the current secrets key %s is missing", s.Current)
	}
	return out, nil
}

func (SealedKeys) openKey(under symmetricKey, as string, sealed []byte) (symmetricKey, error) {
	b, err := under.open([]byte(as), sealed)
	if err != nil {
		return symmetricKey{}, err
	}
	return keyFrom(b)
}

// secretsKeyID names one of the cluster's secrets keys.
type secretsKeyID [state.SecretsKeyIDBytes]byte

func newSecretsKeyID() (id secretsKeyID) {
	rand.Read(id[:])
	return id
}

func (id secretsKeyID) String() string { return hex.EncodeToString(id[:]) }

func parseSecretsKeyID(text string) (id secretsKeyID, err error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("a secrets key's id is 16 hexadecimal digits, not %q", text)
	}
	return secretsKeyID(b), nil
}
