package state

import (
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// Bounds of registries.
const (
	// MaxRegistries bounds the registries that one account can log in to.
	MaxRegistries = 50
	// MaxRegistryPasswordBytes bounds a sealed password.
	MaxRegistryPasswordBytes = 68 << 10
)

// Registry is how an account logs in to a registry of images.
type Registry struct {
	Account   AccountID `cbor:"1,keyasint"`
	Host      string    `cbor:"2,keyasint"` // name and port, such as ghcr.io
	Username  string    `cbor:"3,keyasint"`
	Sealed    []byte    `cbor:"4,keyasint"` // the password
	CreatedAt time.Time `cbor:"5,keyasint"`
	UpdatedAt time.Time `cbor:"6,keyasint"`
}

func registryID(account AccountID, host string) string { return string(account) + "/" + host }

var registries = table[Registry]{
	name: "registry", noun: "Registry",
	id: func(r Registry) string { return registryID(r.Account, r.Host) },
	sealed: func(r *Registry) []sealedPlace {
		return []sealedPlace{{SealedAs(r.Account, SealedRegistry, r.Host), &r.Sealed}}
	},
	indexes: []index[Registry]{
		{"account", func(r Registry) ([]string, string, bool) { return []string{string(r.Account)}, r.Host, true }},
	},
}

// Registry returns how an account logs in to a registry, or NotFound.
func (v *View) Registry(account AccountID, host string) (Registry, error) {
	r, ok, err := registries.find(v.r, registryID(account, host))
	if err == nil && !ok {
		err = fault.New(fault.NotFound, "Registry not found: %s", host)
	}
	return r, err
}

// Registries lists those that an account logs in to, by host.
func (v *View) Registries(account AccountID) (list []Registry, err error) {
	err = registries.each(v.r, "account", []string{string(account)}, false, func(r Registry) bool { list = append(list, r); return true })
	return list, err
}

// SetRegistry stores how an account logs in to a registry, instead of what was
// stored before.
type SetRegistry struct {
	Registry Registry `cbor:"1,keyasint"`
}

func (cmd SetRegistry) apply(tx *Tx) error {
	r := cmd.Registry
	if _, err := accounts.get(tx.w, string(r.Account)); err != nil {
		return err
	}
	if n := len(r.Sealed); n > MaxRegistryPasswordBytes {
		return fault.New(fault.Invalid, "a sealed password has at most %d bytes, not %d", MaxRegistryPasswordBytes, n).WithField("password")
	}
	have, ok, err := registries.find(tx.w, registryID(r.Account, r.Host))
	if err != nil {
		return err
	}
	r.CreatedAt, r.UpdatedAt = tx.now, tx.now
	if ok {
		r.CreatedAt = have.CreatedAt
		return registries.put(tx.w, r)
	}
	n, err := registries.count(tx.w, "account", string(r.Account))
	if err != nil {
		return err
	}
	if n >= MaxRegistries {
		return fault.New(fault.Conflict, "the account has credentials of %d registries, which is the limit; delete some", n)
	}
	return registries.create(tx.w, r)
}

// DeleteRegistry forgets how an account logs in to a registry; NotFound if it
// does not.
type DeleteRegistry struct {
	Account AccountID `cbor:"1,keyasint"`
	Host    string    `cbor:"2,keyasint"`
}

func (cmd DeleteRegistry) apply(tx *Tx) error {
	if _, err := tx.Registry(cmd.Account, cmd.Host); err != nil {
		return err
	}
	return registries.remove(tx.w, registryID(cmd.Account, cmd.Host))
}
