package actors

import (
	"bytes"
	"errors"
	"slices"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/cluster/state"
)

// takeUp begins a run, or closes what an earlier owner left open, and runs its
// setup scripts. It is over when that ended the run.
func (w *work) takeUp() (over bool, err error) {
	w.own, err = w.newStint(w.ctx, w.run.Config, voice{}, []state.AgentID{w.run.Config.Agent})
	var unready *agent.Error
	if errors.As(err, &unready) {
		return true, w.end(*failed("not_configured", "%s", unready.Message))
	}
	if err != nil {
		return false, err
	}
	if len(w.past) == 0 {
		err = w.commit(state.Append{Events: w.opening()})
	} else {
		err = w.goOn()
	}
	w.own.entries = w.within("")
	if err == nil && !w.run.Setup && len(w.run.Config.SetupScripts)+len(w.run.Config.Files) > 0 {
		err = w.setup()
	}
	if err == nil {
		return false, nil
	}
	var o *outcome
	if errors.As(err, &o) {
		return true, w.end(*o)
	}
	return true, w.conclude(outcome{}, err)
}

// opening is what a run's log begins with.
func (w *work) opening() []state.Event {
	events := []state.Event{{Kind: state.EventRunStarted, Model: w.run.Config.Model, Agent: w.run.Config.Agent}}
	for _, text := range w.run.Config.Notices {
		events = append(events, notice("%s", text))
	}
	if e, ok, err := w.environment(); err == nil && ok {
		if waits, _ := unbuilt(e); waits {
			events = append(events, notice("%s", buildText))
		}
	}
	return events
}

// goOn closes what was left open when the run's owner went away: items half
// streamed, tool calls without a result, a model call nobody answered. Tasks
// that were handed on stay open: their agents go on.
func (w *work) goOn() error {
	open, streamed := leftOpen(w.past)
	var batch state.Append
	for _, e := range open {
		batch.Events = append(batch.Events, w.voiceIn(e.Within).all(closed([]string{e.Item}))...)
	}
	done := slices.DeleteFunc(slices.Clone(w.known), func(e agent.Entry) bool { return e.Call != nil && isHandoff(*e.Call) })
	for _, lost := range agent.Interrupted(done) {
		events, err := eventsOf(lost, state.ItemInterrupted)
		if err != nil {
			return err
		}
		batch.Events = append(batch.Events, w.voiceIn(lost.Within).all(events)...)
		w.note(lost)
	}
	if w.reserved != nil {
		cost, err := w.partCost(streamed)
		if err != nil {
			return err
		}
		batch.Settle = w.settlement(cost)
		w.metrics.reservation("expired", 1)
	}
	if !w.run.Began {
		batch.Events = append(batch.Events, notice("The run goes on from its last committed step."))
	}
	if err := w.commit(batch); err != nil {
		return err
	}
	for _, r := range w.left {
		if err := w.commit(state.Append{Settle: w.settlementOf(r, r.Floor)}); err != nil {
			return err
		}
	}
	w.left = nil
	return nil
}

// voiceIn is that of the agent which a task was handed to by a call.
func (w *work) voiceIn(call string) voice {
	for _, e := range w.past {
		if call != "" && e.Within == call {
			return voice{e.Agent, e.AgentName, call}
		}
	}
	for _, d := range w.run.Config.Delegates {
		for _, e := range w.known {
			if e.Call != nil && e.Call.ID == call && e.Call.Name == handoffName(d) {
				return voice{d.Agent, d.Name, call}
			}
		}
	}
	return voice{within: call}
}

// leftOpen finds the beginnings of the items that were not completed, and how
// many bytes of them were streamed.
func leftOpen(events []state.Event) (open []state.Event, streamed int64) {
	bytesOf := map[string]int64{}
	var order []state.Event
	for _, e := range events {
		switch e.Kind {
		case state.EventItemStarted:
			if _, known := bytesOf[e.Item]; !known {
				order = append(order, e)
				bytesOf[e.Item] = 0
			}
		case state.EventText:
			if _, known := bytesOf[e.Item]; known {
				bytesOf[e.Item] += int64(len(e.Text))
			}
		case state.EventItemCompleted:
			delete(bytesOf, e.Item)
		}
	}
	for _, e := range order {
		if n, still := bytesOf[e.Item]; still {
			open = append(open, e)
			streamed += n
		}
	}
	return open, streamed
}

// maxSetupOutput bounds what is shown of a setup script's output.
const maxSetupOutput = 16 << 10

// setup brings the message's files and runs its setup scripts in order; what
// fails ends the run.
func (w *work) setup() error {
	if err := w.stage(); err != nil {
		return err
	}
	for i, script := range w.run.Config.SetupScripts {
		computer, err := w.own.computer(w.ctx)
		if err != nil {
			return w.own.toolless(err)
		}
		var out bytes.Buffer
		exit, err := computer.Exec(w.ctx, agent.Command{Argv: []string{"/bin/sh", "-ec", script}, Output: &tail{&out, maxSetupOutput}})
		if err != nil {
			return w.own.toolless(err)
		}
		event := notice("Setup script %d of %d ended with exit code %d.\n%s", i+1, len(w.run.Config.SetupScripts), exit.Code, out.String())
		if err := w.commit(state.Append{Events: []state.Event{event}}); err != nil {
			return err
		}
		if exit.Code != 0 {
			return failed("setup", "Setup script %d failed with exit code %d", i+1, exit.Code)
		}
	}
	w.run.Setup = true
	return w.commit(state.Append{Setup: true})
}

// tail keeps the last bytes written to it.
type tail struct {
	buf *bytes.Buffer
	max int
}

func (t *tail) Write(p []byte) (int, error) {
	t.buf.Write(p)
	if over := t.buf.Len() - t.max; over > 0 {
		t.buf.Next(over)
	}
	return len(p), nil
}
