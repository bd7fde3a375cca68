package actors

import (
	"context"
	"sync"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/modelgateway"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// purse pays for the model calls that a run's executor makes, several at once:
// each has a reservation of its own, and is settled with what it used.
type purse struct {
	stint *stint

	mu      sync.Mutex // over what calls change of the run
	refused string     // why a call was not covered
}

var _ modelgateway.Purse = (*purse)(nil)

// Hold implements modelgateway.Purse.
func (p *purse) Hold(ctx context.Context, input, maxOutput int64) (modelgateway.Held, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	price := p.stint.model.Price
	if price.Zero() {
		return &heldMoney{purse: p}, nil
	}
	most, err := price.Reserve(input, maxOutput)
	if err != nil {
		return nil, err
	}
	floor, err := price.Reserve(input, 0)
	if err != nil {
		return nil, err
	}
	r := &state.Reservation{ID: newID[state.ReservationID]("resv"), Amount: state.MicroUSD(most), Floor: state.MicroUSD(floor), Model: p.stint.config.Model}
	err = p.stint.journal.commit(p.stint.commits, state.Append{Reserve: r})
	if fault.Is(err, fault.Payment) {
		p.mu.Lock()
		p.refused = faultText(err)
		p.mu.Unlock()
	}
	if err != nil {
		return nil, err
	}
	p.stint.metrics.reservation("opened", 1)
	return &heldMoney{purse: p, reserved: r}, nil
}

// short is why the last call that was not covered was not, or "".
func (p *purse) short() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused
}

// heldMoney is one call's reservation, nil for a free model.
type heldMoney struct {
	purse    *purse
	reserved *state.Reservation
}

// Settle implements modelgateway.Held.
func (h *heldMoney) Settle(u agent.Usage) error {
	w := h.purse.stint
	used := state.Usage{InputTokens: u.InputTokens, CachedTokens: u.CachedTokens, OutputTokens: u.OutputTokens, ReasoningTokens: u.ReasoningTokens}
	batch := state.Append{}
	if h.reserved != nil {
		cost, err := w.model.Price.Cost(tokensOf(u))
		if err != nil {
			return err
		}
		used.Cost = min(state.MicroUSD(cost), h.reserved.Amount)
		if state.MicroUSD(cost) > used.Cost {
			w.log.Warn("a model call cost more than it could", "cost", cost, "reserved", h.reserved.Amount)
		}
		batch.Settle = w.settlementOf(*h.reserved, used.Cost)
	}
	if u != (agent.Usage{}) {
		step := used
		step.Cost = 0
		batch.Step = &step
		batch.Events = []state.Event{w.voice.said(state.Event{Kind: state.EventUsage, Usage: &used, Model: w.config.Model})}
		w.metrics.paid(w.client.Vendor(), used.Cost)
		w.metrics.tokens.WithLabelValues(w.client.Vendor(), "input").Add(float64(u.InputTokens))
		w.metrics.tokens.WithLabelValues(w.client.Vendor(), "output").Add(float64(u.OutputTokens))
	}
	if batch.Settle == nil && batch.Step == nil {
		return nil
	}
	if err := w.journal.commit(w.commits, batch); err != nil {
		return err
	}
	h.purse.mu.Lock()
	defer h.purse.mu.Unlock()
	if batch.Step != nil {
		w.run.Steps++
		w.run.Usage = w.run.Usage.Add(used)
	}
	if batch.Settle != nil {
		w.metrics.reservation("settled", 1)
	}
	return nil
}
