package agent

import "fmt"

// DefaultMaxSteps bounds the model calls of a run when a Loop does not say.
const DefaultMaxSteps = 100

// Outcome is how a run ended.
type Outcome string

const (
	Completed   Outcome = "completed"    // the model said all it wanted
	StepLimit   Outcome = "step_limit"   // it still asked for tools after the last step allowed
	OutputLimit Outcome = "output_limit" // its last reply was cut at the bound on output
	Declined    Outcome = "refused"      // it would not answer
	Broken      Outcome = "failed"       // it could not be called; Finish.Err says why
)

// Action is what a loop does next: CallModel, Compact, RunTool or Finish.
//
//	        ┌───────────────◀──────────────┐
//	        ▼                              │ all results there
//	   CallModel ──▶ reply with calls ──▶ RunTool, one call at a time
//	   ▲    │
//	   │    └──────▶ reply without ─────▶ Finish
//	Compact, when the transcript nears the model's window
type Action interface{ action() }

// CallModel asks for the model's reply number Step to View of the transcript.
type CallModel struct{ Step int }

// Compact asks for a Summary entry, made by CompactionRequest, before reply
// number Step can be asked for.
type Compact struct{ Step int }

// RunTool asks for the call's result.
type RunTool struct {
	Step int
	Call Call
}

// Finish ends the run. Text is what the model said last, or why there is
// nothing: it is always fit to be shown.
type Finish struct {
	Outcome Outcome
	Text    string
	Err     *Error // set when Outcome is Broken
}

func (CallModel) action() {}
func (Compact) action()   {}
func (RunTool) action()   {}
func (Finish) action()    {}

// Loop decides. It is a value without state: the same entries give the same
// action, on any node.
type Loop struct {
	MaxSteps int // model calls in a run; 0 is DefaultMaxSteps
	// WindowTokens is what the model can be shown and answer together; 0 means
	// there is no such bound, and nothing is compacted.
	WindowTokens int64
	// OutputTokens is the part of the window kept for the reply.
	OutputTokens int64
	// Count estimates the tokens of entries, never too few. It is only called
	// when WindowTokens is set.
	Count func([]Entry) int64
}

// Next decides what to do after what has been committed.
func (l Loop) Next(entries []Entry) Action {
	run := runOf(entries)
	if run == nil {
		return Finish{Outcome: Completed, Text: "There is no message to answer."}
	}
	step := lastStep(run)
	if step == 0 {
		return l.call(1, entries)
	}
	answered := map[string]bool{}
	for _, e := range run {
		if e.Result != nil {
			answered[e.Result.Call] = true
		}
	}
	reply := replyOf(run, step)
	calls := 0
	for _, e := range reply {
		if e.Call == nil {
			continue
		}
		calls++
		if !answered[e.Call.ID] {
			return RunTool{Step: step, Call: *e.Call}
		}
	}
	if calls == 0 {
		return finish(reply)
	}
	return l.call(step+1, entries)
}

// After decides what to do when a model call failed for good: a transcript
// that turned out too long is shortened once, everything else ends the run.
func (l Loop) After(entries []Entry, err error) Action {
	e := AsError(err)
	if e.Kind == ContextTooLong && compactable(entries) {
		return Compact{Step: lastStep(runOf(entries)) + 1}
	}
	return Finish{Outcome: Broken, Text: e.Message, Err: e}
}

// call is the model call of the step, unless the step is one too many or the
// transcript must be shortened first.
func (l Loop) call(step int, entries []Entry) Action {
	most := l.MaxSteps
	if most == 0 {
		most = DefaultMaxSteps
	}
	if step > most {
		return Finish{Outcome: StepLimit, Text: fmt.Sprintf(
			"Stopped: the model still asked for tools after %d steps, which is the limit for one run. Send another message to go on.", most)}
	}
	if l.WindowTokens > 0 && compactable(entries) && l.Count(View(entries)) > l.room() {
		return Compact{Step: step}
	}
	return CallModel{Step: step}
}

// room is how many tokens of transcript fit beside the reply, less a
// twentieth of the window because counts are estimates.
func (l Loop) room() int64 {
	return l.WindowTokens - l.OutputTokens - l.WindowTokens/20
}

// finish ends the run with the words of its last reply.
func finish(reply []Entry) Finish {
	f := Finish{Outcome: Completed, Text: textOf(reply)}
	switch reply[len(reply)-1].Stop {
	case StopLength:
		f.Outcome = OutputLimit
	case StopRefused:
		f.Outcome = Declined
		if f.Text == "" {
			f.Text = "The model declined to answer."
		}
	}
	return f
}

// runOf returns the entries from the last user message on, or nil.
func runOf(entries []Entry) []Entry {
	for i := len(entries) - 1; i >= 0; i-- {
		if entries[i].Kind == User {
			return entries[i:]
		}
	}
	return nil
}

// lastStep is the number of the last reply in the run, 0 before the first.
func lastStep(run []Entry) int {
	step := 0
	for _, e := range run {
		if byModel(e) {
			step = max(step, e.Step)
		}
	}
	return step
}

// replyOf returns the entries that the model made in the step.
func replyOf(run []Entry, step int) []Entry {
	var reply []Entry
	for _, e := range run {
		if byModel(e) && e.Step == step {
			reply = append(reply, e)
		}
	}
	return reply
}

func byModel(e Entry) bool {
	return e.Kind == Text || e.Kind == Reasoning || e.Kind == ToolCall
}

// textOf joins the words of a reply.
func textOf(reply []Entry) string {
	text := ""
	for _, e := range reply {
		if e.Kind != Text || e.Text == "" {
			continue
		}
		if text != "" {
			text += "\n\n"
		}
		text += e.Text
	}
	return text
}
