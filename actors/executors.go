package actors

import (
	"cmp"
	"slices"
	"strings"

	"github.com/bothy-computer/bothy/actors/agent/executor"
	"github.com/bothy-computer/bothy/actors/agent/script"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// LoopExecutor is the executor of tasks that the loop does: those for a model
// that no coding CLI can use.
const LoopExecutor = script.Name

// executors lists what can do a task's work with the models of this node, the
// default first.
func (m Models) executors() []string {
	var names []string
	for _, e := range executor.All() {
		if _, ok := m.modelFor(e); ok {
			names = append(names, e.Name)
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	return append(names, LoopExecutor)
}

// rank puts first what tasks prefer.
func rank(name string) int {
	if name == "claude" {
		return 0
	}
	return 1
}

// modelFor is the model that an executor works with when none is named: the one
// that is configured, the default of all, or the first that it can use best.
func (m Models) modelFor(e executor.Executor) (string, bool) {
	offered := e.Models(m.catalog)
	if name := m.Default(); len(m.catalog.Executors()[e.Name]) == 0 && slices.Contains(offered, name) && m.Ready(name) == nil {
		return name, true
	}
	for _, name := range offered {
		if m.Ready(name) == nil {
			return name, true
		}
	}
	return "", false
}

// offered refuses a model that an executor does not offer.
func (m Models) offered(e executor.Executor, model string) error {
	if offered := e.Models(m.catalog); !slices.Contains(offered, model) {
		return fault.New(fault.Invalid, "executor %s does not offer model '%.100s'; it offers %s", e.Name, model, cmp.Or(strings.Join(offered, ", "), "none, since no vendor of such models is configured")).WithField("model")
	}
	return nil
}

// forTask fills in what a task's prompt leaves open, executor and model, and
// reports the executor's name.
func (m Models) forTask(n *NewRun) (string, error) {
	name := n.Executor
	switch {
	case name == "" && n.Model == "":
		name = m.executors()[0]
	case name == "":
		e, ok := executor.For(m.catalog.ProtocolOf(n.Model))
		if name = e.Name; !ok || m.offered(e, n.Model) != nil {
			name = m.offering(n.Model)
		}
	}
	if name == LoopExecutor {
		if n.Executor == LoopExecutor && n.Model == "" {
			n.Model = script.Name
		}
		n.Executor = ""
		return name, nil
	}
	e, known := executor.Find(name)
	model, configured := m.modelFor(e)
	if !known || !configured {
		return "", fault.New(fault.Invalid, "executor %.40q is not configured here; there is %s", name, strings.Join(m.executors(), ", ")).WithField("executor")
	}
	if n.Model == "" {
		n.Model = model
	}
	if err := m.offered(e, n.Model); err != nil {
		return "", err
	}
	n.Executor = name
	return name, nil
}

// offering is the executor that offers a model, or the loop.
func (m Models) offering(model string) string {
	for _, e := range executor.All() {
		if m.offered(e, model) == nil {
			return e.Name
		}
	}
	return LoopExecutor
}

// of is the model of an agent that names none.
func (m Models) of(a *state.Agent) string {
	if a != nil && a.Type == state.AgentComputer {
		if e, known := executor.Find(a.Binary); known {
			if model, ok := m.modelFor(e); ok {
				return model
			}
		}
	}
	return m.Default()
}

// fits refuses a computer agent whose coding CLI does not offer its model.
func (m Models) fits(a state.Agent) error {
	e, known := executor.Find(a.Binary)
	if a.Type != state.AgentComputer || a.Model == "" || !known {
		return nil
	}
	return m.offered(e, a.Model)
}

// executor picks what does a run's work: the one that the message names or,
// for an agent of type computer, that of the agent or of its model's protocol.
// "" is the loop, which also does what no executor can: script's work.
func (t *Threads) executor(model, asked string, a *state.Agent) (string, error) {
	if asked == "" && a != nil && a.Type == state.AgentComputer {
		if e, known := executor.Find(a.Binary); known && t.models.offered(e, model) == nil {
			return e.Name, nil
		}
		if e, ok := executor.For(t.models.catalog.ProtocolOf(model)); ok && t.models.offered(e, model) == nil {
			return e.Name, nil
		}
		if name := t.models.offering(model); name != LoopExecutor {
			return name, nil
		}
		return "", nil
	}
	if asked == "" {
		return "", nil
	}
	e, known := executor.Find(asked)
	if !known {
		return "", fault.New(fault.Invalid, "there is no executor %q", asked).WithField("executor")
	}
	if err := t.models.offered(e, model); err != nil {
		return "", err
	}
	return asked, nil
}
