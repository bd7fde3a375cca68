package actors

import (
	"context"
	"log/slog"
	"time"

	"github.com/bothy-computer/bothy/actors/ledger"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
)

// tickEvery is how often a node reports what its computers used.
const tickEvery = 10 * time.Second

// coldTickEvery is how often a stopped computer's disk is reported.
const coldTickEvery = 10 * time.Minute

// maxTicks bounds the computers in one report; the rest follow in the next.
const maxTicks = 1000

// tickWait bounds the reading of one computer for a report: one to which
// something is being done follows in the next. readWait bounds all of a report's
// readings, so that time is left to send what was read.
const (
	tickWait = 500 * time.Millisecond
	readWait = tickEvery / 2
)

// meter counts what this node's computers use and pays for it ahead.
type meter struct {
	cluster Cluster
	driver  Driver
	price   ledger.ComputerPrice
	now     func() time.Time
	log     *slog.Logger
}

// tick reads one computer's counters and adds what they grew by to the record.
// Counters of another machine say nothing here: the first reading on a new
// owner only marks where its own counters stand. Up says whether it ran since
// the last tick.
func (m *meter) tick(ctx context.Context, c state.Computer, up, ahead bool) (state.Tick, error) {
	t := state.Tick{Computer: c.ID, Epoch: c.Epoch, Metered: c.Metered, Counters: c.Counters, StoredBytes: c.StoredBytes,
		Charge: newID[state.ChargeID]("rec"), Next: newID[state.ReservationID]("resv")}
	if meterer, ok := m.driver.(runtime.Meterer); ok {
		u, err := meterer.Usage(ctx, runtime.ID(c.ID))
		if err != nil {
			return t, err
		}
		t.Counters = state.Metered{CPUMillis: u.CPU.Milliseconds(), MemorySeconds: int64(u.MemoryTime / mebibyte),
			DiskSeconds: int64(u.StorageTime / mebibyte), EgressBytes: u.EgressBytes}
		t.StoredBytes = u.StorageBytes
		if c.CountersOn == m.cluster.Self() {
			if t.Metered, err = m.grow(c.Metered, c.Counters, t.Counters, up); err != nil {
				return t, err
			}
		}
	}
	if !ahead {
		return t, nil
	}
	var err error
	t.Amount, err = m.ahead(c)
	return t, err
}

const mebibyte = 1 << 20

// grow adds to what was metered by how much the counters grew. The cost is the
// difference of two costs, so that rounding never adds up.
func (m *meter) grow(before, from, to state.Metered, up bool) (state.Metered, error) {
	after := state.Metered{
		CPUMillis:     before.CPUMillis + max(0, to.CPUMillis-from.CPUMillis),
		MemorySeconds: before.MemorySeconds + max(0, to.MemorySeconds-from.MemorySeconds),
		DiskSeconds:   before.DiskSeconds, ColdSeconds: before.ColdSeconds,
		EgressBytes: before.EgressBytes + max(0, to.EgressBytes-from.EgressBytes),
	}
	if disk := max(0, to.DiskSeconds-from.DiskSeconds); up {
		after.DiskSeconds += disk
	} else {
		after.ColdSeconds += disk
	}
	was, err := m.price.Cost(useOf(before))
	if err != nil {
		return before, err
	}
	is, err := m.price.Cost(useOf(after))
	after.Cost = before.Cost + state.MicroUSD(is-was)
	return after, err
}

func useOf(m state.Metered) ledger.ComputerUse {
	return ledger.ComputerUse{CPUMillis: m.CPUMillis, MemoryMiBSeconds: m.MemorySeconds, StorageMiBSeconds: m.DiskSeconds,
		ColdMiBSeconds: m.ColdSeconds}
}

// reserve pays a computer's first minutes before it starts. Where computers
// are free there is nothing to ask.
func (m *meter) reserve(ctx context.Context, c state.Computer) error {
	if m.price == (ledger.ComputerPrice{}) {
		return nil
	}
	account, err := applied(m.cluster, func(v *state.View) (state.Account, error) { return v.Account(c.Account, m.now()) })
	if err != nil || account.Unbilled {
		return err
	}
	t, err := m.tick(ctx, c, false, true)
	if err != nil {
		return err
	}
	t.Starting = true
	refused, err := propose[[]state.ComputerID](ctx, m.cluster, state.RecordUsage{Ticks: []state.Tick{t}})
	if err == nil && len(refused) > 0 {
		err = fault.New(fault.Payment, "Insufficient budget to run the computer").WithCode(state.CodeBudget)
	}
	return err
}

