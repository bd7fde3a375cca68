package identity

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func open(t *testing.T, dir string) *Identity {
	t.Helper()
	id, err := Open(Options{Dir: dir, Name: "n1"})
	must(t, err)
	t.Cleanup(func() { id.Close() })
	return id
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestIdentityIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "n7")
	a, err := Open(Options{Dir: dir})
	must(t, err)
	if a.Name() != "n7" || a.Joined() {
		t.Fatalf("a new node is %q, joined %v", a.Name(), a.Joined())
	}
	must(t, a.Bootstrap())
	must(t, a.Close())

	b, err := Open(Options{Dir: dir, Name: "other"})
	must(t, err)
	defer b.Close()
	if b.Node() != a.Node() || b.KeyHash() != a.KeyHash() || b.Name() != "other" || !b.Joined() {
		t.Fatalf("opened again it is %s %q, was %s", b.Node(), b.Name(), a.Node())
	}
	had, _ := a.GossipKey()
	have, err := b.GossipKey()
	if err != nil || !bytes.Equal(had, have) || len(have) != KeyBytes {
		t.Fatal("the gossip key was not kept")
	}
	if err := b.Bootstrap(); !errors.Is(err, ErrJoined) {
		t.Fatalf("bootstrapped twice: %v", err)
	}
}

func TestTwoProcessesCannotShareADirectory(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, ErrInUse) {
		t.Fatalf("got %v", err)
	}
	must(t, a.Close())
	open(t, dir)
}

func TestNothingSecretIsReadableByOthers(t *testing.T) {
	dir := t.TempDir()
	id := open(t, dir)
	must(t, id.Bootstrap())
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		fi, err := e.Info()
		must(t, err)
		if fi.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", e.Name(), fi.Mode())
		}
	}
	record, err := os.ReadFile(filepath.Join(dir, clusterFile))
	must(t, err)
	m := id.member.Load()
	for what, key := range map[string][]byte{"authority key": m.keys.authority.Seed(), "gossip key": m.keys.gossip[:], "cluster key": m.clusterKey[:]} {
		text, err := json.Marshal(key)
		must(t, err)
		if bytes.Contains(record, key) || bytes.Contains(record, bytes.Trim(text, `"`)) {
			t.Errorf("the %s lies open in %s", what, clusterFile)
		}
	}
}

func TestOpenSaysWhatIsDamaged(t *testing.T) {
	write := func(name, text string) func(*testing.T, string) {
		return func(t *testing.T, dir string) { must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)) }
	}
	remove := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, name))) }
	}
	for name, tt := range map[string]struct {
		damage func(*testing.T, string)
		says   string
	}{
		"no node key":             {remove(nodeKeyFile), nodeKeyFile},
		"node key is nonsense":    {write(nodeKeyFile, "x"), nodeKeyFile},
		"node record is nonsense": {write(nodeFile, "{"), nodeFile},
		"no uuid":                 {write(nodeFile, `{"uuid":"../x"}`), "uuid"},
		"no cluster key":          {remove(clusterKeyFile), "copy it from another member"},
		"another cluster key":     {write(clusterKeyFile, strings.Repeat("A", 43)+"="), "open the authority's key"},
		"cluster record nonsense": {write(clusterFile, "{}"), clusterFile},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			id := open(t, dir)
			must(t, id.Bootstrap())
			must(t, id.Close())
			tt.damage(t, dir)
			id, err := Open(Options{Dir: dir})
			if err == nil {
				id.Close()
				t.Fatal("it opened")
			}
			if !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("%q does not name %q", err, tt.says)
			}
			open2, err := holdDirectory(dir)
			if err != nil {
				t.Fatalf("the failed Open kept the lock: %v", err)
			}
			open2.release()
		})
	}
	if _, err := Open(Options{Dir: t.TempDir(), Name: "a b"}); err == nil {
		t.Fatal("an illegal name was taken")
	}
}

func TestCrashBeforeTheRecordLeavesNoMember(t *testing.T) {
	dir := t.TempDir()
	id := open(t, dir)
	must(t, id.Bootstrap())
	must(t, id.Close())
	must(t, os.Remove(filepath.Join(dir, clusterFile))) // as if the last write had not happened
	again := open(t, dir)
	if again.Joined() {
		t.Fatal("half a membership counts")
	}
	must(t, again.Bootstrap())
}

