package actors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/ledger"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// callModel makes model call number step and commits its whole reply, and with
// it the run's end when the reply asks for nothing more.
func (w *work) callModel(step int) error {
	if err := w.equip(); err != nil {
		return err
	}
	reply, err := w.call(request(w.run.Config, w.model, w.kit, w.entries), step)
	if err != nil {
		return w.uncalled(err)
	}
	batch := state.Append{}
	for _, e := range splitText(reply.Entries) {
		events, err := eventsOf(e, state.ItemComplete)
		if err != nil {
			return err
		}
		w.ascribe(events)
		batch.Events = append(batch.Events, events...)
		w.entries = append(w.entries, e)
	}
	if err := w.pay(&batch, reply.Usage); err != nil {
		return err
	}
	if f, over := w.loop.Next(w.entries).(agent.Finish); over {
		o := outcomeOf(f)
		o.last = batch
		return o
	}
	return w.commit(batch)
}

// call calls the model with its streamed pieces going into the log.
func (w *work) call(req agent.Request, step int) (agent.Reply, error) {
	if err := w.ensureReserved(); err != nil {
		return agent.Reply{}, err
	}
	watch := &watcher{work: w, seen: map[string]bool{}}
	caller := agent.Caller{Model: w.client, Sleep: sleep, Jitter: jitter, Now: w.now}
	begun := w.now()
	reply, err := caller.Call(w.ctx, req, step, newID[string]("item"), watch)
	result := "ok"
	if err != nil {
		result = string(agent.AsError(err).Kind)
	}
	w.metrics.steps.WithLabelValues(w.client.Vendor(), result).Observe(w.now().Sub(begun).Seconds())
	if err == nil {
		reply.Usage = w.models.counter.Usage(w.client.Vendor(), req, reply)
		w.metrics.tokens.WithLabelValues(w.client.Vendor(), "input").Add(float64(reply.Usage.InputTokens))
		w.metrics.tokens.WithLabelValues(w.client.Vendor(), "output").Add(float64(reply.Usage.OutputTokens))
		w.debug("model call %d took %s: %d tokens in, %d out", step, w.now().Sub(begun).Round(time.Millisecond), reply.Usage.InputTokens, reply.Usage.OutputTokens)
	}
	return reply, err
}

// uncalled decides what a model call that failed for good means.
func (w *work) uncalled(err error) error {
	var over *outcome
	var f *fault.Error
	switch {
	case errors.As(err, &over):
		return err
	case errors.As(err, &f) && f.Kind == fault.Payment:
		return failed("budget", "%s", f.Message)
	case errors.As(err, &f):
		return err
	case w.ctx.Err() != nil:
		return context.Cause(w.ctx)
	}
	switch next := w.loop.After(w.entries, err).(type) {
	case agent.Compact:
		return w.compact(next.Step)
	case agent.Finish:
		return failed(string(agent.AsError(err).Kind), "%s", next.Text)
	}
	return err
}

// ensureReserved holds money for the next call, unless enough is held already:
// what StartRun held did not know of servers' tools.
func (w *work) ensureReserved() error {
	if w.reserved != nil && !w.grown {
		return nil
	}
	w.grown = false
	r, err := w.models.estimate(w.run.Config, w.kit, w.entries)
	if err != nil || r == nil {
		return err
	}
	batch := state.Append{Reserve: r}
	if w.reserved != nil {
		if r.Amount <= w.reserved.Amount {
			return nil
		}
		batch.Settle = w.settlement(0)
	}
	return w.commit(batch)
}

// pay settles the call's reservation with what it used, in the batch that
// holds its reply.
func (w *work) pay(batch *state.Append, u agent.Usage) error {
	cost, err := w.model.Price.Cost(ledger.Tokens{Input: u.InputTokens, Cached: u.CachedTokens, CacheWrite: u.CacheWriteTokens, Output: u.OutputTokens})
	if err != nil {
		return err
	}
	used := state.Usage{InputTokens: u.InputTokens, CachedTokens: u.CachedTokens, OutputTokens: u.OutputTokens, ReasoningTokens: u.ReasoningTokens}
	batch.Step = &state.Usage{InputTokens: used.InputTokens, CachedTokens: used.CachedTokens, OutputTokens: used.OutputTokens, ReasoningTokens: used.ReasoningTokens}
	if w.reserved != nil {
		if state.MicroUSD(cost) > w.reserved.Amount {
			w.log.Warn("a model call cost more than it could", "cost", cost, "reserved", w.reserved.Amount)
			cost = ledger.MicroUSD(w.reserved.Amount)
		}
		used.Cost = state.MicroUSD(cost)
		batch.Settle = w.settlement(used.Cost)
	}
	batch.Events = append(batch.Events, state.Event{Kind: state.EventUsage, Usage: &used, Model: w.run.Config.Model})
	return nil
}