// affords refuses a start that the account cannot pay for, before it is wished.
func (m *meter) affords(ctx context.Context, account state.AccountID, id state.ComputerID) error {
	if m.price == (ledger.ComputerPrice{}) {
		return nil
	}
	_, err := view(ctx, m.cluster, func(v *state.View) (none struct{}, err error) {
		c, err := v.Computer(account, id)
		if err != nil || c.Phase.Up() {
			return none, err // what runs is paid for already
		}
		a, err := v.Account(account, m.now())
		if err != nil {
			return none, err
		}
		amount, err := m.ahead(c)
		if err != nil {
			return none, err
		}
		return none, a.Affords(amount)
	})
	return err
}

// affordsNew refuses a computer whose first minutes the account cannot pay for.
func (m *meter) affordsNew(ctx context.Context, c state.Computer) error {
	if m.price == (ledger.ComputerPrice{}) {
		return nil
	}
	amount, err := m.ahead(c)
	if err != nil {
		return err
	}
	account, err := view(ctx, m.cluster, func(v *state.View) (state.Account, error) { return v.Account(c.Account, m.now()) })
	if err != nil {
		return err
	}
	return account.Affords(amount)
}

// ahead is the most that a computer's next minutes can cost.
func (m *meter) ahead(c state.Computer) (state.MicroUSD, error) {
	shape := ledger.ComputerShape{MilliCPU: c.MilliCPU, MemoryMiB: c.MemoryBytes / mebibyte, StorageMiB: c.DiskBytes / mebibyte}
	amount, err := m.price.Reserve(shape, ledger.ReserveAhead)
	return state.MicroUSD(amount), err
}

// last reports a computer's counters for the last time before it stops.
func (m *meter) last(ctx context.Context, c state.Computer) error {
	t, err := m.tick(ctx, c, true, false)
	if err != nil {
		return err
	}
	_, err = m.cluster.Apply(ctx, state.RecordUsage{Ticks: []state.Tick{t}})
	return err
}

// all reports every running computer of this node, and every stopped one now
// and then, and returns those whose next minutes nobody pays for.
func (m *meter) all(ctx context.Context) ([]state.ComputerID, error) {
	due, err := applied(m.cluster, func(v *state.View) (list []state.Computer, err error) {
		now := m.now()
		err = v.ComputersOn(m.cluster.Self(), func(c state.Computer) bool {
			if c.Phase.Up() || c.DataNode == m.cluster.Self() && now.Sub(c.TickedAt) >= coldTickEvery {
				list = append(list, c)
			}
			return len(list) < maxTicks
		})
		return list, err
	})
	if err != nil || len(due) == 0 {
		return nil, err
	}
	ticks := m.read(ctx, due)
	if len(ticks) == 0 {
		return nil, ctx.Err()
	}
	return propose[[]state.ComputerID](ctx, m.cluster, state.RecordUsage{Ticks: ticks})
}

// read reads the counters of computers, but for those that cannot be read in time.
func (m *meter) read(ctx context.Context, due []state.Computer) []state.Tick {
	ctx, cancel := context.WithTimeout(ctx, readWait)
	defer cancel()
	ticks := make([]state.Tick, 0, len(due))
	for i, c := range due {
		if ctx.Err() != nil {
			m.log.Warn("computers are not metered this time", "computers", len(due)-i, "err", ctx.Err())
			break
		}
		t, err := m.readOne(ctx, c)
		if err != nil {
			m.log.Warn("meter a computer", "computer", string(c.ID), "err", err)
			continue
		}
		ticks = append(ticks, t)
	}
	return ticks
}

func (m *meter) readOne(ctx context.Context, c state.Computer) (state.Tick, error) {
	ctx, cancel := context.WithTimeout(ctx, tickWait)
	defer cancel()
	return m.tick(ctx, c, c.Phase.Up(), c.Phase.Up())
}
