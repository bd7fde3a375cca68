package state

import (
	"math"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// Reservation bounds what can be spent before the next one is made. It is
// settled once; the first settlement wins.
type Reservation struct {
	ID        ReservationID `cbor:"1,keyasint"`
	Account   AccountID     `cbor:"2,keyasint"`
	Run       RunID         `cbor:"3,keyasint,omitempty"` // for a model call
	Computer  ComputerID    `cbor:"4,keyasint,omitempty"` // for a running computer
	Amount    MicroUSD      `cbor:"5,keyasint"`           // the most it can cost
	Floor     MicroUSD      `cbor:"6,keyasint"`           // what is due once the vendor was called
	CreatedAt time.Time     `cbor:"7,keyasint"`
	Model     string        `cbor:"8,keyasint,omitempty"` // that is called
}

var reservations = table[Reservation]{
	name: "reservation", noun: "Reservation",
	id: func(r Reservation) string { return string(r.ID) },
	indexes: []index[Reservation]{
		{"all", func(r Reservation) ([]string, string, bool) { return nil, stampText(r.CreatedAt), true }},
		{"account", func(r Reservation) ([]string, string, bool) {
			return []string{string(r.Account)}, stampText(r.CreatedAt), true
		}},
		{"run", func(r Reservation) ([]string, string, bool) {
			return []string{string(r.Run)}, stampText(r.CreatedAt), r.Run != ""
		}},
	},
}

// OpenReservations counts the reservations that were not settled yet.
func (v *View) OpenReservations() (int, error) { return reservations.count(v.r, "all") }

// ReservationsOf lists a run's open reservations: at most one, of the model
// call it was in.
func (v *View) ReservationsOf(run RunID) ([]Reservation, error) {
	list, err := reservations.page(v.r, "run", []string{string(run)}, Page{Limit: 10}, nil)
	return list.Items, err
}

// Charge is a line of an account's bill: a credit, or what one run's model calls
// or one computer cost on one UTC day.
type Charge struct {
	ID          ChargeID  `cbor:"1,keyasint"`
	Account     AccountID `cbor:"2,keyasint"`
	Type        string    `cbor:"3,keyasint"` // execution, credit, computer, adjustment
	Amount      MicroUSD  `cbor:"4,keyasint"` // spent when positive, added when a credit
	Description string    `cbor:"5,keyasint"`
	Thread      ThreadID  `cbor:"6,keyasint,omitempty"`
	Run         RunID     `cbor:"7,keyasint,omitempty"`
	CreatedAt   time.Time `cbor:"8,keyasint"`

	Computer    ComputerID    `cbor:"9,keyasint,omitempty"`
	Environment EnvironmentID `cbor:"10,keyasint,omitempty"`
	Agent       AgentID       `cbor:"11,keyasint,omitempty"`
	UpdatedAt   time.Time     `cbor:"12,keyasint"`
	Model       string        `cbor:"13,keyasint,omitempty"`
}

// about is what all of a day's charges of one kind are one line for: a run, or
// a computer.
func (c Charge) about() string {
	if c.Run != "" {
		return string(c.Run)
	}
	return string(c.Computer)
}

var charges = table[Charge]{
	name: "charge", noun: "Record",
	id: func(c Charge) string { return string(c.ID) },
	indexes: []index[Charge]{
		{"account", func(c Charge) ([]string, string, bool) {
			return []string{string(c.Account)}, stampText(c.CreatedAt), true
		}},
		{"line", func(c Charge) ([]string, string, bool) {
			return []string{string(c.Account), c.Type, c.about()}, dayOf(c.CreatedAt), c.about() != ""
		}},
		{"age", func(c Charge) ([]string, string, bool) { return nil, stampText(c.CreatedAt), true }},
	},
}

// Charges lists an account's bill, newest first; keep may be nil.
func (v *View) Charges(account AccountID, p Page, keep func(Charge) bool) (List[Charge], error) {
	return charges.page(v.r, "account", []string{string(account)}, p, keep)
}

// Codes of a Payment failure: which bound was met.
const (
	CodeBudget  = "INSUFFICIENT_BUDGET"
	CodeDaily   = "DAILY_LIMIT"
	CodeMonthly = "MONTHLY_LIMIT"
)

// Affords says whether the account may spend amount more, open reservations
// counted as spent. A free request (0) is refused too when a bound is already met.
func (a Account) Affords(amount MicroUSD) error {
	if a.Unbilled {
		return nil
	}
	switch {
	case a.Balance-a.Reserved < amount || a.Balance <= 0:
		return fault.New(fault.Payment, "Insufficient budget to execute").WithCode(CodeBudget)
	case a.DailyLimit != nil && (a.DaySpent+a.Reserved+amount > *a.DailyLimit || a.DaySpent >= *a.DailyLimit):
		return fault.New(fault.Payment, "Daily limit reached").WithCode(CodeDaily)
	case a.MonthlyLimit != nil && (a.MonthSpent+a.Reserved+amount > *a.MonthlyLimit || a.MonthSpent >= *a.MonthlyLimit):
		return fault.New(fault.Payment, "Monthly limit reached").WithCode(CodeMonthly)
	}
	return nil
}

// room is how much more the account may spend, open reservations counted as spent.
func (a Account) room() MicroUSD {
	if a.Unbilled {
		return math.MaxInt64
	}
	room := a.Balance - a.Reserved
	if a.DailyLimit != nil {
		room = min(room, *a.DailyLimit-a.DaySpent-a.Reserved)
	}
	if a.MonthlyLimit != nil {
		room = min(room, *a.MonthlyLimit-a.MonthSpent-a.Reserved)
	}
	return max(0, room)
}

// reserve opens a reservation or refuses it with Payment.
func (tx *Tx) reserve(r Reservation) error {
	if r.Amount < 0 || r.Amount > MaxBalance || r.Floor < 0 || r.Floor > r.Amount {
		return fault.New(fault.Invalid, "a reservation of %d with a floor of %d", r.Amount, r.Floor)
	}
	a, err := tx.Account(r.Account, tx.now)
	if err != nil {
		return err
	}
	if err := a.Affords(r.Amount); err != nil {
		return err
	}
	if r.Amount == 0 {
		return nil
	}
	a.Reserved += r.Amount
	r.CreatedAt = tx.now
	if err := accounts.put(tx.w, a); err != nil {
		return err
	}
	return reservations.create(tx.w, r)
}

// Settlement ends a reservation with what was really used.
type Settlement struct {
	Reservation ReservationID `cbor:"1,keyasint"`
	Charge      ChargeID      `cbor:"2,keyasint"` // id of the bill's line
	Cost        MicroUSD      `cbor:"3,keyasint"` // never over the reservation
	Description string        `cbor:"4,keyasint"`
}

// settle closes a run's reservation and charges its cost. One that is no longer
// open was settled before: nothing more is charged. It returns what was charged.
func (tx *Tx) settle(s Settlement, run Run) (MicroUSD, error) {
	r, open, err := reservations.find(tx.w, string(s.Reservation))
	if err != nil || !open {
		return 0, err
	}
	if r.Run != run.ID {
		return 0, fault.New(fault.Conflict, "reservation %s is not of run %s", r.ID, run.ID)
	}
	if s.Cost < 0 || s.Cost > r.Amount {
		return 0, fault.New(fault.Invalid, "a settlement of %d for a reservation of %d", s.Cost, r.Amount)
	}
	if err := tx.release(r); err != nil {
		return 0, err
	}
	c, _, err := tx.AnyComputer(run.Computer)
	if err != nil {
		return 0, err
	}
	of, err := tx.subjects(run)
	if err != nil {
		return 0, err
	}
	line := Charge{ID: s.Charge, Account: r.Account, Type: "execution", Amount: s.Cost, Description: s.Description,
		Thread: run.Thread, Run: r.Run, Computer: run.Computer, Environment: c.Environment, Agent: run.Config.Agent, Model: run.Config.Model}
	return s.Cost, tx.charge(line, Tally{Models: s.Cost}, of...)
}

func (tx *Tx) release(r Reservation) error {
	a, err := tx.Account(r.Account, tx.now)
	if err != nil {
		return err
	}
	a.Reserved -= r.Amount
	if err := accounts.put(tx.w, a); err != nil {
		return err
	}
	return reservations.remove(tx.w, string(r.ID))
}

// charge takes money from an account, writes it into the line of its bill and
// counts it.
func (tx *Tx) charge(c Charge, used Tally, of ...subject) error {
	a, err := tx.Account(c.Account, tx.now)
	if err != nil {
		return err
	}
	if a.Unbilled || c.Amount == 0 {
		return nil
	}
	a.Balance -= c.Amount
	a.TotalSpent += c.Amount
	a.DaySpent += c.Amount
	a.MonthSpent += c.Amount
	a.UpdatedAt = tx.now
	if err := accounts.put(tx.w, a); err != nil {
		return err
	}
	if err := tx.count(c.Account, used, of...); err != nil {
		return err
	}
	return tx.putLine(c)
}

// putLine adds a charge to the day's line about the same run or computer, or
// begins one.
func (tx *Tx) putLine(c Charge) error {
	scope := []string{string(c.Account), c.Type, c.about(), dayOf(tx.now)}
	var line *Charge
	err := charges.each(tx.w, "line", scope, false, func(have Charge) bool { line = &have; return false })
	if err != nil {
		return err
	}
	if line == nil {
		c.CreatedAt, c.UpdatedAt = tx.now, tx.now
		return charges.create(tx.w, c)
	}
	line.Amount += c.Amount
	line.UpdatedAt = tx.now
	return charges.put(tx.w, *line)
}

// AddCredit raises an account's balance, up to MaxBalance. It replies with Made.
type AddCredit struct {
	Account     AccountID    `cbor:"1,keyasint"`
	Charge      ChargeID     `cbor:"2,keyasint"`
	Amount      MicroUSD     `cbor:"3,keyasint"`
	Description string       `cbor:"4,keyasint"`
	Idempotency *Idempotency `cbor:"5,keyasint,omitempty"`
}

func (cmd AddCredit) apply(tx *Tx) error {
	if cmd.Amount <= 0 || cmd.Amount > MaxBalance {
		return fault.New(fault.Invalid, "amount must be more than 0 and at most %d micro-USD", MaxBalance).WithField("amount")
	}
	if done, err := tx.once(cmd.Account, cmd.Idempotency, Resource{"charge", string(cmd.Charge)}); err != nil || done {
		return err
	}
	a, err := tx.Account(cmd.Account, tx.now)
	if err != nil {
		return err
	}
	if a.Balance > MaxBalance-cmd.Amount {
		return fault.New(fault.Invalid, "the balance would be over %d micro-USD", MaxBalance).WithField("amount")
	}
	a.Balance, a.UpdatedAt = a.Balance+cmd.Amount, tx.now
	if err := accounts.put(tx.w, a); err != nil {
		return err
	}
	if err := tx.count(cmd.Account, Tally{Credits: cmd.Amount}); err != nil {
		return err
	}
	return charges.create(tx.w, Charge{ID: cmd.Charge, Account: cmd.Account, Type: "credit",
		Amount: cmd.Amount, Description: cmd.Description, CreatedAt: tx.now, UpdatedAt: tx.now})
}

// SetLimits changes an account's spending limits. A nil limit removes it; a
// limit whose Set flag is false stays as it is.
type SetLimits struct {
	Account    AccountID `cbor:"1,keyasint"`
	SetDaily   bool      `cbor:"2,keyasint"`
	Daily      *MicroUSD `cbor:"3,keyasint"`
	SetMonthly bool      `cbor:"4,keyasint"`
	Monthly    *MicroUSD `cbor:"5,keyasint"`
	// AutoReload, when given, replaces what is kept of that.
	AutoReload *AutoReload `cbor:"6,keyasint,omitempty"`
}

func (cmd SetLimits) apply(tx *Tx) error {
	a, err := tx.Account(cmd.Account, tx.now)
	if err != nil {
		return err
	}
	if cmd.Daily != nil && *cmd.Daily < 0 {
		return fault.New(fault.Invalid, "dailyLimit must not be negative").WithField("dailyLimit")
	}
	if cmd.Monthly != nil && *cmd.Monthly < 0 {
		return fault.New(fault.Invalid, "monthlyLimit must not be negative").WithField("monthlyLimit")
	}
	if cmd.SetDaily {
		a.DailyLimit = cmd.Daily
	}
	if cmd.SetMonthly {
		a.MonthlyLimit = cmd.Monthly
	}
	if cmd.AutoReload != nil {
		a.AutoReload = *cmd.AutoReload
	}
	a.UpdatedAt = tx.now
	return accounts.put(tx.w, a)
}
