package state

import (
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// Account is a tenant: it owns things and pays for them.
type Account struct {
	ID           AccountID `cbor:"1,keyasint"`
	Name         string    `cbor:"2,keyasint"`
	Unbilled     bool      `cbor:"3,keyasint"` // never charged, never refused for money
	Balance      MicroUSD  `cbor:"4,keyasint"`
	Reserved     MicroUSD  `cbor:"5,keyasint"` // sum of its open reservations
	TotalSpent   MicroUSD  `cbor:"6,keyasint"`
	DailyLimit   *MicroUSD `cbor:"7,keyasint"` // per UTC day; nil is none
	MonthlyLimit *MicroUSD `cbor:"8,keyasint"` // per UTC month; nil is none
	Day          string    `cbor:"9,keyasint"` // that DaySpent counts, 2006-01-02
	DaySpent     MicroUSD  `cbor:"10,keyasint"`
	Month        string    `cbor:"11,keyasint"` // 2006-01
	MonthSpent   MicroUSD  `cbor:"12,keyasint"`
	CreatedAt    time.Time `cbor:"14,keyasint"`
	UpdatedAt    time.Time `cbor:"15,keyasint"`
	Runs         RunTotals `cbor:"16,keyasint"`
	// RunMillis is how long its computers ran, the deleted ones included;
	// StoredBytes what those it has hold now.
	RunMillis   int64      `cbor:"17,keyasint"`
	StoredBytes int64      `cbor:"18,keyasint"`
	AutoReload  AutoReload `cbor:"19,keyasint"`
	// SnapshotBytes is what its snapshots hold.
	SnapshotBytes int64 `cbor:"20,keyasint"`
}

// AutoReload is what the account wants done when its balance is low. There is
// nobody to charge, so it is kept and never fires.
type AutoReload struct {
	Enabled   bool     `cbor:"1,keyasint"`
	Threshold MicroUSD `cbor:"2,keyasint"`
	Amount    MicroUSD `cbor:"3,keyasint"`
}

// RunTotals counts an account's runs for summaries.
type RunTotals struct {
	Succeeded int64 `cbor:"1,keyasint"`
	Failed    int64 `cbor:"2,keyasint"`
	Cancelled int64 `cbor:"3,keyasint"`
	Millis    int64 `cbor:"4,keyasint"` // of all that ended
	Tokens    int64 `cbor:"5,keyasint"`
}

var accounts = table[Account]{
	name: "account", noun: "Account",
	id: func(a Account) string { return string(a.ID) },
	indexes: []index[Account]{
		{"all", func(a Account) ([]string, string, bool) { return nil, stampText(a.CreatedAt), true }},
		{"name", func(a Account) ([]string, string, bool) { return []string{a.Name}, "", true }},
	},
}

// Account returns an account as it stands on the given day: a day or month that
// is over no longer counts as spent.
func (v *View) Account(id AccountID, now time.Time) (Account, error) {
	a, err := accounts.get(v.r, string(id))
	return a.on(now), err
}

// AccountNamed returns the account with a name.
func (v *View) AccountNamed(name string) (a Account, ok bool, err error) {
	err = accounts.each(v.r, "name", []string{name}, false, func(found Account) bool { a, ok = found, true; return false })
	return a, ok, err
}

// Accounts lists all accounts, newest first.
func (v *View) Accounts(p Page) (List[Account], error) {
	return accounts.page(v.r, "all", nil, p, nil)
}

// on turns the account's day and month to those of now.
func (a Account) on(now time.Time) Account {
	if day := now.UTC().Format(time.DateOnly); a.Day != day {
		a.Day, a.DaySpent = day, 0
	}
	if month := now.UTC().Format("2006-01"); a.Month != month {
		a.Month, a.MonthSpent = month, 0
	}
	return a
}

// CreateAccount makes an account. Its name must be free. Its Idempotency is the
// administrator's, so keys of all CreateAccounts are one set. It replies with Made.
type CreateAccount struct {
	Account     Account      `cbor:"1,keyasint"`
	Idempotency *Idempotency `cbor:"2,keyasint,omitempty"`
}

func (cmd CreateAccount) apply(tx *Tx) error {
	a := cmd.Account
	if done, err := tx.once("", cmd.Idempotency, Resource{"account", string(a.ID)}); err != nil || done {
		return err
	}
	if a.Balance < 0 || a.Balance > MaxBalance {
		return fault.New(fault.Invalid, "a balance of %d; it is 0 to %d micro-USD", a.Balance, MaxBalance).WithField("balance")
	}
	if _, taken, err := tx.AccountNamed(a.Name); err != nil {
		return err
	} else if taken {
		return fault.New(fault.Conflict, "an account named %q exists", a.Name).WithField("name")
	}
	a.Reserved, a.TotalSpent, a.DaySpent, a.MonthSpent, a.Runs = 0, 0, 0, 0, RunTotals{}
	a.RunMillis, a.StoredBytes, a.SnapshotBytes, a.AutoReload = 0, 0, 0, AutoReload{}
	a.CreatedAt, a.UpdatedAt = tx.now, tx.now
	return accounts.create(tx.w, a.on(tx.now))
}

// User is a person or program of an account.
type User struct {
	ID        UserID    `cbor:"1,keyasint"`
	Account   AccountID `cbor:"2,keyasint"`
	Name      string    `cbor:"3,keyasint"`
	Role      string    `cbor:"4,keyasint"` // owner, admin, member
	CreatedAt time.Time `cbor:"5,keyasint"`
}

var users = table[User]{
	name: "user", noun: "User",
	id: func(u User) string { return string(u.ID) },
	indexes: []index[User]{
		{"account", func(u User) ([]string, string, bool) {
			return []string{string(u.Account)}, stampText(u.CreatedAt), true
		}},
	},
}

// User returns a user of an account.
func (v *View) User(account AccountID, id UserID) (User, error) {
	u, err := users.get(v.r, string(id))
	return owned(u, err, u.Account == account, users.noun, string(id))
}

// Users lists an account's users, newest first.
func (v *View) Users(account AccountID, p Page) (List[User], error) {
	return users.page(v.r, "account", []string{string(account)}, p, nil)
}

// CreateUser adds a user to an account.
type CreateUser struct {
	User User `cbor:"1,keyasint"`
}

func (cmd CreateUser) apply(tx *Tx) error {
	if _, err := accounts.get(tx.w, string(cmd.User.Account)); err != nil {
		return err
	}
	cmd.User.CreatedAt = tx.now
	return users.create(tx.w, cmd.User)
}

// owned turns another account's record into NotFound, as if it did not exist.
func owned[T any](rec T, err error, yours bool, noun, id string) (T, error) {
	if err == nil && !yours {
		var none T
		return none, fault.New(fault.NotFound, "%s not found: %s", noun, id)
	}
	return rec, err
}
