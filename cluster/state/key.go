package state

import (
	"slices"
	"time"
)

// Key lets a caller in. The key's text is shown once; only its hash is kept.
type Key struct {
	ID        KeyID     `cbor:"1,keyasint"`
	Hash      string    `cbor:"2,keyasint"` // SHA-256 of the text, hexadecimal
	Prefix    string    `cbor:"3,keyasint"` // the first characters, to recognise it by
	Account   AccountID `cbor:"4,keyasint"`
	User      UserID    `cbor:"5,keyasint"`
	Name      string    `cbor:"6,keyasint"`
	Scopes    []string  `cbor:"7,keyasint"`
	NoLimit   bool      `cbor:"8,keyasint"`  // exempt from request limits
	Admin     bool      `cbor:"9,keyasint"`  // may use the admin routes
	ExpiresAt time.Time `cbor:"10,keyasint"` // zero is never
	RevokedAt time.Time `cbor:"11,keyasint"`
	CreatedAt time.Time `cbor:"12,keyasint"`
}

// guarded are the scopes that "*" does not hold: with them one account can be
// made to pay for another.
var guarded = []string{"billing:write", "computers:transfer"}

// Allows reports whether the key has a scope such as threads:write, "*" having
// all but the guarded ones, which only admin keys have unless given.
func (k Key) Allows(scope string) bool {
	if k.Admin || slices.Contains(k.Scopes, scope) {
		return true
	}
	return !slices.Contains(guarded, scope) && slices.Contains(k.Scopes, "*")
}

// Valid reports whether the key can be used at a time.
func (k Key) Valid(now time.Time) bool {
	return k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}

var keys = table[Key]{
	name: "key", noun: "Key",
	id: func(k Key) string { return string(k.ID) },
	indexes: []index[Key]{
		{"hash", func(k Key) ([]string, string, bool) { return []string{k.Hash}, "", true }},
		{"account", func(k Key) ([]string, string, bool) { return []string{string(k.Account)}, stampText(k.CreatedAt), true }},
	},
}

// KeyByHash returns the key whose text has this hash.
func (v *View) KeyByHash(hash string) (k Key, ok bool, err error) {
	err = keys.each(v.r, "hash", []string{hash}, false, func(found Key) bool { k, ok = found, true; return false })
	return k, ok, err
}

// Key returns a key of an account.
func (v *View) Key(account AccountID, id KeyID) (Key, error) {
	k, err := keys.get(v.r, string(id))
	return owned(k, err, k.Account == account, keys.noun, string(id))
}

// Keys lists an account's keys, newest first.
func (v *View) Keys(account AccountID, p Page) (List[Key], error) {
	return keys.page(v.r, "account", []string{string(account)}, p, nil)
}

// CreateKey adds a key for a user of an account.
type CreateKey struct {
	Key Key `cbor:"1,keyasint"`
}

func (cmd CreateKey) apply(tx *Tx) error {
	if _, err := tx.User(cmd.Key.Account, cmd.Key.User); err != nil {
		return err
	}
	cmd.Key.CreatedAt = tx.now
	return keys.create(tx.w, cmd.Key)
}

// RevokeKey ends a key at once. Revoking twice is success.
type RevokeKey struct {
	Account AccountID `cbor:"1,keyasint"`
	ID      KeyID     `cbor:"2,keyasint"`
}

func (cmd RevokeKey) apply(tx *Tx) error {
	k, err := tx.Key(cmd.Account, cmd.ID)
	if err != nil {
		return err
	}
	if !k.RevokedAt.IsZero() {
		return nil
	}
	k.RevokedAt = tx.now
	return keys.put(tx.w, k)
}
