package identity

import (
	"fmt"
	"maps"
	"slices"

	"github.com/bothy-computer/bothy/cluster/state"
)

// Rotation makes a new secrets key, and the command that brings it into use. In
// the command both keys are sealed under the cluster key, which every member
// has and no record holds. Before it is applied nothing is sealed with it here.
func (id *Identity) Rotation() (state.RotateSecrets, error) {
	m := id.member.Load()
	if m == nil {
		return state.RotateSecrets{}, ErrAlone
	}
	current, fresh := m.sealed.Current, newSecretsKeyID().String()
	key := newSymmetricKey()
	return state.RotateSecrets{
		Old: state.SecretsKey{ID: current, Sealed: m.sealed.Secrets[current]},
		New: state.SecretsKey{ID: fresh, Sealed: m.clusterKey.seal([]byte(sealedAsSecrets+fresh), key[:])},
	}, nil
}

// HoldSecretsKeys has the node hold the keys of the record, and no others: it
// seals with the current one from then on. After a failure to write them it
// holds them all the same, and the next call writes them.
func (id *Identity) HoldSecretsKeys(k state.SecretsKeys) error {
	id.writing.Lock()
	defer id.writing.Unlock()
	old := id.member.Load()
	if old == nil {
		return ErrAlone
	}
	sealed := old.sealed
	sealed.Current, sealed.Secrets = k.Current, make(map[string][]byte, len(k.Keys))
	for _, one := range k.Keys {
		sealed.Secrets[one.ID] = one.Sealed
	}
	if sealed.Current == old.sealed.Current && maps.EqualFunc(sealed.Secrets, old.sealed.Secrets, slices.Equal[[]byte]) {
		return nil
	}
	ring, err := sealed.openSecrets(old.clusterKey)
	if err != nil {
		return fmt.Errorf("take up the secrets keys: %w", err)
	}
	m, keys := *old, *old.keys
	keys.secrets = ring
	m.keys = &keys
	held := m
	id.member.Store(&held)
	m.sealed = sealed
	if err := id.keep(&m); err != nil {
		return fmt.Errorf("keep the secrets keys: %w", err)
	}
	return nil
}
