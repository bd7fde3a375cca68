package identity

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
)

// KeyBytes is the size of every symmetric key here (AES-256).
const KeyBytes = 32

// ErrSealed is returned when sealed bytes do not open: another key, another
// name, or changed bytes. Which of them is not told apart.
var ErrSealed = errors.New("the sealed bytes do not open: wrong key, wrong name or damaged")

// symmetricKey is an AES-256 key.
type symmetricKey [KeyBytes]byte

func newSymmetricKey() (k symmetricKey) {
	rand.Read(k[:]) // never fails: the runtime ends the process instead
	return k
}

// keyFrom checks that b has the size of a key.
func keyFrom(b []byte) (k symmetricKey, err error) {
	if len(b) != KeyBytes {
		return k, errors.New("a key must be 32 bytes")
	}
	return symmetricKey(b), nil
}

// seal encrypts plain under k, bound to aad: nonce, then AES-256-GCM.
func (k symmetricKey) seal(aad, plain []byte) []byte {
	aead := k.aead()
	out := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	rand.Read(out)
	return aead.Seal(out, out, plain, aad)
}

// open undoes seal.
func (k symmetricKey) open(aad, sealed []byte) ([]byte, error) {
	aead := k.aead()
	if len(sealed) < aead.NonceSize() {
		return nil, ErrSealed
	}
	plain, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], aad)
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

func (k symmetricKey) aead() cipher.AEAD {
	block, err := aes.NewCipher(k[:])
	if err != nil {
		panic("identity: a 32 byte key is refused: " + err.Error()) // the size is in the type
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("identity: GCM over AES is refused: " + err.Error())
	}
	return aead
}
