package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// SealedUse is what a sealed value is for.
type SealedUse string

const (
	SealedVariable SealedUse = "variable" // an environment variable or a secret, by its key
	SealedMCP      SealedUse = "mcp"      // what is secret in a tool server, by its name
	SealedSession  SealedUse = "session"  // an access session's token, by its id
	SealedShare    SealedUse = "share"    // a share's token, by its id
	SealedSecret   SealedUse = "secret"   // of the cluster, by its name
	SealedWebhook  SealedUse = "webhook"  // what a webhook is sent with, by its id
	SealedRegistry SealedUse = "registry" // an account's password at a registry, by its host
)

// clusterOwner stands for the account of what is the cluster's own.
const clusterOwner AccountID = "cluster"

// SealedAs names a sealed value, which opens only under its name: so it cannot
// be moved to another account or key. It does not name the environment: a run
// carries values over.
func SealedAs(account AccountID, use SealedUse, name string) []byte {
	return []byte(string(account) + "\x00" + string(use) + "\x00" + name)
}

// sealedPlace is where a record holds a sealed value, and the value's name.
type sealedPlace struct {
	as    []byte
	value *[]byte
}

// sealedTables lists every table whose records hold sealed values: a new
// secrets key reaches those, and no others.
var sealedTables = []sealedTable{&environments, &agents, &runs, &sessions, &shares, &secrets, &webhooks, &registries}

// sealedTable is a table whose records hold sealed values.
type sealedTable interface {
	called() string
	// sealedIn visits the values of up to n records whose ids come after one, and
	// returns the last of these ids: "" when there is no more.
	sealedIn(r Reader, after string, n int, visit func(SealedValue)) (last string, err error)
	// reseal puts a value in the place of the one in a record that has a SHA-256,
	// and reports whether it was there.
	reseal(w Writer, id string, was, is []byte) (bool, error)
}

func placesOfPairs(account AccountID, pairs []Sealed) (all []sealedPlace) {
	for i := range pairs {
		all = append(all, sealedPlace{SealedAs(account, SealedVariable, pairs[i].Key), &pairs[i].Value})
	}
	return all
}

func placesOfServers(account AccountID, servers []MCPServer) (all []sealedPlace) {
	for i := range servers {
		all = append(all, sealedPlace{SealedAs(account, SealedMCP, servers[i].Name), &servers[i].Sealed})
	}
	return all
}

// SealedValue is a sealed value in the records.
type SealedValue struct {
	Table, ID string // of its record
	As        []byte // the name that it opens under
	Sealed    []byte
}

// SealedCursor is a place in the records; the zero value is their beginning.
type SealedCursor struct {
	table int
	after string
}

// SealedValues visits the sealed values of up to n records from a place on, and
// returns the place after them. At the end of all it is the beginning again.
func (v *View) SealedValues(from SealedCursor, n int, visit func(SealedValue)) (SealedCursor, error) {
	last, err := sealedTables[from.table].sealedIn(v.r, from.after, n, visit)
	if err != nil || last != "" {
		return SealedCursor{from.table, last}, err
	}
	return SealedCursor{table: (from.table + 1) % len(sealedTables)}, nil
}

func (t *table[T]) called() string { return t.name }

func (t *table[T]) sealedIn(r Reader, past string, n int, visit func(SealedValue)) (last string, err error) {
	from, to := key(t.name), after(key(t.name))
	if past != "" {
		from = after(t.key(past))
	}
	var failed error
	seen := 0
	err = r.Scan(from, to, false, func(k, b []byte) bool {
		var rec T
		if failed = Decode(b, &rec); failed != nil {
			failed = fmt.Errorf("state: read a record of %s: %w", t.name, failed)
			return false
		}
		last = t.id(rec)
		for _, p := range t.sealed(&rec) {
			if len(*p.value) > 0 {
				visit(SealedValue{t.name, last, p.as, *p.value})
			}
		}
		seen++
		return seen < n
	})
	if failed != nil {
		err = failed
	}
	if seen < n {
		last = ""
	}
	return last, err
}

func (t *table[T]) reseal(w Writer, id string, was, is []byte) (bool, error) {
	rec, ok, err := t.find(w, id)
	if err != nil || !ok {
		return false, err
	}
	found := false
	for _, p := range t.sealed(&rec) {
		if sum := sha256.Sum256(*p.value); bytes.Equal(sum[:], was) {
			*p.value, found = is, true
		}
	}
	if !found {
		return false, nil
	}
	return true, t.put(w, rec)
}

// fence refuses values that are new in a record and sealed with a key that goes
// out of use: nothing would seal them again.
func (t *table[T]) fence(w Writer, was, rec *T) error {
	if t.sealed == nil {
		return nil
	}
	var old [][]byte
	if was != nil {
		for _, p := range t.sealed(was) {
			old = append(old, *p.value)
		}
	}
	for _, p := range t.sealed(rec) {
		if len(*p.value) == 0 || holds(old, *p.value) {
			continue
		}
		keys, ok, err := readSecretsKeys(w)
		if err != nil || !ok || keys.Phase == Resealing {
			return err
		}
		if SecretsKeyOf(*p.value) != keys.Current {
			return fault.New(fault.Unavailable, "a value is sealed with a secrets key that has just been replaced; try again").WithCode(CodeOldSecretsKey)
		}
	}
	return nil
}

func holds(all [][]byte, one []byte) bool {
	for _, b := range all {
		if bytes.Equal(b, one) {
			return true
		}
	}
	return false
}

// SealedVersion is the first byte of every sealed value; the id of the key that
// it is sealed with follows, SecretsKeyIDBytes long. See identity.Secrets.
const (
	SealedVersion     = 1
	SecretsKeyIDBytes = 8
)

// SecretsKeyOf is the id of the secrets key that a value is sealed with, in
// hexadecimal digits, or "" for what is no sealed value.
func SecretsKeyOf(sealed []byte) string {
	if len(sealed) < 1+SecretsKeyIDBytes || sealed[0] != SealedVersion {
		return ""
	}
	return hex.EncodeToString(sealed[1 : 1+SecretsKeyIDBytes])
}
