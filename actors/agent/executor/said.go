package executor

import "github.com/bothy-computer/bothy/actors/agent"

// Said is one thing that a CLI told. Exactly one field is set.
type Said struct {
	// Session is the CLI's own name for the conversation.
	Session string
	// Entry is whole and part of the transcript. Its ID and the ids of calls are
	// the CLI's own, unique in the turn.
	Entry *agent.Entry
	// Warning is for who looks for a fault; the turn goes on.
	Warning string
	// Failure is why the turn did not end well.
	Failure string
}

// Listener makes sense of a turn's output, line by line. It is a fold: what it
// says of a line depends on the turn's earlier lines alone.
type Listener interface {
	Line(line []byte) []Said
}

func text(id, words string) []Said {
	if words == "" {
		return nil
	}
	return []Said{{Entry: &agent.Entry{Kind: agent.Text, ID: id, Text: words}}}
}

func thought(id, words string) []Said {
	if words == "" {
		return nil
	}
	return []Said{{Entry: &agent.Entry{Kind: agent.Reasoning, ID: id, Text: words}}}
}

func called(id, name, arguments string) Said {
	return Said{Entry: &agent.Entry{Kind: agent.ToolCall, ID: id, Call: &agent.Call{ID: id, Name: name, Arguments: arguments}}}
}

func resulted(id string, r agent.Result) Said {
	r.Call = id
	return Said{Entry: &agent.Entry{Kind: agent.ToolResult, ID: id + "_r", Result: &r}}
}
