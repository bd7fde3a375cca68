package actors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/ledger"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/trace"
)

// callModel makes model call number step and commits its whole reply, and with
// it the run's end when the reply asks for nothing more.
func (s *stint) callModel(step int) error {
	if s.run.Steps >= maxRunSteps {
		return failed("run_steps", "Stopped: the agents of this run called models %d times, which is the limit for one run.", maxRunSteps)
	}
	if err := s.equip(); err != nil {
		return err
	}
	req := request(s.config, s.model, s.kit, s.entries).WithPictures(s.look)
	reply, err := s.call(req, step)
	if err != nil {
		return s.uncalled(err)
	}
	batch := state.Append{}
	for _, e := range splitText(reply.Entries) {
		events, err := eventsOf(e, state.ItemComplete)
		if err != nil {
			return err
		}
		s.ascribe(events)
		batch.Events = append(batch.Events, s.voice.all(events)...)
		s.add(e)
	}
	if err := s.pay(&batch, reply.Usage); err != nil {
		return err
	}
	if f, over := s.loop.Next(s.entries).(agent.Finish); over {
		o := outcomeOf(f)
		o.last = batch
		return o
	}
	return s.commit(batch)
}

// look reads a picture's file again: it is in the workspace still, or it is not
// shown.
func (s *stint) look(p agent.Picture) ([]byte, bool) {
	computer, err := s.computer(s.ctx)
	if err != nil {
		s.log.Warn("a picture is not shown: its computer could not be had", "err", err)
		return nil, false
	}
	file, err := computer.ReadFile(s.ctx, p.Path, agent.MaxPictureBytes)
	if err != nil || file.Bytes != p.Bytes {
		s.debug("the picture %s is not shown: its file is gone or was changed", p.Path)
		return nil, false
	}
	now, ok := agent.PictureOf(p.Path, file.Content)
	return file.Content, ok && now.Type == p.Type
}

// call calls the model with its streamed pieces going into the log.
func (s *stint) call(req agent.Request, step int) (agent.Reply, error) {
	if err := s.ensureReserved(); err != nil {
		return agent.Reply{}, err
	}
	watch := &watcher{of: s, seen: map[string]bool{}}
	caller := agent.Caller{Model: s.client, Sleep: sleep, Jitter: jitter, Now: s.now, Taken: s.taken}
	ctx, span := trace.Start(s.inStep(step), "model call", "bothy.model", s.config.Model, "bothy.vendor", s.client.Vendor())
	begun := s.now()
	reply, err := caller.Call(ctx, req, step, newID[string]("item"), watch)
	defer func() { span.End(err) }()
	result := "ok"
	if err != nil {
		result = string(agent.AsError(err).Kind)
	}
	s.metrics.steps.WithLabelValues(s.client.Vendor(), result).Observe(s.now().Sub(begun).Seconds())
	if err == nil {
		reply.Usage = s.models.counter.Usage(s.client.Vendor(), req, reply)
		span.Set("bothy.tokens.input", strconv.FormatInt(reply.Usage.InputTokens, 10), "bothy.tokens.output", strconv.FormatInt(reply.Usage.OutputTokens, 10))
		s.metrics.tokens.WithLabelValues(s.client.Vendor(), "input").Add(float64(reply.Usage.InputTokens))
		s.metrics.tokens.WithLabelValues(s.client.Vendor(), "output").Add(float64(reply.Usage.OutputTokens))
		s.debug("model call %d took %s: %d tokens in, %d out", step, s.now().Sub(begun).Round(time.Millisecond), reply.Usage.InputTokens, reply.Usage.OutputTokens)
	}
	return reply, err
}

// uncalled decides what a model call that failed for good means.
func (s *stint) uncalled(err error) error {
	var over *outcome
	var f *fault.Error
	switch {
	case errors.As(err, &over):
		return err
	case errors.As(err, &f) && f.Kind == fault.Payment:
		return failed("budget", "%s", f.Message)
	case errors.As(err, &f):
		return err
	case s.ctx.Err() != nil:
		return context.Cause(s.ctx)
	}
	switch next := s.loop.After(s.entries, err).(type) {
	case agent.Compact:
		return s.compact(next.Step)
	case agent.Finish:
		return failed(string(agent.AsError(err).Kind), "%s", next.Text)
	}
	return err
}

// ensureReserved holds money for the next call, unless enough is held already:
// what StartRun held did not know of servers' tools.
func (s *stint) ensureReserved() error {
	if s.reserved != nil && !s.grown {
		return nil
	}
	s.grown = false
	r, err := s.estimate(s.entries)
	if err != nil || r == nil && s.reserved == nil {
		return err
	}
	if r == nil { // a free model's turn; what another's call was promised goes back
		return s.commit(state.Append{Settle: s.settlement(0)})
	}
	batch := state.Append{Reserve: r}
	if s.reserved != nil {
		if r.Amount <= s.reserved.Amount && s.reservedFor() == s.config.Model {
			return nil
		}
		batch.Settle = s.settlement(0)
	}
	return s.commit(batch)
}

