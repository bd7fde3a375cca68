package identity

import (
	"errors"
	"testing"

	"github.com/bothy-computer/bothy/cluster/state"
)

// record is what the first rotation makes of a command.
func record(cmd state.RotateSecrets) state.SecretsKeys {
	return state.SecretsKeys{Current: cmd.New.ID, Keys: []state.SecretsKey{cmd.Old, cmd.New}}
}

func TestANodeTakesUpANewSecretsKey(t *testing.T) {
	dir := t.TempDir()
	id := open(t, dir)
	must(t, id.Bootstrap())
	secrets, err := id.Secrets(nil)
	must(t, err)
	old, err := secrets.Seal(nil, []byte("old"))
	must(t, err)
	cmd, err := id.Rotation()
	must(t, err)
	if k := state.SecretsKeyOf(old); k != cmd.Old.ID {
		t.Fatalf("sealed with %s, the node's key is %s", k, cmd.Old.ID)
	}
	k := record(cmd)
	must(t, id.HoldSecretsKeys(k))
	must(t, id.HoldSecretsKeys(k))
	fresh, err := secrets.Seal(nil, []byte("new"))
	must(t, err)
	if state.SecretsKeyOf(fresh) != cmd.New.ID {
		t.Fatal("the new key does not seal")
	}
	for _, sealed := range [][]byte{old, fresh} {
		_, err := secrets.Open(nil, sealed)
		must(t, err)
	}
	k.Keys = k.Keys[1:]
	must(t, id.HoldSecretsKeys(k))
	if _, err := secrets.Open(nil, old); !errors.Is(err, ErrSealed) {
		t.Fatalf("opened with a key that is forgotten: %v", err)
	}
	must(t, id.Close())
	id = open(t, dir) // as it is on disk
	secrets, err = id.Secrets(nil)
	must(t, err)
	if got, err := secrets.Open(nil, fresh); err != nil || string(got) != "new" {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := secrets.Open(nil, old); !errors.Is(err, ErrSealed) {
		t.Fatalf("the forgotten key is still on disk: %v", err)
	}
}

func TestASecretsKeyIsLearntWhenItIsNeeded(t *testing.T) {
	id := open(t, t.TempDir())
	must(t, id.Bootstrap())
	cmd, err := id.Rotation()
	must(t, err)
	var learn func() error
	secrets, err := id.Secrets(func() error { return learn() })
	must(t, err)
	other, err := cmdRing(t, id, cmd).seal(nil, []byte("from another node"))
	must(t, err)
	learn = func() error { return errors.New("the disk is gone") }
	if _, err := secrets.Open(nil, other); err == nil || errors.Is(err, ErrSealed) {
		t.Fatalf("a failure to learn: %v", err)
	}
	learn = func() error { return nil } // the records do not know it either
	if _, err := secrets.Open(nil, other); !errors.Is(err, ErrSealed) {
		t.Fatalf("a key that nobody has: %v", err)
	}
	learn = func() error { return id.HoldSecretsKeys(record(cmd)) }
	if got, err := secrets.Open(nil, other); err != nil || string(got) != "from another node" {
		t.Fatalf("%q, %v", got, err)
	}
	if err := id.HoldSecretsKeys(state.SecretsKeys{Current: "0011223344556677", Keys: []state.SecretsKey{{ID: "0011223344556677", Sealed: cmd.New.Sealed}}}); !errors.Is(err, ErrSealed) {
		t.Fatalf("a key under another's id: %v", err)
	}
}

// cmdRing is the keys as a member holds them that has applied a rotation.
func cmdRing(t *testing.T, id *Identity, cmd state.RotateSecrets) *keyring {
	t.Helper()
	m := id.member.Load()
	s := SealedKeys{Secrets: map[string][]byte{cmd.Old.ID: cmd.Old.Sealed, cmd.New.ID: cmd.New.Sealed}, Current: cmd.New.ID}
	ring, err := s.openSecrets(m.clusterKey)
	must(t, err)
	return ring
}

func TestWhoIsAdmittedLaterHasTheNewKey(t *testing.T) {
	first := open(t, t.TempDir())
	must(t, first.Bootstrap())
	cmd, err := first.Rotation()
	must(t, err)
	must(t, first.HoldSecretsKeys(record(cmd)))
	token, _, err := first.NewToken([]string{"127.0.0.1:1"})
	must(t, err)
	joiner := open(t, t.TempDir())
	a, err := first.Admit(joiner.Bearer())
	must(t, err)
	must(t, joiner.Accept(token, a))
	secrets, err := first.Secrets(nil)
	must(t, err)
	sealed, err := secrets.Seal(nil, []byte("x"))
	must(t, err)
	theirs, err := joiner.Secrets(nil)
	must(t, err)
	if got, err := theirs.Open(nil, sealed); err != nil || string(got) != "x" {
		t.Fatalf("%q, %v", got, err)
	}
}
