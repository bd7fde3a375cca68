package state

import (
	"errors"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// Tick is what one computer has used by now. Its counters only grow, so a tick
// that is lost or sent twice changes nothing.
type Tick struct {
	Computer ComputerID `cbor:"1,keyasint"`
	Epoch    Epoch      `cbor:"2,keyasint"`
	// Metered.Cost is all that is due since the computer was made. What the
	// budget does not cover is not taken; it stays due while later ticks count it.
	Metered Metered  `cbor:"3,keyasint"`
	Charge  ChargeID `cbor:"4,keyasint"`
	// Next reserves the computer's next minutes; the reservation before is settled.
	Next   ReservationID `cbor:"5,keyasint"`
	Amount MicroUSD      `cbor:"6,keyasint"`
	// Starting marks the tick before a start: its first minutes are reserved
	// although the record does not say yet that the computer is up.
	Starting bool `cbor:"8,keyasint"`
	// Counters are the machine's own, which Metered was made from.
	Counters Metered `cbor:"7,keyasint"`
	// StoredBytes is what the disk holds now.
	StoredBytes int64 `cbor:"9,keyasint"`
}

// RecordUsage carries the ticks of all running computers of one node. It
// replies with the computers whose next minutes are not covered by their
// account's budget: their owner stops them.
type RecordUsage struct {
	Ticks []Tick `cbor:"1,keyasint"`
}

func (cmd RecordUsage) apply(tx *Tx) error {
	refused := []ComputerID{}
	for _, t := range cmd.Ticks {
		ok, err := tx.tick(t)
		if err != nil {
			return err
		}
		if !ok {
			refused = append(refused, t.Computer)
		}
	}
	tx.Reply(refused)
	return nil
}

// tick charges what one computer used since its last tick, never more than was
// held for it or the account has room for, and reserves ahead. A computer that
// moved or is gone is skipped.
func (tx *Tx) tick(t Tick) (covered bool, err error) {
	c, found, err := tx.AnyComputer(t.Computer)
	if err != nil || !found || c.Phase == Deleted || !tx.owns(c, t.Epoch) {
		return true, err
	}
	if err := errors.Join(tx.ran(&c, c.Phase.Up() && !t.Starting), tx.stored(&c, t.StoredBytes)); err != nil {
		return false, err
	}
	held, err := tx.releaseComputer(&c)
	if err != nil {
		return false, err
	}
	a, err := tx.Account(c.Account, tx.now)
	if err != nil {
		return false, err
	}
	due := min(max(0, t.Metered.Cost-c.Metered.Cost), max(held, a.room()))
	before := c.Metered.Cost
	c.Metered = larger(c.Metered, t.Metered)
	c.Metered.Cost = before + due
	c.Counters, c.CountersOn, c.TickedAt = t.Counters, tx.by.Node, tx.now
	line := Charge{ID: t.Charge, Account: c.Account, Type: "computer", Amount: due, Description: "Computer " + string(c.ID),
		Computer: c.ID, Environment: c.Environment}
	if err := tx.charge(line, Tally{Computers: due}, subject{TallyEnvironment, c.place()}); err != nil {
		return false, err
	}
	covered = true
	if (c.Phase.Up() || t.Starting) && t.Amount > 0 {
		r := Reservation{ID: t.Next, Account: c.Account, Computer: c.ID, Amount: t.Amount}
		switch err := tx.reserve(r); {
		case fault.Is(err, fault.Payment):
			covered = false
		case err != nil:
			return false, err
		default:
			c.Reservation = t.Next
		}
	}
	return covered, computers.put(tx.w, c)
}

func larger(a, b Metered) Metered {
	return Metered{
		CPUMillis:     max(a.CPUMillis, b.CPUMillis),
		MemorySeconds: max(a.MemorySeconds, b.MemorySeconds),
		DiskSeconds:   max(a.DiskSeconds, b.DiskSeconds),
		EgressBytes:   max(a.EgressBytes, b.EgressBytes),
		Cost:          max(a.Cost, b.Cost),
		RunMillis:     a.RunMillis, // counted here, see ran
		ColdSeconds:   max(a.ColdSeconds, b.ColdSeconds),
	}
}

// ran counts how long a computer ran until now, for itself and its account.
// Up says whether it goes on.
func (tx *Tx) ran(c *Computer, up bool) error {
	from := c.RunFrom
	c.RunFrom = time.Time{}
	if up {
		c.RunFrom = tx.now
	}
	if from.IsZero() {
		return nil
	}
	millis := tx.now.Sub(from).Milliseconds()
	if up { // what is less than a millisecond is left to the next time
		c.RunFrom = from.Add(time.Duration(millis) * time.Millisecond)
	}
	c.Metered.RunMillis += millis
	a, err := tx.Account(c.Account, tx.now)
	if err != nil {
		return err
	}
	a.RunMillis += millis
	return accounts.put(tx.w, a)
}

// stored notes what a computer's disk holds, for itself and its account.
func (tx *Tx) stored(c *Computer, bytes int64) error {
	if bytes == c.StoredBytes {
		return nil
	}
	a, err := tx.Account(c.Account, tx.now)
	if err != nil {
		return err
	}
	a.StoredBytes += bytes - c.StoredBytes
	c.StoredBytes = bytes
	return accounts.put(tx.w, a)
}
