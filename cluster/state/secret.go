package state

import "github.com/bothy-computer/bothy/cluster/fault"

// MaxSecretBytes bounds a sealed secret of the cluster.
const MaxSecretBytes = 16 << 10

// Secret is something that all nodes share and nobody outside may know, such
// as the key that signs SSH certificates, or the certificate that clients are
// shown. It is sealed by who proposed it.
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

// MaxSecretName bounds the name of a secret, in bytes.
const MaxSecretName = 512

func (s Secret) check() error {
	if n := len(s.Sealed); n == 0 || n > MaxSecretBytes {
		return fault.New(fault.Invalid, "a sealed secret has 1 to %d bytes, not %d", MaxSecretBytes, n)
	}
	if n := len(s.Name); n == 0 || n > MaxSecretName {
		return fault.New(fault.Invalid, "a secret's name has 1 to %d bytes, not %d", MaxSecretName, n)
	}
	return nil
}

// SetSecret makes a secret that does not exist yet. The first one proposed
// stays; its sealed bytes are the reply to all.
type SetSecret struct {
	Secret Secret `cbor:"1,keyasint"`
}

func (cmd SetSecret) apply(tx *Tx) error {
	if err := cmd.Secret.check(); err != nil {
		return err
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

// ReplaceSecret makes a secret, or puts another in its place.
type ReplaceSecret struct {
	Secret Secret `cbor:"1,keyasint"`
}

func (cmd ReplaceSecret) apply(tx *Tx) error {
	if err := cmd.Secret.check(); err != nil {
		return err
	}
	_, ok, err := secrets.find(tx.w, cmd.Secret.Name)
	if err != nil {
		return err
	}
	if ok {
		return secrets.put(tx.w, cmd.Secret)
	}
	return secrets.create(tx.w, cmd.Secret)
}

// DropSecret forgets a secret. That it is gone is success.
type DropSecret struct {
	Name string `cbor:"1,keyasint"`
}

func (cmd DropSecret) apply(tx *Tx) error {
	_, ok, err := secrets.find(tx.w, cmd.Name)
	if err != nil || !ok {
		return err
	}
	return secrets.remove(tx.w, cmd.Name)
}