func (w *work) settlement(cost state.MicroUSD) *state.Settlement {
	return &state.Settlement{Reservation: w.reserved.ID, Charge: newID[state.ChargeID]("rec"), Cost: cost,
		Description: "Model call: " + w.run.Config.Model}
}

// commit appends a batch and keeps this work's picture of the run true.
func (w *work) commit(batch state.Append) error {
	if err := w.journal.commit(w.commits, batch); err != nil {
		return err
	}
	if batch.Settle != nil {
		w.run.Usage.Cost += batch.Settle.Cost
		w.reserved = nil
		w.metrics.reservation("settled", 1)
	}
	if batch.Reserve != nil {
		w.reserved = batch.Reserve
		w.metrics.reservation("opened", 1)
	}
	if batch.Step != nil {
		w.run.Steps++
		w.run.Usage = w.run.Usage.Add(*batch.Step)
	}
	return nil
}

// compact shortens the transcript with a summary that the model makes itself.
func (w *work) compact(step int) error {
	req := agent.CompactionRequest(w.model.VendorName, w.entries, int(w.model.WindowTokens)*2)
	reply, err := w.call(req, step)
	if err != nil {
		return failed("context_too_long", "the transcript is too long for the model and could not be shortened: %v", err)
	}
	entry, err := agent.SummaryEntry(newID[string]("item"), step, reply)
	if err != nil {
		return failed("context_too_long", "%v", err)
	}
	batch := state.Append{Events: []state.Event{notice("The conversation was summarised to fit the model's window.")}}
	events, err := eventsOf(entry, state.ItemComplete)
	if err != nil {
		return err
	}
	batch.Events = append(batch.Events, events...)
	if err := w.pay(&batch, reply.Usage); err != nil {
		return err
	}
	w.entries = append(w.entries, entry)
	return w.commit(batch)
}

func notice(format string, args ...any) state.Event {
	return state.Event{Kind: state.EventNotice, Text: fmt.Sprintf(format, args...)}
}

// debug adds a log event to runs that asked for them.
func (w *work) debug(format string, args ...any) {
	if w.run.Config.Debug {
		w.journal.push(state.Event{Kind: state.EventLog, Text: fmt.Sprintf(format, args...)})
	}
}

// runTool runs a committed call and commits its result, and with it the money
// for the model call that follows.
func (w *work) runTool(next agent.RunTool) error {
	w.debug("tool %s begins", next.Call.Name)
	box := agent.Toolbox{Computer: w.machine.ready, More: w.more(), Now: w.now}
	entry, err := box.Run(w.ctx, next.Step, next.Call.ID+"_r", next.Call)
	if err != nil {
		return w.toolless(err)
	}
	w.machine.explain(entry.Result)
	w.debug("tool %s took %s", next.Call.Name, entry.Result.Duration.Round(time.Millisecond))
	changes := w.machine.changes(w.ctx, next.Call.Name, &entry)
	events, err := eventsOf(entry, state.ItemComplete)
	if err != nil {
		return err
	}
	events = append(events, changes...)
	batch := state.Append{Events: events}
	after := append(w.entries[:len(w.entries):len(w.entries)], entry)
	if _, calls := w.loop.Next(after).(agent.CallModel); calls {
		if batch.Reserve, err = w.models.estimate(w.run.Config, w.kit, after); err != nil {
			return err
		}
	}
	err = w.commit(batch)
	if fault.Is(err, fault.Payment) {
		// The result is kept all the same; the run ends for want of money.
		refusal := err
		if err := w.commit(state.Append{Events: events}); err != nil {
			return err
		}
		w.entries = after
		return failed("budget", "%s", refusal.Error())
	}
	if err == nil {
		w.entries = after
	}
	return err
}

// toolless decides what it means that a tool could not be run at all.
func (w *work) toolless(err error) error {
	switch {
	case w.ctx.Err() != nil:
		return context.Cause(w.ctx)
	case fault.Is(err, fault.Moved):
		return err
	case fault.Is(err, fault.Payment):
		return failed("budget", "%s", faultText(err))
	}
	w.log.Warn("a tool has no computer", "err", err)
	return failed("computer", "The computer could not be used: %s", faultText(err))
}

// faultText is what may be shown of an error: nothing of one nobody classified.
func faultText(err error) string {
	var f *fault.Error
	if errors.As(err, &f) && f.Kind != fault.Internal {
		return f.Message
	}
	return "internal error"
}
