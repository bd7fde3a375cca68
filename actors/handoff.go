package actors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/trace"
)

// Bounds of what handoffs may bring into a run.
const (
	// maxHandoffDepth is how many times a task may be handed on.
	maxHandoffDepth = 4
	// maxDelegates is how many agents a task may come to.
	maxDelegates = 32
	// maxRunSteps bounds the model calls of all agents of a run together.
	maxRunSteps = 500
	// handoffPrefix begins the names of the tools that hand a task on.
	handoffPrefix = "handoff__"
	// maxHandoffName keeps such a name within what vendors take.
	maxHandoffName = 40
	// maxHandoffAbout bounds what is told of an agent to those who may hand it
	// tasks.
	maxHandoffAbout = 1 << 10
)

// isHandoff reports whether a call hands a task on. Such a call is gone on
// with by the next owner: what it did so far is in the log.
func isHandoff(call agent.Call) bool { return strings.HasPrefix(call.Name, handoffPrefix) }

var notInName = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// handoffName is what a model calls the tool by which it hands a task to an
// agent. The end of the agent's id keeps agents with one name apart.
func handoffName(to state.Delegate) string {
	name := strings.Trim(notInName.ReplaceAllString(to.Name, "_"), "_")
	id := string(to.Agent)
	return handoffPrefix + name[:min(len(name), maxHandoffName)] + "_" + id[max(0, len(id)-6):]
}

// delegates are those that the agent may hand a task to, here: nobody who has
// it already, and nobody when it was handed on often enough.
func (s *stint) delegates() []state.Delegate {
	if len(s.path) > maxHandoffDepth {
		return nil
	}
	var to []state.Delegate
	for _, d := range s.run.Config.Delegates {
		if slices.Contains(s.config.Handoffs, d.Agent) && !slices.Contains(s.path, d.Agent) {
			to = append(to, d)
		}
	}
	return to
}

func (s *stint) handoffTools() []agent.Tool {
	var tools []agent.Tool
	for _, d := range s.delegates() {
		about := fmt.Sprintf("Hand a task to the agent %q. It works on it with its own instructions and tools, in the same computer, and its answer comes back to you.", d.Name)
		if d.Description != "" {
			about += " " + d.Description[:runeCut(d.Description, min(len(d.Description), maxHandoffAbout))]
		}
		tools = append(tools, agent.Tool{Name: handoffName(d), Description: about, Schema: map[string]any{
			"type": "object", "required": []string{"task"}, "additionalProperties": false,
			"properties": map[string]any{"task": map[string]any{"type": "string",
				"description": "The whole task, with all that the agent must know: it sees nothing of your conversation."}},
		}})
	}
	return tools
}

// delegate finds whom a call hands its task to.
func (s *stint) delegate(name string) (state.Delegate, bool) {
	for _, d := range s.delegates() {
		if handoffName(d) == name {
			return d, true
		}
	}
	return state.Delegate{}, false
}

// handOff has another agent work on a task, from where its part of the log
// stands, and commits its answer as the call's result.
func (s *stint) handOff(next agent.RunTool, to state.Delegate) error {
	begun := s.now()
	ctx, span := trace.Start(s.inStep(next.Step), "handoff", "bothy.agent", to.Name)
	result, batch, err := s.handed(ctx, next.Call, to)
	span.End(err)
	if err != nil {
		return err
	}
	result.Call, result.Duration = next.Call.ID, s.now().Sub(begun)
	s.grown = true // what the other left held was for its own calls
	return s.answer(agent.Entry{Kind: agent.ToolResult, ID: next.Call.ID + "_r", Step: next.Step, Result: &result}, batch)
}

// errHandedTimeout is why an agent's part ends before its run does.
var errHandedTimeout = errors.New("the agent's time limit was reached")

// handed does the other agent's part. Its last events are in the batch, to be
// committed with the result.
func (s *stint) handed(ctx context.Context, call agent.Call, to state.Delegate) (agent.Result, state.Append, error) {
	task, err := taskOf(call)
	if err != nil {
		return agent.Result{Status: agent.Invalid, Text: "error: " + err.Error()}, state.Append{}, nil
	}
	v := voice{to.Agent, to.Name, call.ID}
	ctx, expire := context.WithDeadlineCause(ctx, s.begunAt(call.ID).Add(to.Timeout), errHandedTimeout)
	defer expire()
	sub, err := s.newStint(ctx, delegated(to), v, append(slices.Clip(s.path), to.Agent))
	var unready *agent.Error
	if errors.As(err, &unready) {
		return agent.Result{Status: agent.Failed, Text: "error: " + unready.Message}, state.Append{}, nil
	}
	if err != nil {
		return agent.Result{}, state.Append{}, err
	}
	sub.entries = append([]agent.Entry{{Kind: agent.User, ID: call.ID + "_task", Text: task, Within: call.ID}}, s.within(call.ID)...)
	o, err := sub.part()
	switch {
	case err != nil && s.ctx.Err() == nil && errors.Is(context.Cause(ctx), errHandedTimeout) && s.journal.lost() == nil:
		batch, err := sub.giveUp()
		return agent.Result{Status: agent.TimedOut, Text: fmt.Sprintf("error: %s did not finish within its time limit of %s", to.Name, to.Timeout)}, batch, err
	case err != nil:
		return agent.Result{}, state.Append{}, err
	case o.endsRun():
		return agent.Result{}, state.Append{}, &o
	case o.status != state.RunSuccess:
		return agent.Result{Status: agent.Failed, Text: "error: " + agent.Abridge(o.why, "")}, o.last, nil
	}
	return agent.Result{Status: agent.Done, Text: agent.Abridge(o.text, "")}, o.last, nil
}

// giveUp closes the calls that an agent leaves open when its time is over.
func (s *stint) giveUp() (state.Append, error) {
	var batch state.Append
	for _, lost := range agent.Interrupted(s.entries) {
		events, err := eventsOf(lost, state.ItemInterrupted)
		if err != nil {
			return batch, err
		}
		batch.Events = append(batch.Events, s.voice.all(events)...)
		s.add(lost)
	}
	return batch, nil
}

func taskOf(call agent.Call) (string, error) {
	object, err := agent.ObjectOf(call)
	if err != nil {
		return "", err
	}
	var args struct {
		Task string `json:"task"`
	}
	if err := json.Unmarshal(object, &args); err != nil {
		return "", fmt.Errorf("the arguments do not fit the tool's schema: %w", err)
	}
	if strings.TrimSpace(args.Task) == "" {
		return "", errors.New(`the argument "task" is missing`)
	}
	return args.Task, nil
}

// endsRun reports whether an outcome of one agent's part is that of the run.
func (o *outcome) endsRun() bool {
	return o.word == "budget" || o.word == "computer" || o.word == "run_steps"
}
