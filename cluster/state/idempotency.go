package state

import (
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// IdempotencyLifetime is how long a request's key finds what it made.
const IdempotencyLifetime = 24 * time.Hour

// Idempotency rides in a command that makes something for a request with an
// Idempotency-Key. Hash is over the request's method, path and body.
type Idempotency struct {
	Key  string `cbor:"1,keyasint"`
	Hash string `cbor:"2,keyasint"`
}

// Answered is an idempotency key's record: the request it was used for and
// what that made.
type Answered struct {
	Account  AccountID `cbor:"1,keyasint"`
	Key      string    `cbor:"2,keyasint"`
	Hash     string    `cbor:"3,keyasint"`
	Resource Resource  `cbor:"4,keyasint"`
	At       time.Time `cbor:"5,keyasint"`
}

var answered = table[Answered]{
	name: "idem", noun: "Idempotency-Key",
	id: func(a Answered) string { return string(a.Account) + "/" + a.Key },
	indexes: []index[Answered]{
		{"age", func(a Answered) ([]string, string, bool) { return nil, stampText(a.At), true }},
	},
}

// Answered returns what an idempotency key made within its lifetime, counted to
// the newest entry, or false. It is a Conflict when the key was used for
// another request.
func (v *View) Answered(account AccountID, i Idempotency) (Answered, bool, error) {
	stamp, err := LastStamp(v.r)
	if err != nil {
		return Answered{}, false, err
	}
	return v.answeredAt(account, i, time.Unix(0, stamp))
}

func (v *View) answeredAt(account AccountID, i Idempotency, now time.Time) (Answered, bool, error) {
	a, ok, err := answered.find(v.r, string(account)+"/"+i.Key)
	if err != nil || !ok || now.Sub(a.At) >= IdempotencyLifetime {
		return Answered{}, false, err
	}
	if a.Hash != i.Hash {
		err = fault.New(fault.Conflict, "Idempotency-Key %q was used for another request", i.Key).
			WithCode("IDEMPOTENCY_KEY_REUSED").WithField("Idempotency-Key")
	}
	return a, ok, err
}

// Made is the reply of a command that makes something: what it made, or what
// its idempotency key had made before.
type Made struct {
	Resource Resource `cbor:"1,keyasint"`
	Replayed bool     `cbor:"2,keyasint"`
}

// once reports whether the request was answered before; if not, it remembers
// that this command answers it. Either way the reply is set.
func (tx *Tx) once(account AccountID, i *Idempotency, makes Resource) (done bool, err error) {
	if i == nil {
		tx.Reply(Made{Resource: makes})
		return false, nil
	}
	before, found, err := tx.answeredAt(account, *i, tx.now)
	if err != nil {
		return false, err
	}
	if found {
		tx.Reply(Made{Resource: before.Resource, Replayed: true})
		return true, nil
	}
	tx.Reply(Made{Resource: makes})
	return false, answered.put(tx.w, Answered{Account: account, Key: i.Key, Hash: i.Hash, Resource: makes, At: tx.now})
}
