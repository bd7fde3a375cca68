package actors

import (
	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/cluster/state"
)

// reserve estimates a run's first model call, so that StartRun can refuse what
// the budget does not cover. A free model needs none.
func (t *Threads) reserve(thread state.Thread, n NewRun, config state.RunConfig) (*state.Reservation, error) {
	if t.models.free(config.Model) {
		return nil, nil
	}
	entries := []agent.Entry{}
	if n.Create == nil {
		tr, err := applied(t.cluster, func(v *state.View) (transcript, error) { return readTranscript(v, thread, "") })
		if err != nil {
			return nil, err
		}
		entries = tr.entries
	}
	if n.Content != "" {
		entries = append(entries, said("new", n.Content, n.Attachments))
	}
	return t.models.estimate(config, builtIn(), entries)
}
