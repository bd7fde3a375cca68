package identity

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func newSecrets(t testing.TB) *Secrets {
	ca, err := newAuthority(testTime)
	must(t, err)
	return newOpenKeys(ca.key).secrets
}

func TestSecretsOpenOnlyAsSealed(t *testing.T) {
	s := newSecrets(t)
	rapid.Check(t, func(t *rapid.T) {
		aad := rapid.SliceOf(rapid.Byte()).Draw(t, "aad")
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		sealed, err := s.Seal(aad, plain)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Open(aad, sealed)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("got %x, %v", got, err)
		}
		i := rapid.IntRange(0, len(sealed)-1).Draw(t, "changed byte")
		sealed[i] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := s.Open(aad, sealed); !errors.Is(err, ErrSealed) {
			t.Fatalf("changed bytes opened: %v", err)
		}
		sealed[i] ^= 0xff
		if _, err := s.Open(append(aad, 0), sealed); !errors.Is(err, ErrSealed) {
			t.Fatalf("opened under another name: %v", err)
		}
	})
}

func TestSecretsSurviveANewKey(t *testing.T) {
	s := newSecrets(t)
	sealed, err := s.Seal(nil, []byte("old"))
	must(t, err)
	var id secretsKeyID
	id[0] = 1
	s.keys[id], s.current = newSymmetricKey(), id
	if got, err := s.Open(nil, sealed); err != nil || string(got) != "old" {
		t.Fatalf("sealed before the new key: %v", err)
	}
	delete(s.keys, secretsKeyID(sealed[1:]))
	if _, err := s.Open(nil, sealed); !errors.Is(err, ErrSealed) {
		t.Fatalf("opened without its key: %v", err)
	}
	if _, err := s.Seal(nil, make([]byte, MaxSecretBytes+1)); err == nil {
		t.Fatal("sealed more than the bound")
	}
}

func TestSecretNamesAreDistinct(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(n string) [3]string {
			return [3]string{rapid.String().Draw(t, n+"1"), rapid.String().Draw(t, n+"2"), rapid.String().Draw(t, n+"3")}
		}
		a, b := draw("a"), draw("b")
		same := bytes.Equal(SecretName(a[0], a[1], a[2]), SecretName(b[0], b[1], b[2]))
		if same != (a == b) {
			t.Fatalf("%q and %q: same name %v", a, b, same)
		}
	})
	if bytes.Equal(SecretName("a", "bc", ""), SecretName("ab", "c", "")) {
		t.Fatal("names run into each other")
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
