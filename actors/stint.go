package actors

import (
	"context"
	"errors"
	"strconv"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/catalog"
	"github.com/bothy-computer/bothy/actors/agent/mcp"
	"github.com/bothy-computer/bothy/actors/agent/tokens"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/trace"
)

// stint is one agent's part in a run: that of the run's own agent, or of one
// that a task was handed to. Each has its own model, tools and transcript; the
// log, the money and the computer are the run's.
type stint struct {
	*work
	config   state.RunConfig
	client   agent.Model
	model    catalog.Model
	loop     agent.Loop
	entries  []agent.Entry // its transcript
	voice    voice
	path     []state.AgentID // those that the task came through, itself included
	servers  *mcp.Set        // nil for an agent without any
	kit      kit
	equipped bool // servers were started
	grown    bool // what is held for the next call may be too little
	computer func(context.Context) (agent.Computer, error)
	// ctx is the run's own, or ends before it with the agent's time.
	ctx  context.Context
	step tracedStep
}

// tracedStep is the span of a model call and of the tools that it asked for.
type tracedStep struct {
	number int
	ctx    context.Context // nil before the first
	span   trace.Span
}

// inStep is ctx as part of a step, whose span begins with its first part.
func (s *stint) inStep(step int) context.Context {
	if s.step.ctx == nil || s.step.number != step {
		s.step.span.End(nil)
		ctx, span := trace.Start(s.ctx, "step", "bothy.step", strconv.Itoa(step), "bothy.agent", s.config.AgentName)
		s.step = tracedStep{step, ctx, span}
	}
	return s.step.ctx
}

// voice marks events with the agent that they are of; the run's own agent has
// none.
type voice struct {
	agent  state.AgentID
	name   string
	within string // the call by which the task was handed to it
}

func (v voice) said(e state.Event) state.Event {
	if v.within != "" {
		e.Agent, e.AgentName, e.Within = v.agent, v.name, v.within
	}
	return e
}

func (v voice) all(events []state.Event) []state.Event {
	for i := range events {
		events[i] = v.said(events[i])
	}
	return events
}

// newStint prepares an agent's part; the error is an *agent.Error when its
// model cannot be called here.
func (w *work) newStint(ctx context.Context, config state.RunConfig, v voice, path []state.AgentID) (*stint, error) {
	client, model, err := w.models.catalog.Open(config.Model)
	if err != nil {
		return nil, err
	}
	s := &stint{work: w, config: config, client: client, model: model, voice: v, path: path, ctx: ctx,
		kit: builtIn(), computer: w.machine.in(config.Workdir)}
	s.loop = agent.Loop{WindowTokens: model.WindowTokens, OutputTokens: model.MaxOutputTokens, Count: func(entries []agent.Entry) int64 {
		return tokens.For(client.Vendor(), w.models.counter.Entries(entries))
	}}
	if client.Vendor() == "script" {
		s.loop.WindowTokens = 0
	}
	if handoffs := s.handoffTools(); len(handoffs) > 0 {
		s.kit.tools, s.grown = append(s.kit.tools, handoffs...), true
	}
	return s, s.enlist()
}

// part does the agent's part, by the loop or by its executor.
func (s *stint) part() (outcome, error) {
	if s.config.Executor != "" {
		return s.execute()
	}
	return s.turn()
}

// turn is the loop: it asks what is next and does it, until the agent's work
// has an outcome. An error means that it has none, or none here.
func (s *stint) turn() (outcome, error) {
	defer func() { s.step.span.End(nil) }()
	for {
		if stop := context.Cause(s.ctx); stop != nil {
			return outcome{}, stop
		}
		select {
		case <-s.leaves:
			return outcome{}, errLeaves
		default:
		}
		var err error
		switch next := s.loop.Next(s.entries).(type) {
		case agent.CallModel:
			err = s.callModel(next.Step)
		case agent.Compact:
			err = s.compact(next.Step)
		case agent.RunTool:
			err = s.runTool(next)
		case agent.Finish:
			return *outcomeOf(next), nil
		}
		var o *outcome
		if errors.As(err, &o) {
			return *o, nil
		}
		if err != nil {
			return outcome{}, err
		}
	}
}

// add takes a committed entry into the transcript.
func (s *stint) add(e agent.Entry) {
	e.Within = s.voice.within
	s.entries = append(s.entries, e)
	s.work.note(e)
}

// estimate is what the next call of a transcript is to be reserved.
func (s *stint) estimate(entries []agent.Entry) (*state.Reservation, error) {
	return s.models.estimate(s.config, s.kit, entries)
}
