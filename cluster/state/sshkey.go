package state

import (
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

const (
	// MaxSSHKeys bounds the keys of one account that are not revoked.
	MaxSSHKeys = 100
	// RevokedSSHKeyLifetime is how long the record of a revoked key is kept. A
	// key without a record is as good as revoked.
	RevokedSSHKeyLifetime = 30 * 24 * time.Hour
	// SSHKeyUseInterval is how finely LastUsedAt is kept, so that a storm of
	// connections is not one of writes.
	SSHKeyUseInterval = time.Minute
)

// CodeSSHKeyExists marks the Conflict of a key that the account has already.
const CodeSSHKeyExists = "SSH_KEY_EXISTS"

// SSHKey is a public key that a user registered: who holds its private half
// may log in to the computers of the account.
type SSHKey struct {
	ID          SSHKeyID  `cbor:"1,keyasint"`
	Account     AccountID `cbor:"2,keyasint"`
	User        UserID    `cbor:"3,keyasint"`
	Name        string    `cbor:"4,keyasint"`
	PublicKey   string    `cbor:"5,keyasint"` // type and base64, no comment
	Fingerprint string    `cbor:"6,keyasint"` // SHA256:…
	CreatedAt   time.Time `cbor:"7,keyasint"`
	LastUsedAt  time.Time `cbor:"8,keyasint"` // to SSHKeyUseInterval; zero is never
	RevokedAt   time.Time `cbor:"9,keyasint"`
}

// Valid reports whether the key still lets its holder in.
func (k SSHKey) Valid() bool { return k.ID != "" && k.RevokedAt.IsZero() }

var sshKeys = table[SSHKey]{
	name: "sshkey", noun: "SSH key",
	id: func(k SSHKey) string { return string(k.ID) },
	indexes: []index[SSHKey]{
		{"account", func(k SSHKey) ([]string, string, bool) {
			return []string{string(k.Account)}, stampText(k.CreatedAt), k.Valid()
		}},
		{"fingerprint", func(k SSHKey) ([]string, string, bool) {
			return []string{k.Fingerprint}, string(k.Account), k.Valid()
		}},
		{"revoked", func(k SSHKey) ([]string, string, bool) { return nil, stampText(k.RevokedAt), !k.Valid() }},
	},
}

// SSHKeys lists an account's keys that are not revoked, newest first.
func (v *View) SSHKeys(account AccountID) (List[SSHKey], error) {
	return sshKeys.page(v.r, "account", []string{string(account)}, Page{Limit: MaxSSHKeys}, nil)
}

// SSHKey returns a key of an account, also a revoked one.
func (v *View) SSHKey(account AccountID, id SSHKeyID) (SSHKey, error) {
	k, err := sshKeys.get(v.r, string(id))
	return owned(k, err, k.Account == account, sshKeys.noun, string(id))
}

// SSHKeysWith visits the accounts' registrations of one public key that are
// not revoked, until visit returns false.
func (v *View) SSHKeysWith(fingerprint string, visit func(SSHKey) bool) error {
	return sshKeys.each(v.r, "fingerprint", []string{fingerprint}, false, visit)
}

// SSHKeyOf returns an account's registration of a public key, or false.
func (v *View) SSHKeyOf(account AccountID, fingerprint string) (k SSHKey, ok bool, err error) {
	prefix := sshKeys.scopePrefix("fingerprint", []string{fingerprint, string(account)})
	var id string
	err = v.r.Scan(prefix, after(prefix), false, func(at, _ []byte) bool { id = lastPart(at); return false })
	if err != nil || id == "" {
		return k, false, err
	}
	k, err = sshKeys.get(v.r, id)
	return k, err == nil, err
}

// CreateSSHKey registers a public key. One that the account has already is a
// Conflict.
type CreateSSHKey struct {
	Key SSHKey `cbor:"1,keyasint"`
}

func (cmd CreateSSHKey) apply(tx *Tx) error {
	k := cmd.Key
	if _, err := accounts.get(tx.w, string(k.Account)); err != nil {
		return err
	}
	have, ok, err := tx.SSHKeyOf(k.Account, k.Fingerprint)
	if err != nil {
		return err
	}
	if ok {
		return fault.New(fault.Conflict, "the account has this key already: %s", have.ID).WithCode(CodeSSHKeyExists).WithField("public_key")
	}
	n, err := sshKeys.count(tx.w, "account", string(k.Account))
	if err != nil {
		return err
	}
	if n >= MaxSSHKeys {
		return fault.New(fault.Conflict, "the account has %d SSH keys, which is the limit; revoke one", n)
	}
	k.CreatedAt, k.LastUsedAt, k.RevokedAt = tx.now, time.Time{}, time.Time{}
	return sshKeys.create(tx.w, k)
}

// RevokeSSHKey ends a key at once, with all certificates over it. Revoking
// twice is success.
type RevokeSSHKey struct {
	Account AccountID `cbor:"1,keyasint"`
	ID      SSHKeyID  `cbor:"2,keyasint"`
}

func (cmd RevokeSSHKey) apply(tx *Tx) error {
	k, err := tx.SSHKey(cmd.Account, cmd.ID)
	if err != nil || !k.Valid() {
		return err
	}
	k.RevokedAt = tx.now
	tx.changed(Change{Noun: ChangedSSHKey, ID: string(k.ID)})
	return sshKeys.put(tx.w, k)
}

// UseSSHKey records that somebody logged in with a key, unless that was
// recorded less than SSHKeyUseInterval ago. A key that is gone is no error.
type UseSSHKey struct {
	ID SSHKeyID `cbor:"1,keyasint"`
}

func (cmd UseSSHKey) apply(tx *Tx) error {
	k, ok, err := sshKeys.find(tx.w, string(cmd.ID))
	if err != nil || !ok || !k.Valid() || tx.now.Sub(k.LastUsedAt) < SSHKeyUseInterval {
		return err
	}
	k.LastUsedAt = tx.now
	return sshKeys.put(tx.w, k)
}
