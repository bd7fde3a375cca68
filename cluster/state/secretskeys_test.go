package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/bothy-computer/bothy/cluster/fault"
)

const (
	oldKey = "00000000000000aa"
	newKey = "00000000000000bb"
	third  = "00000000000000cc"
)

// sealedWith is a value that says it is sealed with a key.
func sealedWith(key, text string) []byte {
	id, _ := hex.DecodeString(key)
	return append(append([]byte{SealedVersion}, id...), text...)
}

func (f *fixture) rotate(from, to string) {
	f.tb.Helper()
	f.ok(n1, RotateSecrets{Old: SecretsKey{from, []byte("x")}, New: SecretsKey{to, []byte("y")}})
}

func (f *fixture) secretsKeys() SecretsKeys {
	f.tb.Helper()
	return got(f, func(v *View) (SecretsKeys, error) { k, _, err := v.SecretsKeys(); return k, err })
}

// entrusted writes a secret into the environment.
func (f *fixture) entrusted(value []byte) Command {
	e := f.environment()
	e.Secrets = []Sealed{{"TOKEN", value}}
	return UpdateEnvironment{Environment: e, Seen: e.Version}
}

// sealedValues reads all, a few records at a time.
func (f *fixture) sealedValues() (all []SealedValue) {
	f.tb.Helper()
	var at SealedCursor
	for range 1000 {
		var err error
		if at, err = f.view().SealedValues(at, 2, func(v SealedValue) { all = append(all, v) }); err != nil {
			f.tb.Fatalf("%v", err)
		}
		if at == (SealedCursor{}) {
			return all
		}
	}
	f.tb.Fatalf("there is no end")
	return nil
}

// anew seals everything that is not sealed with the current key.
func (f *fixture) anew() (cmd Reseal) {
	cmd.Current = f.secretsKeys().Current
	for _, v := range f.sealedValues() {
		if SecretsKeyOf(v.Sealed) != cmd.Current {
			was := sha256.Sum256(v.Sealed)
			cmd.Values = append(cmd.Values, Resealed{v.Table, v.ID, was[:], sealedWith(cmd.Current, string(v.Sealed[9:]))})
		}
	}
	return cmd
}

func TestASecretsKeyIsReplaced(t *testing.T) {
	f := newFixture(t)
	f.ok(n1, f.entrusted(sealedWith(oldKey, "one")))
	for i := range 5 {
		f.ok(n1, SetSecret{Secret{fmt.Sprint("s", i), sealedWith(oldKey, fmt.Sprint(i))}})
	}
	f.rotate(oldKey, newKey)
	f.refused(n1, RotateSecrets{Old: SecretsKey{ID: newKey}, New: SecretsKey{ID: third}}, fault.Conflict, CodeRotating)
	f.ok(n1, SetSecret{Secret{"late", sealedWith(oldKey, "late")}}) // from a node that does not know yet
	version := f.environment().Version
	cmd := f.anew()
	if len(cmd.Values) != 7 {
		t.Fatalf("%d values are to be sealed anew: %+v", len(cmd.Values), cmd)
	}
	f.do(cmd)
	f.do(cmd) // by a leader that was not told
	k := f.secretsKeys()
	if k.Resealed != 7 || k.Phase != Resealing || len(k.Keys) != 2 || k.Current != newKey || len(f.anew().Values) != 0 {
		t.Fatalf("%+v; left %+v", k, f.anew())
	}
	if e := f.environment(); e.Version != version || !bytes.Equal(e.Secrets[0].Value, sealedWith(newKey, "one")) {
		t.Fatalf("%+v", e)
	}
	f.do(MoveRotation{Current: newKey, Phase: Resealing})
	f.do(MoveRotation{Current: newKey, Phase: Resealing}) // again: not a step further
	if k := f.secretsKeys(); k.Phase != Closing {
		t.Fatalf("%+v", k)
	}
	f.refused(n1, f.entrusted(sealedWith(oldKey, "too late")), fault.Unavailable, CodeOldSecretsKey)
	f.ok(n1, f.entrusted(sealedWith(newKey, "two")))
	f.do(MoveRotation{Current: newKey, Phase: Closing})
	if k := f.secretsKeys(); k.Phase != Rotated || len(k.Keys) != 1 || k.Keys[0].ID != newKey || k.EndedAt.IsZero() {
		t.Fatalf("%+v", k)
	}
	f.refused(n1, f.entrusted(sealedWith(oldKey, "too late")), fault.Unavailable, CodeOldSecretsKey)
	f.refused(n1, RotateSecrets{Old: SecretsKey{ID: oldKey}, New: SecretsKey{ID: third}}, fault.Unavailable, CodeOldSecretsKey)
	f.rotate(newKey, third)
	if k := f.secretsKeys(); k.Current != third || len(k.Keys) != 2 || k.Resealed != 0 {
		t.Fatalf("%+v", k)
	}
	f.by("", Reseal{Current: newKey})
	f.by("", MoveRotation{Current: newKey, Phase: Resealing})
	if k := f.secretsKeys(); k.Phase != Resealing || k.Current != third {
		t.Fatalf("moved by a leader of the rotation before: %+v", k)
	}
}

func TestAChangedValueIsNotOverwritten(t *testing.T) {
	f := newFixture(t)
	f.ok(n1, f.entrusted(sealedWith(oldKey, "one")))
	f.rotate(oldKey, newKey)
	cmd := f.anew()
	f.ok(n1, f.entrusted(sealedWith(newKey, "two")))
	f.do(cmd)
	if e := f.environment(); !bytes.Equal(e.Secrets[0].Value, sealedWith(newKey, "two")) || f.secretsKeys().Resealed != 0 {
		t.Fatalf("%q", e.Secrets[0].Value)
	}
}

// A value that nothing opens keeps the older key, and its record can still be
// changed in other ways.
func TestAnUnreadableValueKeepsItsKey(t *testing.T) {
	f := newFixture(t)
	f.ok(n1, f.entrusted([]byte("damaged")))
	f.rotate(oldKey, newKey)
	f.do(MoveRotation{Current: newKey, Phase: Resealing})
	f.do(MoveRotation{Current: newKey, Phase: Closing, Unreadable: 1, Unread: "environment env_a"})
	if k := f.secretsKeys(); k.Phase != Closing || k.Unreadable != 1 || len(k.Keys) != 2 {
		t.Fatalf("%+v", k)
	}
	e := f.environment()
	e.Name = "renamed"
	f.ok(n1, UpdateEnvironment{Environment: e, Seen: e.Version})
	f.ok(n1, f.entrusted(sealedWith(newKey, "mended")))
	f.do(MoveRotation{Current: newKey, Phase: Closing})
	if k := f.secretsKeys(); k.Phase != Rotated || k.Unreadable != 0 {
		t.Fatalf("%+v", k)
	}
}
