package actors

import (
	"fmt"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/cluster/state"
)

// watcher puts a model call's pieces into the log while it goes on.
type watcher struct {
	of   *stint
	seen map[string]bool
}

// Delta streams a piece. It waits when too much is not committed yet.
func (w *watcher) Delta(d agent.Delta) {
	typ := state.ItemText
	if d.Kind == agent.ReasoningDelta {
		typ = state.ItemReasoning
	}
	if !w.seen[d.Item] {
		w.seen[d.Item] = true
		w.of.journal.push(w.of.voice.said(state.Event{Kind: state.EventItemStarted, Item: d.Item, Type: typ}))
	}
	w.of.journal.piece(w.of.ctx, w.of.voice.said(state.Event{Item: d.Item, Type: typ}), d.Text)
}

// Failed closes what the attempt had begun, pays for what the vendor had done,
// and holds money for the next attempt. It is refused when there is none.
func (w *watcher) Failed(a agent.Attempt) error {
	batch := state.Append{Events: w.of.voice.all(closed(a.Items))}
	if w.of.reserved != nil && a.Begun {
		cost, err := w.of.partCost(a.StreamedBytes)
		if err != nil {
			return err
		}
		batch.Settle = w.of.settlement(cost)
		if !a.Last {
			if batch.Reserve, err = w.of.estimate(w.of.entries); err != nil {
				return err
			}
		}
	}
	if w.of.run.Config.Debug {
		batch.Events = append(batch.Events, w.of.voice.said(state.Event{Kind: state.EventLog,
			Text: fmt.Sprintf("model call failed (%s), attempt %d, waiting %s", a.Err.Kind, a.Number, a.Wait)}))
	}
	if len(batch.Events) == 0 && batch.Settle == nil {
		return nil
	}
	return w.of.commit(batch)
}

// closed marks items that were given up half-streamed: they are not part of
// the transcript or of the answer.
func closed(items []string) []state.Event {
	events := make([]state.Event, 0, len(items))
	for _, item := range items {
		events = append(events, state.Event{Kind: state.EventItemCompleted, Item: item, Type: state.ItemText, Status: state.ItemIncomplete})
	}
	return events
}

// bytesPerToken is the least that a token of streamed text usually holds.
const bytesPerToken = 3

// partCost is what an unanswered call costs: its counted input and the output
// that was already streamed.
func (w *work) partCost(streamedBytes int64) (state.MicroUSD, error) {
	model, _ := w.models.catalog.Model(w.reservedFor())
	output, err := model.Price.Reserve(0, streamedBytes/bytesPerToken)
	return min(w.reserved.Floor+state.MicroUSD(output), w.reserved.Amount), err
}