func TestAdmission(t *testing.T) {
	first, second := open(t, t.TempDir()), open(t, t.TempDir())
	if _, _, err := first.NewToken([]string{"h:1"}); !errors.Is(err, ErrAlone) {
		t.Fatalf("a lone node made a token: %v", err)
	}
	must(t, first.Bootstrap())
	token, hash, err := first.NewToken([]string{"h:1"})
	must(t, err)
	if hash != token.SecretHash() {
		t.Fatal("the hash is another token's")
	}
	a, err := first.Admit(second.Bearer())
	must(t, err)
	wire, err := json.Marshal(a)
	must(t, err)
	must(t, json.Unmarshal(wire, &a))

	other := open(t, t.TempDir())
	if err := other.Accept(token, a); err == nil {
		t.Fatal("a node accepted what was given to another")
	}
	wrong := token
	wrong.CA[0] ^= 1
	if err := second.Accept(wrong, a); !errors.Is(err, ErrStranger) || second.Joined() {
		t.Fatalf("accepted from another authority: %v", err)
	}
	spoilt := a
	spoilt.ClusterKey = bytes.Repeat([]byte{1}, KeyBytes)
	if err := second.Accept(token, spoilt); !errors.Is(err, ErrSealed) {
		t.Fatalf("accepted a wrong cluster key: %v", err)
	}
	must(t, second.Accept(token, a))
	must(t, second.Accept(token, a)) // twice is success

	s1, err := first.Secrets(nil)
	must(t, err)
	s2, err := second.Secrets(nil)
	must(t, err)
	sealed, err := s1.Seal([]byte("x"), []byte("hello"))
	must(t, err)
	if got, err := s2.Open([]byte("x"), sealed); err != nil || string(got) != "hello" {
		t.Fatalf("what one node sealed the other cannot open: %v", err)
	}
	text, err := second.Issue(other.Bearer())
	must(t, err)
	cert, err := decodeCertificate(text)
	must(t, err)
	ca, err := first.Authority()
	must(t, err)
	if b, err := Verify(cert, ca, x509.ExtKeyUsageClientAuth, time.Now()); err != nil || b.Node != other.Node() {
		t.Fatalf("a certificate that the second node issued: %v", err)
	}
	if token.CA != sha256.Sum256(ca.Raw) {
		t.Fatal("the token names another authority")
	}
}

func TestAnIssuersWrongClockCutsNobodyOff(t *testing.T) {
	ahead := func() time.Time { return time.Now().Add(14 * time.Hour) } // the furthest time zone
	first, err := Open(Options{Dir: t.TempDir(), Now: ahead})
	must(t, err)
	defer first.Close()
	must(t, first.Bootstrap())
	text, err := first.Issue(open(t, t.TempDir()).Bearer())
	must(t, err)
	cert, err := decodeCertificate(text)
	must(t, err)
	ca, err := first.Authority()
	must(t, err)
	if _, err := Verify(cert, ca, x509.ExtKeyUsageServerAuth, time.Now()); err != nil {
		t.Fatal(err)
	}
}

// TestAnAuthorityMayBeYoungerThanWhatItSigns, as it says of itself: its clock was
// ahead then, or its build forgave less.
func TestAnAuthorityMayBeYoungerThanWhatItSigns(t *testing.T) {
	clock := time.Now().Add(backdate + time.Hour)
	first, err := Open(Options{Dir: t.TempDir(), Now: func() time.Time { return clock }})
	must(t, err)
	defer first.Close()
	must(t, first.Bootstrap())
	token, _, err := first.NewToken([]string{"h:1"})
	must(t, err)
	clock = time.Now()
	second := open(t, t.TempDir())
	a, err := first.Admit(second.Bearer())
	must(t, err)
	must(t, second.Accept(token, a))
}

func TestRenewal(t *testing.T) {
	clock := time.Now()
	id, err := Open(Options{Dir: t.TempDir(), Now: func() time.Time { return clock }})
	must(t, err)
	defer id.Close()
	must(t, id.Bootstrap())
	oldest, err := id.Issue(id.Bearer())
	must(t, err)
	if id.RenewDue() {
		t.Fatal("due at once")
	}
	clock = clock.Add(CertificateLifetime*2/3 + time.Minute)
	if !id.RenewDue() {
		t.Fatal("not due with less than a third left")
	}
	newer, err := id.Issue(id.Bearer())
	must(t, err)
	must(t, id.Renewed(newer))
	ends := id.ExpiresAt()
	must(t, id.Renewed(oldest)) // late, and ignored
	if id.RenewDue() || !id.ExpiresAt().Equal(ends) {
		t.Fatal("an older certificate took the newer one's place")
	}
}
