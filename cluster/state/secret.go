package state

import "github.com/bothy-computer/bothy/cluster/fault"

// MaxSecretBytes bounds a sealed secret of the cluster.
const MaxSecretBytes = 16 << 10

// Secret is something that all nodes share and nobody outside may know, such
// as the key that signs SSH certificates. It is sealed by who proposed it.
type Secret struct {
	Name   string `cbor:"1,keyasint"`
	Sealed []byte `cbor:"2,keyasint"`
}

var secrets = table[Secret]{
	name: "secret", noun: "Secret",
	id: func(s Secret) string { return s.Name },
	sealed: func(s *Secret) []sealedPlace {
		return []sealedPlace{{SecretSealedAs(s.Name), &s.Sealed}}
	},
}

// SecretSealedAs names the sealed value of a secret of the cluster.
func SecretSealedAs(name string) []byte { return SealedAs(clusterOwner, SealedSecret, name) }

// Secret returns a secret of the cluster, or false when nobody made it yet.
func (v *View) Secret(name string) (Secret, bool, error) { return secrets.find(v.r, name) }

// SetSecret makes a secret that does not exist yet. The first one proposed
// stays; its sealed bytes are the reply to all.
type SetSecret struct {
	Secret Secret `cbor:"1,keyasint"`
}

func (cmd SetSecret) apply(tx *Tx) error {
	if n := len(cmd.Secret.Sealed); n == 0 || n > MaxSecretBytes {
		return fault.New(fault.Invalid, "a sealed secret has 1 to %d bytes, not %d", MaxSecretBytes, n)
	}
	have, ok, err := secrets.find(tx.w, cmd.Secret.Name)
	if err != nil {
		return err
	}
	if ok {
		tx.Reply(have.Sealed)
		return nil
	}
	tx.Reply(cmd.Secret.Sealed)
	return secrets.create(tx.w, cmd.Secret)
}
