package state

import "github.com/bothy-computer/bothy/cluster/fault"

// Tick is what one computer has used by now. Its counters only grow, so a tick
// that is lost or sent twice changes nothing.
type Tick struct {
	Computer ComputerID `cbor:"1,keyasint"`
	Epoch    Epoch      `cbor:"2,keyasint"`
	Metered  Metered    `cbor:"3,keyasint"` // Cost: all that is due since the computer was made
	Charge   ChargeID   `cbor:"4,keyasint"`
	// Next reserves the computer's next minutes; the reservation before is settled.
	Next   ReservationID `cbor:"5,keyasint"`
	Amount MicroUSD      `cbor:"6,keyasint"`
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

// tick charges what one computer used since its last tick and reserves ahead.
// A computer that moved or is gone is skipped.
func (tx *Tx) tick(t Tick) (covered bool, err error) {
	c, found, err := tx.AnyComputer(t.Computer)
	if err != nil || !found || c.Epoch != t.Epoch || c.Node != tx.by.Node {
		return true, err
	}
	due := max(0, t.Metered.Cost-c.Metered.Cost)
	c.Metered = larger(c.Metered, t.Metered)
	if c.Reservation != "" {
		if err := tx.releaseComputer(&c); err != nil {
			return false, err
		}
	}
	if err := tx.charge(Charge{ID: t.Charge, Account: c.Account, Type: "computer", Amount: due,
		Description: "Computer " + string(c.ID)}); err != nil {
		return false, err
	}
	covered = true
	if c.Phase.Up() && t.Amount > 0 {
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
	}
}
