package identity

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func newSecrets(t testing.TB) *keyring {
	ca, err := newAuthority(testTime)
	must(t, err)
	return newOpenKeys(ca.key).secrets
}

func TestSecretsOpenOnlyAsSealed(t *testing.T) {
	s := newSecrets(t)
	rapid.Check(t, func(t *rapid.T) {
		aad := rapid.SliceOf(rapid.Byte()).Draw(t, "aad")
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		sealed, err := s.seal(aad, plain)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.open(aad, sealed)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("got %x, %v", got, err)
		}
		i := rapid.IntRange(0, len(sealed)-1).Draw(t, "changed byte")
		sealed[i] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := s.open(aad, sealed); !errors.Is(err, ErrSealed) {
			t.Fatalf("changed bytes opened: %v", err)
		}
		sealed[i] ^= 0xff
		if _, err := s.open(append(aad, 0), sealed); !errors.Is(err, ErrSealed) {
			t.Fatalf("opened under another name: %v", err)
		}
	})
}

func TestSecretsSurviveANewKey(t *testing.T) {
	s := newSecrets(t)
	sealed, err := s.seal(nil, []byte("old"))
	must(t, err)
	var id secretsKeyID
	id[0] = 1
	s.keys[id], s.current = newSymmetricKey(), id
	if got, err := s.open(nil, sealed); err != nil || string(got) != "old" {
		t.Fatalf("sealed before the new key: %v", err)
	}
	delete(s.keys, secretsKeyID(sealed[1:]))
	if _, err := s.open(nil, sealed); !errors.Is(err, ErrSealed) {
		t.Fatalf("opened without its key: %v", err)
	}
	if _, err := s.seal(nil, make([]byte, MaxSecretBytes+1)); err == nil {
		t.Fatal("sealed more than the bound")
	}
}

func TestKeysOpenOnlyAsWhatTheyAre(t *testing.T) {
	ca, err := newAuthority(testTime)
	must(t, err)
	under := newSymmetricKey()
	sealed := newOpenKeys(ca.key).seal(under)
	if _, err := sealed.open(under, ca.cert); err != nil {
		t.Fatal(err)
	}
	swapped := sealed
	swapped.Gossip = sealed.Secrets[sealed.Current]
	if _, err := swapped.open(under, ca.cert); !errors.Is(err, ErrSealed) {
		t.Fatalf("a secrets key opened as the gossip key: %v", err)
	}
	stranger, err := newAuthority(testTime)
	must(t, err)
	if _, err := sealed.open(under, stranger.cert); err == nil {
		t.Fatal("the key opened beside another authority's certificate")
	}
}
