package identity

import (
	"encoding/binary"
	"fmt"
)

const (
	// MaxSecretBytes bounds what Secrets seals at once.
	MaxSecretBytes = 1 << 20

	secretsVersion   = 1
	wrappedKeyBytes  = 12 + KeyBytes + 16 // nonce, data key, tag
	secretsHeadBytes = 1 + len(secretsKeyID{}) + wrappedKeyBytes
)

// Secrets seals what users entrust to the cluster. Each secret has a data key
// of its own, wrapped by one of the cluster's secrets keys, whose id stands in
// front; so a new secrets key can be made without sealing everything again.
//
//	version (1) | secrets key id (8) | wrapped data key (60) | nonce, ciphertext, tag
type Secrets struct {
	current secretsKeyID
	keys    map[secretsKeyID]symmetricKey
}

// SecretName is the aad for a user's secret: whose it is, in which
// environment (empty where there is none), and what it is called. Distinct
// triples give distinct bytes.
func SecretName(owner, environment, name string) []byte {
	var b []byte
	for _, part := range []string{owner, environment, name} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}

// Seal encrypts plaintext so that it opens only under the same aad. Sealing
// twice gives different bytes.
func (s *Secrets) Seal(aad, plaintext []byte) ([]byte, error) {
	if len(plaintext) > MaxSecretBytes {
		return nil, fmt.Errorf("seal a secret: %d bytes are more than %d", len(plaintext), MaxSecretBytes)
	}
	data := newSymmetricKey()
	out := make([]byte, 0, secretsHeadBytes+len(plaintext)+28)
	out = append(out, secretsVersion)
	out = append(out, s.current[:]...)
	out = append(out, s.keys[s.current].seal(wrapAAD(aad), data[:])...)
	return append(out, data.seal(bodyAAD(aad), plaintext)...), nil
}

// Open undoes Seal. Every failure is an ErrSealed.
func (s *Secrets) Open(aad, sealed []byte) ([]byte, error) {
	if len(sealed) < secretsHeadBytes || sealed[0] != secretsVersion {
		return nil, fmt.Errorf("open a secret: %w", ErrSealed)
	}
	id := secretsKeyID(sealed[1:])
	key, ok := s.keys[id]
	if !ok {
		return nil, fmt.Errorf("open a secret: no secrets key %s: %w", id, ErrSealed)
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

func wrapAAD(aad []byte) []byte { return append([]byte("bothy/1 data key "), aad...) }
func bodyAAD(aad []byte) []byte { return append([]byte("bothy/1 secret "), aad...) }
