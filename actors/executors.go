package actors

import (
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

// modelFor is the model that an executor works with when none is named: the
// default one, or the first that it can use best.
func (m Models) modelFor(e executor.Executor) (string, bool) {
	usable := func(name string) bool {
		_, err := m.catalog.Upstream(name)
		return err == nil && e.Speaks(m.catalog.ProtocolOf(name))
	}
	if name := m.Default(); usable(name) {
		return name, true
	}
	for _, p := range e.Protocols {
		for _, name := range m.Names() {
			if m.catalog.ProtocolOf(name) == p && usable(name) {
				return name, true
			}
		}
	}
	return "", false
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
		if name = e.Name; !ok {
			name = LoopExecutor
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
	n.Executor = name
	return name, nil
}

// executor picks what does a run's work: the one that the message names or,
// for an agent of type computer, that of the agent or of its model's protocol.
// "" is the loop, which also does what no executor can: script's work.
func (t *Threads) executor(model, asked string, a *state.Agent) (string, error) {
	protocol := t.models.catalog.ProtocolOf(model)
	if asked == "" && a != nil && a.Type == state.AgentComputer {
		if e, known := executor.Find(a.Binary); known && e.Speaks(protocol) {
			return e.Name, nil
		}
		e, _ := executor.For(protocol)
		return e.Name, nil
	}
	if asked == "" {
		return "", nil
	}
	e, known := executor.Find(asked)
	if !known {
		return "", fault.New(fault.Invalid, "there is no executor %q", asked).WithField("executor")
	}
	if !e.Speaks(protocol) {
		return "", fault.New(fault.Invalid, "executor %s cannot use model '%s'", asked, model).WithField("model")
	}
	return asked, nil
}
