package state

import (
	"fmt"
	"time"
)

// RecordsKept is how long the lines of a bill are kept, and what a day cost by
// environment, agent and model. What it cost altogether is kept for ever.
const RecordsKept = 400 * 24 * time.Hour

// Tally is what an account used on one UTC day: altogether, or in one
// environment, by one agent, with one model. It is written by the commands that
// move the money, so that it adds up to the bill's lines at every moment.
type Tally struct {
	Account AccountID `cbor:"1,keyasint"`
	Day     string    `cbor:"2,keyasint"` // 2006-01-02
	Kind    TallyKind `cbor:"3,keyasint"`
	Key     string    `cbor:"4,keyasint"` // whose; "" altogether

	Models    MicroUSD `cbor:"5,keyasint"` // spent on model calls
	Computers MicroUSD `cbor:"6,keyasint"` // spent on computers
	Credits   MicroUSD `cbor:"7,keyasint"` // added

	Threads      int64 `cbor:"8,keyasint"` // made
	Runs         int64 `cbor:"9,keyasint"` // ended
	InputTokens  int64 `cbor:"10,keyasint"`
	CachedTokens int64 `cbor:"11,keyasint"` // of InputTokens
	OutputTokens int64 `cbor:"12,keyasint"`
}

// TallyKind is what a tally is of.
type TallyKind string

const (
	TallyAll         TallyKind = "all"
	TallyEnvironment TallyKind = "environment" // or, by its id, a computer that has none
	TallyAgent       TallyKind = "agent"
	TallyModel       TallyKind = "model"
)

// Spent is what left the balance.
func (t Tally) Spent() MicroUSD { return t.Models + t.Computers }

// Add adds what another tally counts; it stays the tally of its own day and key.
func (t *Tally) Add(o Tally) {
	t.Models += o.Models
	t.Computers += o.Computers
	t.Credits += o.Credits
	t.Threads += o.Threads
	t.Runs += o.Runs
	t.InputTokens += o.InputTokens
	t.CachedTokens += o.CachedTokens
	t.OutputTokens += o.OutputTokens
}

var tallies = table[Tally]{
	name: "tally", noun: "Tally",
	id: func(t Tally) string { return fmt.Sprintf("%s/%s/%s/%s", t.Account, t.Day, t.Kind, t.Key) },
	indexes: []index[Tally]{
		{"day", func(t Tally) ([]string, string, bool) {
			return []string{string(t.Account), string(t.Kind)}, t.Day, true
		}},
		{"age", func(t Tally) ([]string, string, bool) {
			day, err := time.Parse(time.DateOnly, t.Day)
			return nil, stampText(day), err == nil && t.Kind != TallyAll
		}},
	},
}

func dayOf(at time.Time) string { return at.UTC().Format(time.DateOnly) }

// Tallies visits an account's tallies of a kind for the UTC days from one time
// to another, both included, oldest first, until visit returns false.
func (v *View) Tallies(account AccountID, kind TallyKind, from, to time.Time, visit func(Tally) bool) error {
	if to.Before(from) {
		return nil
	}
	scope := []string{string(account), string(kind)}
	begin := tallies.scopePrefix("day", append(scope, dayOf(from)))
	end := after(tallies.scopePrefix("day", append(scope, dayOf(to))))
	var failed error
	err := v.r.Scan(begin, end, false, func(k, _ []byte) bool {
		var t Tally
		if t, failed = tallies.get(v.r, lastPart(k)); failed != nil {
			return false
		}
		return visit(t)
	})
	if failed != nil {
		return failed
	}
	return err
}

// subject is one of whom something is counted.
type subject struct {
	kind TallyKind
	key  string
}

// count adds what was used just now to the tallies of an account's day: that of
// all, and those of the subjects that have a key.
func (tx *Tx) count(account AccountID, used Tally, of ...subject) error {
	for _, s := range append([]subject{{kind: TallyAll}}, of...) {
		if s.key == "" && s.kind != TallyAll {
			continue
		}
		t := Tally{Account: account, Day: dayOf(tx.now), Kind: s.kind, Key: s.key}
		have, _, err := tallies.find(tx.w, tallies.id(t))
		if err != nil {
			return err
		}
		t.Add(have)
		t.Add(used)
		if err := tallies.put(tx.w, t); err != nil {
			return err
		}
	}
	return nil
}

// subjects are whom a run's use is counted of.
func (tx *Tx) subjects(r Run) ([]subject, error) {
	c, _, err := tx.AnyComputer(r.Computer)
	return []subject{{TallyEnvironment, c.place()}, {TallyAgent, string(r.Config.Agent)}, {TallyModel, r.Config.Model}}, err
}

// place is the environment that a computer's use is counted of.
func (c Computer) place() string {
	if c.Environment != "" {
		return string(c.Environment)
	}
	return string(c.ID)
}

// countRun adds what a run used to the tallies of its day.
func (tx *Tx) countRun(r Run, used Tally) error {
	of, err := tx.subjects(r)
	if err != nil {
		return err
	}
	return tx.count(r.Account, used, of...)
}
