package actors

import (
	"bytes"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/tokens"
	"github.com/bothy-computer/bothy/cluster/state"
)

// takeUp begins a run, or closes what an earlier owner left open, and runs its
// setup scripts. It is over when that ended the run.
func (w *work) takeUp() (over bool, err error) {
	client, model, err := w.models.catalog.Open(w.run.Config.Model)
	if err != nil {
		return true, w.end(*failed("not_configured", "%s", agent.AsError(err).Message))
	}
	w.client, w.model = client, model
	w.loop = agent.Loop{WindowTokens: model.WindowTokens, OutputTokens: model.MaxOutputTokens, Count: func(entries []agent.Entry) int64 {
		return tokens.For(client.Vendor(), w.models.counter.Entries(entries))
	}}
	if client.Vendor() == "script" {
		w.loop.WindowTokens = 0
	}
	if len(w.past) == 0 {
		err = w.commit(state.Append{Events: w.opening()})
	} else {
		err = w.goOn()
	}
	if err == nil && !w.run.Setup && len(w.run.Config.SetupScripts)+len(w.run.Config.Files) > 0 {
		err = w.setup()
	}
	return w.settle(err)
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
// streamed, tool calls without a result, a model call nobody answered.
func (w *work) goOn() error {
	open, streamed := leftOpen(w.past)
	batch := state.Append{Events: closed(open)}
	for _, lost := range agent.Interrupted(w.entries) {
		events, err := eventsOf(lost, state.ItemInterrupted)
		if err != nil {
			return err
		}
		batch.Events = append(batch.Events, events...)
		w.entries = append(w.entries, lost)
	}
	if w.reserved != nil {
		cost, err := w.partCost(streamed)
		if err != nil {
			return err
		}
		batch.Settle = w.settlement(cost)
		w.metrics.reservation("expired", 1)
	}
	batch.Events = append(batch.Events, notice("The run goes on from its last committed step."))
	return w.commit(batch)
}

// leftOpen finds the items that were begun and not completed, and how many
// bytes of them were streamed.
func leftOpen(events []state.Event) (open []string, streamed int64) {
	bytesOf := map[string]int64{}
	var order []string
	for _, e := range events {
		switch e.Kind {
		case state.EventItemStarted:
			if _, known := bytesOf[e.Item]; !known {
				order = append(order, e.Item)
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
	for _, item := range order {
		if n, still := bytesOf[item]; still {
			open = append(open, item)
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
		computer, err := w.machine.ready(w.ctx)
		if err != nil {
			return w.toolless(err)
		}
		var out bytes.Buffer
		exit, err := computer.Exec(w.ctx, agent.Command{Argv: []string{"/bin/sh", "-ec", script}, Output: &tail{&out, maxSetupOutput}})
		if err != nil {
			return w.toolless(err)
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