// pay settles the call's reservation with what it used, in the batch that
// holds its reply.
func (s *stint) pay(batch *state.Append, u agent.Usage) error {
	cost, err := s.model.Price.Cost(tokensOf(u))
	if err != nil {
		return err
	}
	used := state.Usage{InputTokens: u.InputTokens, CachedTokens: u.CachedTokens, OutputTokens: u.OutputTokens, ReasoningTokens: u.ReasoningTokens}
	batch.Step = &state.Usage{InputTokens: used.InputTokens, CachedTokens: used.CachedTokens, OutputTokens: used.OutputTokens, ReasoningTokens: used.ReasoningTokens}
	if s.reserved != nil {
		if state.MicroUSD(cost) > s.reserved.Amount {
			s.log.Warn("a model call cost more than it could", "cost", cost, "reserved", s.reserved.Amount)
			cost = ledger.MicroUSD(s.reserved.Amount)
		}
		used.Cost = state.MicroUSD(cost)
		batch.Settle = s.settlement(used.Cost)
	}
	s.metrics.paid(s.client.Vendor(), used.Cost)
	batch.Events = append(batch.Events, s.voice.said(state.Event{Kind: state.EventUsage, Usage: &used, Model: s.config.Model}))
	return nil
}

// tokensOf is a usage as prices have it.
func tokensOf(u agent.Usage) ledger.Tokens {
	return ledger.Tokens{Input: u.InputTokens, Cached: u.CachedTokens, CacheWrite: u.CacheWriteTokens,
		CacheWriteHour: u.CacheWriteHourTokens, Output: u.OutputTokens}
}

func (w *work) settlement(cost state.MicroUSD) *state.Settlement {
	return w.settlementOf(*w.reserved, cost)
}

func (w *work) settlementOf(r state.Reservation, cost state.MicroUSD) *state.Settlement {
	return &state.Settlement{Reservation: r.ID, Charge: newID[state.ChargeID]("rec"), Cost: cost,
		Description: "Model call: " + cmp.Or(r.Model, w.run.Config.Model)}
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
func (s *stint) compact(step int) error {
	req := agent.CompactionRequest(s.model.VendorName, s.entries, int(s.model.WindowTokens)*2)
	reply, err := s.call(req, step)
	if err != nil {
		return failed("context_too_long", "the transcript is too long for the model and could not be shortened: %v", err)
	}
	entry, err := agent.SummaryEntry(newID[string]("item"), step, reply)
	if err != nil {
		return failed("context_too_long", "%v", err)
	}
	batch := state.Append{Events: []state.Event{s.voice.said(notice("The conversation was summarised to fit the model's window."))}}
	events, err := eventsOf(entry, state.ItemComplete)
	if err != nil {
		return err
	}
	batch.Events = append(batch.Events, s.voice.all(events)...)
	if err := s.pay(&batch, reply.Usage); err != nil {
		return err
	}
	s.add(entry)
	return s.commit(batch)
}

func notice(format string, args ...any) state.Event {
	return state.Event{Kind: state.EventNotice, Text: fmt.Sprintf(format, args...)}
}

// debug adds a log event to runs that asked for them.
func (s *stint) debug(format string, args ...any) {
	if s.run.Config.Debug {
		s.journal.push(s.voice.said(state.Event{Kind: state.EventLog, Text: fmt.Sprintf(format, args...)}))
	}
}

// runTool runs a committed call and commits its result.
func (s *stint) runTool(next agent.RunTool) error {
	if to, ok := s.delegate(next.Call.Name); ok {
		return s.handOff(next, to)
	}
	s.debug("tool %s begins", next.Call.Name)
	box := agent.Toolbox{Computer: s.computer, More: s.more(), Now: s.now}
	ctx, span := trace.Start(s.inStep(next.Step), "tool", "bothy.tool", next.Call.Name)
	entry, err := box.Run(ctx, next.Step, next.Call.ID+"_r", next.Call)
	span.End(err)
	if err != nil {
		return s.toolless(err)
	}
	s.machine.explain(entry.Result)
	s.debug("tool %s took %s", next.Call.Name, entry.Result.Duration.Round(time.Millisecond))
	changes := s.machine.changes(s.ctx, next.Call.Name, &entry)
	return s.answer(entry, state.Append{}, changes...)
}

// answer commits the result of a call, in a batch that may hold what led to
// it, with more events after it, and with it the money for the model call that follows.
func (s *stint) answer(entry agent.Entry, batch state.Append, more ...state.Event) error {
	events, err := eventsOf(entry, state.ItemComplete)
	if err != nil {
		return err
	}
	batch.Events = append(batch.Events, s.voice.all(append(events, more...))...)
	after := append(s.entries[:len(s.entries):len(s.entries)], entry)
	// What is held and not settled in the batch is looked at before the call.
	if _, calls := s.loop.Next(after).(agent.CallModel); calls && (s.reserved == nil || batch.Settle != nil) {
		if batch.Reserve, err = s.estimate(after); err != nil {
			return err
		}
	}
	err = s.commit(batch)
	if fault.Is(err, fault.Payment) {
		// The result is kept all the same; the run ends for want of money.
		refusal := err
		batch.Reserve = nil
		if err := s.commit(batch); err != nil {
			return err
		}
		s.add(entry)
		return failed("budget", "%s", refusal.Error())
	}
	if err == nil {
		s.add(entry)
	}
	return err
}

// toolless decides what it means that a tool could not be run at all.
func (s *stint) toolless(err error) error {
	switch {
	case s.ctx.Err() != nil:
		return context.Cause(s.ctx)
	case fault.Is(err, fault.Moved):
		return err
	case fault.Is(err, fault.Payment):
		return failed("budget", "%s", faultText(err))
	}
	s.log.Warn("a tool has no computer", "err", err)
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
