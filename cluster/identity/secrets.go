package identity

import (
	"errors"
	"fmt"

	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// MaxSecretBytes bounds what Secrets seals at once.
	MaxSecretBytes = 1 << 20

	wrappedKeyBytes  = 12 + KeyBytes + 16 // nonce, data key, tag
	secretsHeadBytes = 1 + len(secretsKeyID{}) + wrappedKeyBytes
)

// keyring is the cluster's secrets keys, as one node holds them. Each value has
// a data key of its own, wrapped by one of the keys, whose id stands in front.
// It is never changed, only replaced.
//
//	version (1) | secrets key id (8) | wrapped data key (60) | nonce, ciphertext, tag
type keyring struct {
	current secretsKeyID
	keys    map[secretsKeyID]symmetricKey
}

// errUnknownKey is what Open meets in a value whose key this node does not hold.
var errUnknownKey = fmt.Errorf("%w: its key is not held here", ErrSealed)

func (s *keyring) seal(aad, plaintext []byte) ([]byte, error) {
	if len(plaintext) > MaxSecretBytes {
		return nil, fmt.Errorf("seal a secret: %d bytes are more than %d", len(plaintext), MaxSecretBytes)
	}
	data := newSymmetricKey()
	out := make([]byte, 0, secretsHeadBytes+len(plaintext)+28)
	out = append(out, state.SealedVersion)
	out = append(out, s.current[:]...)
	out = append(out, s.keys[s.current].seal(wrapAAD(aad), data[:])...)
	return append(out, data.seal(bodyAAD(aad), plaintext)...), nil
}

func (s *keyring) open(aad, sealed []byte) ([]byte, error) {
	if len(sealed) < secretsHeadBytes || sealed[0] != state.SealedVersion {
		return nil, fmt.Errorf("open a secret: %w", ErrSealed)
	}
	id := secretsKeyID(sealed[1:])
	key, ok := s.keys[id]
	if !ok {
		return nil, fmt.Errorf("open a secret: secrets key %s: %w", id, errUnknownKey)
	}
	head := sealed[1+len(id) : secretsHeadBytes]
	raw, err := key.open(wrapAAD(aad), head)
	if err != nil {
		return nil, fmt.Errorf("open a secret: %w", err)
	}
	data, err := keyFrom(raw)
	if err != nil {
		return nil, fmt.Errorf("open a secret: %w", ErrSealed)
	}
	plain, err := data.open(bodyAAD(aad), sealed[secretsHeadBytes:])
	if err != nil {
		return nil, fmt.Errorf("open a secret: %w", err)
	}
	return plain, nil
}

// Secrets seals what users entrust to the cluster, with the keys that the node
// holds at the time.
type Secrets struct {
	id    *Identity
	learn func() error
}

// Secrets seals users' secrets with the cluster's keys, or ErrAlone. learn is
// called when a value is sealed with a key that is not held, and may bring it
// by HoldSecretsKeys; it may be nil.
func (id *Identity) Secrets(learn func() error) (*Secrets, error) {
	if !id.Joined() {
		return nil, ErrAlone
	}
	return &Secrets{id, learn}, nil
}

func (s *Secrets) ring() *keyring { return s.id.member.Load().keys.secrets }

// Seal encrypts plaintext so that it opens only under the same aad. Sealing
// twice gives different bytes.
func (s *Secrets) Seal(aad, plaintext []byte) ([]byte, error) { return s.ring().seal(aad, plaintext) }

// Open undoes Seal. Every failure is an ErrSealed, but for one to learn a key.
func (s *Secrets) Open(aad, sealed []byte) ([]byte, error) {
	plain, err := s.ring().open(aad, sealed)
	if s.learn == nil || !errors.Is(err, errUnknownKey) {
		return plain, err
	}
	if err := s.learn(); err != nil {
		return nil, fmt.Errorf("open a secret: learn its key: %w", err)
	}
	return s.ring().open(aad, sealed)
}

func wrapAAD(aad []byte) []byte { return append([]byte("bothy/1 data key "), aad...) }
func bodyAAD(aad []byte) []byte { return append([]byte("bothy/1 secret "), aad...) }
