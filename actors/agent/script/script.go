package script

import (
	"context"
	"fmt"
	"strings"

	"github.com/bothy-computer/bothy/actors/agent"
)

// Name is the model's name in every list of models.
const Name = "script"

// Bounds of an answer and of a block's tries.
const (
	maxShownBytes = 4 << 10 // of one block's output
	maxTries      = 3       // of a block that says retry
)

const explanation = `This thread runs with the model "script", which is not a language model: it cannot understand a request, it only runs code that a message holds.

What it does with fenced blocks, in order:
- bash, sh, python and node blocks are run in the computer's workspace;
- a block with file=PATH after its language is written to that file.

For example:

~~~python file=hello.py
print("hello")
~~~

~~~bash
python3 hello.py
~~~

To have requests answered by a language model, start the node with OPENAI_API_KEY (and OPENAI_BASE_URL for another server that speaks the same protocol, such as vLLM or Ollama) or ANTHROPIC_API_KEY in its environment, and use one of that vendor's models.`

// Model runs the code of messages. The zero value is ready for use.
type Model struct{}

// Vendor implements agent.Model.
func (Model) Vendor() string { return Name }

// Call implements agent.Model. The answer follows from the transcript alone,
// so a run that is taken up elsewhere goes on where it was.
func (Model) Call(ctx context.Context, req agent.Request, emit func(agent.Delta)) (agent.Reply, error) {
	if err := ctx.Err(); err != nil {
		return agent.Reply{}, agent.AsError(err)
	}
	message, results := lastRun(req.Entries)
	p := planOf(message)
	if p.broken != "" || len(p.pieces) == 0 {
		return say(emit, strings.TrimSpace(p.broken+"\n\n"+notes(p.skipped)+explanation)), nil
	}
	ran, stopped := follow(p.pieces, results)
	if stopped != "" || len(ran) == len(p.pieces) {
		return say(emit, report(p, ran, stopped)), nil
	}
	next := p.pieces[len(ran)]
	call, err := next.call(fmt.Sprintf("block_%d_%d", next.number, len(results)+1))
	if err != nil {
		return agent.Reply{}, agent.Errorf(agent.BadRequest, "read the message: %w", err)
	}
	return agent.Reply{Entries: []agent.Entry{{Kind: agent.ToolCall, ID: "0", Call: call}}, Stop: agent.StopEnd}, nil
}

// lastRun returns the latest message and the results since.
func lastRun(entries []agent.Entry) (message string, results []agent.Result) {
	for _, e := range entries {
		switch {
		case e.Kind == agent.User:
			message, results = e.Text, nil
		case e.Result != nil:
			results = append(results, *e.Result)
		}
	}
	return message, results
}

// follow tells how far the results have come through the pieces: the last
// result of each piece that is over, and why nothing more is to be run.
func follow(pieces []piece, results []agent.Result) (ran []agent.Result, stopped string) {
	tries := 0
	for _, r := range results {
		if len(ran) == len(pieces) {
			break
		}
		p := pieces[len(ran)]
		tries++
		if r.Status == agent.Lost && p.retry && tries < maxTries {
			continue
		}
		ran, tries = append(ran, r), 0
		switch r.Status {
		case agent.Done:
		case agent.Lost:
			return ran, fmt.Sprintf("Stopped: block %d (%s) was interrupted, and nobody knows how far it came. It was not run again; a block with the word retry after its language would have been.", p.number, p.label)
		case agent.TimedOut:
			return ran, fmt.Sprintf("Stopped: block %d (%s) ran into its time limit.", p.number, p.label)
		default:
			return ran, fmt.Sprintf("Stopped: block %d (%s) failed.", p.number, p.label)
		}
	}
	return ran, ""
}

// report says how each block ended, with its output.
func report(p plan, ran []agent.Result, stopped string) string {
	var b strings.Builder
	if stopped != "" {
		b.WriteString(stopped + "\n\n")
	}
	b.WriteString(notes(p.skipped))
	for i, piece := range p.pieces {
		if i >= len(ran) {
			fmt.Fprintf(&b, "Block %d (%s): not run\n", piece.number, piece.label)
			continue
		}
		fmt.Fprintf(&b, "Block %d (%s): %s\n", piece.number, piece.label, ending(ran[i]))
		if text := strings.TrimRight(shown(ran[i].Text), "\n"); text != "" && piece.tool == agent.ShellTool {
			mark := fenceFor(text)
			fmt.Fprintf(&b, "\n%stext\n%s\n%s\n\n", mark, text, mark)
		}
	}
	b.WriteString("\nRun by the model \"script\", which is not a language model.")
	return b.String()
}

// ending is how a result ended, in words.
func ending(r agent.Result) string {
	switch {
	case r.ExitCode != nil:
		return fmt.Sprintf("exit code %d", *r.ExitCode)
	case r.Status == agent.Done || r.Status == agent.Failed || r.Status == agent.Invalid:
		return r.Text
	}
	return strings.ReplaceAll(string(r.Status), "_", " ")
}

// shown is the part of an output that an answer repeats.
func shown(text string) string {
	if at := strings.LastIndex(text, "\n[exit code "); at >= 0 {
		text = text[:at]
	}
	if len(text) <= maxShownBytes {
		return text
	}
	return "[...]" + strings.ToValidUTF8(text[len(text)-maxShownBytes:], "")
}

// fenceFor is a fence longer than any run of backticks in the text.
func fenceFor(text string) string {
	mark := "```"
	for strings.Contains(text, mark) {
		mark += "`"
	}
	return mark
}

// notes says which blocks are left out.
func notes(skipped []string) string {
	if len(skipped) == 0 {
		return ""
	}
	return "Left out: " + strings.Join(skipped, "; ") + ".\n\n"
}

// say answers with words.
func say(emit func(agent.Delta), text string) agent.Reply {
	emit(agent.Delta{Kind: agent.TextDelta, Item: "0", Text: text})
	return agent.Reply{Entries: []agent.Entry{{Kind: agent.Text, ID: "0", Text: text}}, Stop: agent.StopEnd}
}
