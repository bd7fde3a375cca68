package actors

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/executor"
	"github.com/bothy-computer/bothy/actors/agent/mcp"
	"github.com/bothy-computer/bothy/actors/modelgateway"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/trace"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

const (
	// maxHistoryBytes bounds what an executor without a session is told of the
	// conversation so far.
	maxHistoryBytes = 128 << 10
	// maxComplaint bounds what is kept of an executor's error output, and shown
	// is how much of that is told as the reason of a failure.
	maxComplaint, maxShown = 16 << 10, 1 << 10
)

// interruptedText is the end of a run whose executor was lost with its node.
const interruptedText = "%s was interrupted: the node that ran it was lost. What it had done by then is in the workspace, as far as that is still there; send another message to go on."

// execute has the run's executor do its work, in place of the loop: one turn,
// which is never begun twice.
func (s *stint) execute() (outcome, error) {
	e, ok := executor.Find(s.config.Executor)
	switch {
	case !ok:
		return *failed("executor", "There is no executor %q in this version of Bothy", s.config.Executor), nil
	case s.began():
		return *failed("interrupted", interruptedText, e.Name), nil
	}
	err := (&execution{stint: s, executor: e, purse: &purse{stint: s}}).do()
	var o *outcome
	if errors.As(err, &o) {
		return *o, nil
	}
	return outcome{}, err
}

// began reports whether the executor was started for this part before.
func (s *stint) began() bool {
	if s.voice.within == "" {
		return s.run.Began
	}
	return slices.ContainsFunc(s.past, func(e state.Event) bool { return e.Within == s.voice.within })
}

// execution is one turn of an executor.
type execution struct {
	*stint
	executor executor.Executor
	purse    *purse
	program  string // its path in the computer
	session  string // that the thread goes on in
	hearing  *hearing
}

// do works until the turn has ended; how is in its error, which is an outcome
// unless it cannot go on here.
func (x *execution) do() error {
	if _, err := x.computer(x.ctx); err != nil {
		return x.toolless(err)
	}
	if err := x.equip(); err != nil {
		return err
	}
	var err error
	if x.program, err = x.programs.ready(x.ctx, x.executor, x.say); err != nil {
		return x.toolless(err)
	}
	if x.session, err = x.goesOn(); err != nil {
		return err
	}
	if err := x.commit(x.beginning()); err != nil {
		return err
	}
	for {
		exit, complaint, err := x.turn()
		again := err == nil && exit.Code != 0 && x.session != "" && !x.hearing.heard && x.ctx.Err() == nil && x.purse.short() == ""
		if !again {
			return x.outcome(exit, complaint, err)
		}
		// Its session is gone, as with a disk that was lost.
		x.session = ""
		x.say("%s could not go on where it was and begins anew, with the conversation so far.", x.executor.Name)
	}
}

func (x *execution) say(format string, args ...any) {
	x.journal.push(x.voice.said(notice(format, args...)))
}

// goesOn finds the session that the thread has with this executor. A task that
// was handed on has none: the next one is another.
func (x *execution) goesOn() (string, error) {
	if x.voice.within != "" {
		return "", nil
	}
	t, err := applied(x.cluster, func(v *state.View) (state.Thread, error) {
		t, _, err := v.AnyThread(x.run.Thread)
		return t, err
	})
	if t.Session.Executor != x.executor.Name {
		return "", err
	}
	return t.Session.ID, err
}

// beginning says that the executor is started now, and gives back the money
// that was held to know that there is some: each call holds its own.
func (x *execution) beginning() state.Append {
	batch := state.Append{Began: x.voice.within == ""}
	if !batch.Began {
		batch.Events = []state.Event{x.voice.said(notice("%s works on it with %s.", x.voice.name, x.executor.Name))}
	}
	if x.reserved != nil {
		batch.Settle = x.settlement(0)
	}
	return batch
}

// turn runs the executor once, with a pass to its model for as long as that
// takes. All its calls are settled when it returns.
func (x *execution) turn() (exit Exit, complaint string, err error) {
	ctx, span := trace.Start(x.ctx, "executor", "bothy.executor", x.executor.Name, "bothy.agent", x.config.AgentName)
	defer func() { span.End(err) }()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	pass, err := x.open(ctx)
	if err != nil {
		return exit, "", err
	}
	x.hearing = &hearing{execution: x, listener: x.executor.Listen(), names: map[string]string{}, prefix: newID[string]("item"), stop: stop}
	var errs bytes.Buffer
	cmd := x.executor.Command(x.asTurn(pass))
	if err := x.lay(ctx, cmd); err != nil {
		return exit, "", errors.Join(err, pass.Close())
	}
	exit, err = x.local.run(ctx, *x.machine.grant, ExecRequest{Computer: x.work.computer.ID, Command: Command{
		Argv: cmd.Argv, Dir: inDir(x.config.Workdir, ""), Stdin: strings.NewReader(cmd.Stdin), Stdout: x.hearing, Stderr: &tail{&errs, maxComplaint},
		Env: append(append(x.variable[:len(x.variable):len(x.variable)], executor.TokenVariable+"="+pass.Token()), cmd.Env...),
	}})
	x.hearing.end()
	if closed := pass.Close(); closed != nil {
		x.log.Debug("close the model gateway", "err", closed)
	}
	if x.hearing.failed != nil {
		err = x.hearing.failed
	}
	return exit, errs.String(), err
}

