package state

import (
	"slices"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// Codes of secrets keys.
const (
	// CodeRotating marks the Conflict of a rotation that is asked for while
	// another one goes on.
	CodeRotating = "ROTATION_IN_PROGRESS"
	// CodeOldSecretsKey marks the Unavailable of a value that was sealed with a
	// key that is going out of use.
	CodeOldSecretsKey = "OLD_SECRETS_KEY"
)

const (
	// MaxReseal and MaxResealBytes bound one Reseal of more than one value.
	MaxReseal      = 64
	MaxResealBytes = 512 << 10
)

// RotationPhase is how far the newest secrets key has come.
//
//	resealing ──▶ closing ──▶ done
type RotationPhase string

const (
	// Resealing: the new key seals, and what older ones sealed is sealed anew.
	Resealing RotationPhase = "resealing"
	// Closing: nothing new is taken that an older key sealed; what came while
	// it still was is sealed anew.
	Closing RotationPhase = "closing"
	// Rotated: the older keys are forgotten.
	Rotated RotationPhase = "done"
)

// SecretsKey is a key that seals values: sealed itself, under the cluster key,
// which is in no record.
type SecretsKey struct {
	ID     string `cbor:"1,keyasint"` // 16 hexadecimal digits
	Sealed []byte `cbor:"2,keyasint"`
}

// SecretsKeys is the record of the keys that seal what users entrust to the
// cluster. There is none before the first rotation.
type SecretsKeys struct {
	Current   string        `cbor:"1,keyasint"` // id of the key that seals
	Keys      []SecretsKey  `cbor:"2,keyasint"` // that something may be sealed with: at most two
	Phase     RotationPhase `cbor:"3,keyasint"`
	StartedAt time.Time     `cbor:"4,keyasint"`
	ClosedAt  time.Time     `cbor:"5,keyasint"` // when Closing began; zero before
	EndedAt   time.Time     `cbor:"6,keyasint"` // zero before
	Resealed  uint64        `cbor:"7,keyasint"` // values, of this rotation
	// Unreadable is how many values nothing opens, as of the last look at all of
	// them, and Unread names the record of one. While there are any, the
	// rotation does not end.
	Unreadable int    `cbor:"8,keyasint"`
	Unread     string `cbor:"9,keyasint"`
}

var keySecretsKeys = key("secretskeys")

func readSecretsKeys(r Reader) (k SecretsKeys, ok bool, err error) {
	b, err := r.Get(keySecretsKeys)
	if err != nil || b == nil {
		return k, false, err
	}
	return k, true, Decode(b, &k)
}

// SecretsKeys returns the record of the secrets keys, or false before the first
// rotation.
func (v *View) SecretsKeys() (SecretsKeys, bool, error) { return readSecretsKeys(v.r) }

func (tx *Tx) putSecretsKeys(k SecretsKeys) error {
	b, err := Encode(k)
	if err != nil {
		return err
	}
	tx.changed(Change{Noun: ChangedSecretsKeys})
	return tx.w.Set(keySecretsKeys, b)
}

// rotation returns the record if its newest key is the one named; a rotation
// that is another's is Moved.
func (tx *Tx) rotation(current string) (SecretsKeys, error) {
	k, ok, err := tx.SecretsKeys()
	if err == nil && (!ok || k.Current != current) {
		err = fault.New(fault.Moved, "the secrets key is no longer %s", current)
	}
	return k, err
}

// RotateSecrets brings a new secrets key into use after the one that seals so
// far. It replies with the record.
type RotateSecrets struct {
	Old SecretsKey `cbor:"1,keyasint"`
	New SecretsKey `cbor:"2,keyasint"`
}

func (cmd RotateSecrets) apply(tx *Tx) error {
	have, ok, err := tx.SecretsKeys()
	if err != nil {
		return err
	}
	switch {
	case ok && have.Phase != Rotated:
		return fault.New(fault.Conflict, "the secrets key is being replaced since %s, %d values so far; it can be replaced again once that is done",
			have.StartedAt.Format(time.RFC3339), have.Resealed).WithCode(CodeRotating)
	case ok && have.Current != cmd.Old.ID:
		return fault.New(fault.Unavailable, "this node has not taken up the present secrets key yet; try again").WithCode(CodeOldSecretsKey)
	case cmd.Old.ID == "" || cmd.New.ID == "" || cmd.Old.ID == cmd.New.ID:
		return fault.New(fault.Invalid, "a rotation is from one secrets key to another, not from %q to %q", cmd.Old.ID, cmd.New.ID)
	}
	k := SecretsKeys{Current: cmd.New.ID, Keys: []SecretsKey{cmd.Old, cmd.New}, Phase: Resealing, StartedAt: tx.now}
	tx.Reply(k)
	return tx.putSecretsKeys(k)
}

// Reseal puts values sealed with the current key in the place of those that an
// older one sealed. One that is no longer there is passed over. The leader
// sends it.
type Reseal struct {
	Current string     `cbor:"1,keyasint"`
	Values  []Resealed `cbor:"2,keyasint"`
}

// Resealed is one value, sealed anew.
type Resealed struct {
	Table string `cbor:"1,keyasint"`
	ID    string `cbor:"2,keyasint"` // of its record
	Was   []byte `cbor:"3,keyasint"` // SHA-256 of the value that it takes the place of
	Is    []byte `cbor:"4,keyasint"`
}

func (cmd Reseal) apply(tx *Tx) error {
	k, err := tx.rotation(cmd.Current)
	if err != nil {
		return err
	}
	if len(cmd.Values) > MaxReseal {
		return fault.New(fault.TooLarge, "%d values are more than the %d that are sealed anew at once", len(cmd.Values), MaxReseal)
	}
	tables := map[string]sealedTable{}
	for _, t := range sealedTables {
		tables[t.called()] = t
	}
	for _, v := range cmd.Values {
		t := tables[v.Table]
		if t == nil || SecretsKeyOf(v.Is) != cmd.Current {
			return fault.New(fault.Invalid, "a value of table %q sealed with key %q is none to take", v.Table, SecretsKeyOf(v.Is))
		}
		done, err := t.reseal(tx.w, v.ID, v.Was, v.Is)
		if err != nil {
			return err
		}
		if done {
			k.Resealed++
		}
	}
	return tx.putSecretsKeys(k)
}

// MoveRotation records that all sealed values were looked at in a phase, and
// goes on to the next one when none was left to seal anew. The leader sends it.
type MoveRotation struct {
	Current    string        `cbor:"1,keyasint"`
	Phase      RotationPhase `cbor:"2,keyasint"` // that the look was in
	Unreadable int           `cbor:"3,keyasint"`
	Unread     string        `cbor:"4,keyasint"`
}

func (cmd MoveRotation) apply(tx *Tx) error {
	k, err := tx.rotation(cmd.Current)
	if err != nil || k.Phase != cmd.Phase {
		return err
	}
	k.Unreadable, k.Unread = cmd.Unreadable, cmd.Unread
	switch {
	case cmd.Unreadable > 0:
	case k.Phase == Resealing:
		k.Phase, k.ClosedAt = Closing, tx.now
	case k.Phase == Closing:
		k.Phase, k.EndedAt = Rotated, tx.now
		k.Keys = slices.DeleteFunc(k.Keys, func(one SecretsKey) bool { return one.ID != k.Current })
	}
	return tx.putSecretsKeys(k)
}
