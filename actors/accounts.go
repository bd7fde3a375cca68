package actors

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// keyBytes of chance are in a key's text.
const keyBytes = 32

// shownKeyLetters of a key's text are kept to recognise it by.
const shownKeyLetters = 10

// dialectPrefix is what a key's text begins with; any prefix opens any door.
var dialectPrefix = map[string]string{"": "tb_", "tb": "tb_", "ak": "ak_", "rbk": "rbk_", "e2b": "e2b_"}

// Accounts are tenants, their users, keys and money.
type Accounts struct {
	cluster      Cluster
	now          func() time.Time
	startBalance state.MicroUSD
}

// NewKey asks for a key. Dialect is tb, ak, rbk or e2b and only chooses how
// the text looks; a zero Expires is never.
type NewKey struct {
	Account state.AccountID
	User    state.UserID // "" is the account's oldest owner
	Name    string
	Scopes  []string
	Dialect string
	Expires time.Time
	NoLimit bool
	Admin   bool
}

// MakeKey makes a key's text and its record, which holds only the text's hash.
func MakeKey(k NewKey) (text string, key state.Key, err error) {
	prefix, ok := dialectPrefix[k.Dialect]
	if !ok {
		return "", key, fault.New(fault.Invalid, "dialect must be tb, ak, rbk or e2b, not %q", k.Dialect).WithField("dialect")
	}
	b := make([]byte, keyBytes)
	rand.Read(b)
	text = prefix + hex.EncodeToString(b)
	key, err = KeyOf(text, k)
	return text, key, err
}

func hashKey(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// Authenticate returns the key with this text. A key made a moment ago at
// another node is found too.
func (a *Accounts) Authenticate(ctx context.Context, text string) (state.Key, error) {
	hash := hashKey(text)
	find := func(v *state.View) (*state.Key, error) {
		k, ok, err := v.KeyByHash(hash)
		if err != nil || !ok {
			return nil, err
		}
		return &k, nil
	}
	key, err := applied(a.cluster, find)
	if err == nil && key == nil {
		key, err = view(ctx, a.cluster, find)
	}
	if err != nil {
		return state.Key{}, err
	}
	if key == nil || !key.Valid(a.now()) {
		return state.Key{}, fault.New(fault.Unauthorized, "Invalid or missing API key")
	}
	return *key, nil
}

// Create makes an account with its owner. A nil balance is the configured one.
func (a *Accounts) Create(ctx context.Context, name string, balance *state.MicroUSD) (state.Account, error) {
	account := state.Account{ID: newID[state.AccountID]("acct"), Name: name, Balance: a.startBalance}
	if balance != nil {
		account.Balance = *balance
	}
	if _, err := a.cluster.Apply(ctx, state.CreateAccount{Account: account}); err != nil {
		return account, err
	}
	if _, err := a.AddUser(ctx, account.ID, "owner", "owner"); err != nil {
		return account, err
	}
	return a.get(account.ID)
}

// AddUser adds a user to an account; role is owner, admin or member.
func (a *Accounts) AddUser(ctx context.Context, account state.AccountID, name, role string) (state.User, error) {
	user := state.User{ID: newID[state.UserID]("user"), Account: account, Name: name, Role: role}
	if _, err := a.cluster.Apply(ctx, state.CreateUser{User: user}); err != nil {
		return user, err
	}
	return applied(a.cluster, func(v *state.View) (state.User, error) { return v.User(account, user.ID) })
}

// CreateKey makes a key; its text is returned this once.
func (a *Accounts) CreateKey(ctx context.Context, k NewKey) (string, state.Key, error) {
	if k.User == "" {
		owner, err := a.owner(ctx, k.Account)
		if err != nil {
			return "", state.Key{}, err
		}
		k.User = owner
	}
	text, key, err := MakeKey(k)
	if err != nil {
		return "", key, err
	}
	if _, err := a.cluster.Apply(ctx, state.CreateKey{Key: key}); err != nil {
		return "", key, err
	}
	key, err = applied(a.cluster, func(v *state.View) (state.Key, error) { return v.Key(k.Account, key.ID) })
	return text, key, err
}

// maxUsersLooked bounds the search for an account's owner.
const maxUsersLooked = 100

func (a *Accounts) owner(ctx context.Context, account state.AccountID) (state.UserID, error) {
	return view(ctx, a.cluster, func(v *state.View) (state.UserID, error) {
		if _, err := v.Account(account, a.now()); err != nil {
			return "", err
		}
		users, err := v.Users(account, state.Page{Limit: maxUsersLooked})
		if err != nil {
			return "", err
		}
		for i := len(users.Items) - 1; i >= 0; i-- {
			if users.Items[i].Role == "owner" {
				return users.Items[i].ID, nil
			}
		}
		return "", fault.New(fault.Conflict, "account %s has no owner; name a user", account).WithField("user")
	})
}

// RevokeKey ends a key at once.
func (a *Accounts) RevokeKey(ctx context.Context, account state.AccountID, id state.KeyID) error {
	_, err := a.cluster.Apply(ctx, state.RevokeKey{Account: account, ID: id})
	return err
}

// SetLimits changes an account's daily and monthly limits.
func (a *Accounts) SetLimits(ctx context.Context, cmd state.SetLimits) (state.Account, error) {
	if _, err := a.cluster.Apply(ctx, cmd); err != nil {
		return state.Account{}, err
	}
	return a.get(cmd.Account)
}

// AddCredit raises an account's balance and returns it before and after.
func (a *Accounts) AddCredit(ctx context.Context, account state.AccountID, amount state.MicroUSD, description string, once *state.Idempotency) (before, after state.Account, err error) {
	cmd := state.AddCredit{Account: account, Charge: newID[state.ChargeID]("rec"), Amount: amount, Description: description, Idempotency: once}
	if _, err := a.cluster.Apply(ctx, cmd); err != nil {
		return before, after, err
	}
	after, err = a.get(account)
	before = after
	before.Balance -= amount
	return before, after, err
}

func (a *Accounts) get(id state.AccountID) (state.Account, error) {
	return applied(a.cluster, func(v *state.View) (state.Account, error) { return v.Account(id, a.now()) })
}

// isChanged reports whether a compare-and-swap lost and is to be tried again.
func isChanged(err error) bool { return hasCode(err, state.CodeChanged) }

func hasCode(err error, code string) bool {
	var f *fault.Error
	return errors.As(err, &f) && f.Code == code
}

// KeyOf makes the record of a key whose text is known already.
func KeyOf(text string, k NewKey) (state.Key, error) {
	if len(text) < shownKeyLetters+keyBytes {
		return state.Key{}, fault.New(fault.Invalid, "a key has at least %d characters", shownKeyLetters+keyBytes)
	}
	return state.Key{ID: newID[state.KeyID]("key"), Hash: hashKey(text), Prefix: text[:shownKeyLetters], Account: k.Account,
		User: k.User, Name: k.Name, Scopes: k.Scopes, NoLimit: k.NoLimit, Admin: k.Admin, ExpiresAt: k.Expires}, nil
}

// Founders are the account, its owner and the ids that a cluster begins with:
// unbilled, since it is the operator's own.
func Founders(key state.Key) (state.Account, state.User, state.Key) {
	account := state.Account{ID: newID[state.AccountID]("acct"), Name: "admin", Unbilled: true}
	user := state.User{ID: newID[state.UserID]("user"), Account: account.ID, Name: "admin", Role: "owner"}
	key.Account, key.User, key.Name = account.ID, user.ID, "admin"
	key.Scopes, key.Admin, key.NoLimit = []string{"*"}, true, true
	return account, user, key
}