// lay puts what a turn needs into the workspace.
func (x *execution) lay(ctx context.Context, cmd executor.Command) error {
	for _, dir := range cmd.Dirs {
		if err := x.machine.files.MkdirAll(dir); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cmd.Files)) {
		if _, err := x.machine.files.Write(ctx, name, strings.NewReader(cmd.Files[name]), workspace.WriteOptions{Mode: 0o600}); err != nil {
			return err
		}
	}
	return nil
}

// open lets the computer reach the model, and nobody else through it.
func (x *execution) open(ctx context.Context) (*modelgateway.Pass, error) {
	upstream, err := x.models.catalog.Upstream(x.config.Model)
	if err != nil {
		return nil, failed("not_configured", "%s", agent.AsError(err).Message)
	}
	inside, ok := x.driver.(runtime.Listener)
	if !ok {
		return nil, failed("computer", "this node's computers cannot be served from outside")
	}
	listener, err := inside.Listen(ctx, runtime.Epoch(x.machine.grant.epoch), runtime.ID(x.work.computer.ID))
	if err != nil {
		return nil, x.toolless(translate(err))
	}
	run := modelgateway.Run{Upstream: upstream, Purse: x.purse, Log: x.log, Watch: func() func(modelgateway.End) { return x.called(ctx) }}
	if x.servers != nil {
		told := len(x.servers.Notes())
		run.Tools, run.ToolsPath = x.servers.Handler(), mcp.ServePath
		for _, note := range x.servers.Notes()[told:] {
			x.say("%s", note)
		}
	}
	return x.gateway.Open(listener, run), nil
}

// called begins the span of a model call of the executor, and returns what ends
// it. Several go on at once.
func (x *execution) called(ctx context.Context) func(modelgateway.End) {
	_, span := trace.Start(ctx, "model call", "bothy.model", x.config.Model, "bothy.vendor", x.client.Vendor())
	begun := x.now()
	return func(e modelgateway.End) {
		var err error
		result := "ok"
		if e.Failure != "" {
			result = string(e.Failure)
			err = agent.Errorf(e.Failure, "%s", e.Failure)
		}
		x.metrics.steps.WithLabelValues(x.client.Vendor(), result).Observe(x.now().Sub(begun).Seconds())
		span.Set("bothy.tokens.input", strconv.FormatInt(e.Used.InputTokens, 10), "bothy.tokens.output", strconv.FormatInt(e.Used.OutputTokens, 10))
		span.End(err)
	}
}

// served are the agent's MCP servers as the executor finds them: with the node
// in between, which keeps their secrets and reaches them where the computer may
// not.
func (x *execution) served(pass *modelgateway.Pass) []executor.Server {
	if x.servers == nil {
		return nil
	}
	var all []executor.Server
	for _, name := range x.servers.Names() {
		all = append(all, executor.Server{Name: name, URL: pass.URL() + mcp.PathOf(name)})
	}
	return all
}

// asTurn is the run's message for the executor.
func (x *execution) asTurn(pass *modelgateway.Pass) executor.Turn {
	c := x.config
	said := x.entries
	if x.session != "" {
		said = nil
	}
	return executor.Turn{
		Program: x.program, Model: x.model.Name, VendorModel: x.model.VendorName, Conversation: x.conversation(), Protocol: x.models.catalog.ProtocolOf(c.Model), Gateway: pass.URL(), Token: pass.Token(), Dir: inDir(x.config.Workdir, ""),
		Session: x.session, Instructions: x.instructions(), Effort: agent.Effort(c.ReasoningEffort), Prompt: agent.Told(said, x.entries, maxHistoryBytes),
		WindowTokens: x.model.WindowTokens, MaxOutput: x.model.MaxOutputTokens, Servers: x.served(pass),
	}
}

// instructions are the agent's own and what is to be known of its skills, of
// which the computer has those of all agents of the run.
func (x *execution) instructions() string {
	return strings.TrimSpace(x.config.Instructions + "\n\n" + aboutSkills(x.config.Skills))
}

// conversation names what the executor goes on with: the thread, or a task that
// was handed on in it.
func (x *execution) conversation() string {
	if x.voice.within != "" {
		return x.voice.within
	}
	return string(x.run.Thread)
}

// outcome is how the run ends.
func (x *execution) outcome(exit Exit, complaint string, err error) error {
	var known *outcome
	switch {
	case errors.As(err, &known):
		return err
	case x.ctx.Err() != nil:
		return context.Cause(x.ctx)
	case err != nil:
		return x.toolless(gone(err))
	case x.purse.short() != "":
		return failed("budget", "%s", x.purse.short())
	case x.hearing.failure != "":
		return failed("executor", "%s failed: %s", x.executor.Name, clip(x.hearing.failure))
	case exit.Code != 0:
		x.log.Info("executor ended", "executor", x.executor.Name, "code", exit.Code, "signal", exit.Signal)
		return failed("executor", "%s ended with exit code %d: %s", x.executor.Name, exit.Code, lastBytes(complaint, maxShown))
	}
	return &outcome{status: state.RunSuccess, text: x.hearing.answer, word: string(agent.Completed)}
}

// lastBytes is the end of a text, of whole characters.
func lastBytes(text string, n int) string {
	text = strings.ToValidUTF8(strings.TrimSpace(text), "")
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[len(text)-n:], "")
}
