package actors

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/cluster/state"
)

// workspaceDir is where a computer's user and its tools work.
const workspaceDir = "/workspace"

func replaceDir(text, dir string) string { return strings.ReplaceAll(text, "%DIR%", dir) }

// kept is what an entry needs beside an event's public fields to be replayed
// as it was. It rides in Event.Provider and is never shown.
type kept struct {
	Step   int                `json:"step,omitempty"`
	Stop   agent.StopReason   `json:"stop,omitempty"`
	Vendor string             `json:"vendor,omitempty"`
	State  []byte             `json:"state,omitempty"`
	Cut    bool               `json:"cut,omitempty"`
	Result agent.ResultStatus `json:"result,omitempty"`
	Saved  string             `json:"saved,omitempty"`
	// Pictures are files of the workspace.
	Pictures []agent.Picture `json:"pictures,omitempty"`
}

// itemOf says under which type an entry is streamed. User entries are messages.
var itemOf = map[agent.EntryKind]state.ItemType{
	agent.Text: state.ItemText, agent.Reasoning: state.ItemReasoning, agent.ToolCall: state.ItemToolCall,
	agent.ToolResult: state.ItemToolResult, agent.Summary: state.ItemSummary,
}

// kindOfItem is itemOf the other way round.
var kindOfItem = func() map[state.ItemType]agent.EntryKind {
	kinds := map[state.ItemType]agent.EntryKind{}
	for kind, item := range itemOf {
		kinds[item] = kind
	}
	return kinds
}()

// eventsOf are the events by which an entry enters the log: the entry itself,
// and a file change for each file that a tool wrote.
func eventsOf(e agent.Entry, status string) ([]state.Event, error) {
	k := kept{Step: e.Step, Stop: e.Stop, Vendor: e.Vendor, State: e.State}
	event := state.Event{Kind: state.EventItemCompleted, Item: e.ID, Type: itemOf[e.Kind], Text: e.Text, Status: status}
	if e.Call != nil {
		k.Cut = e.Call.Cut
		event.Tool = &state.ToolCall{ID: e.Call.ID, Name: e.Call.Name, Arguments: e.Call.Arguments}
	}
	if r := e.Result; r != nil {
		k.Result, k.Saved, k.Pictures = r.Status, r.Saved, r.Pictures
		event.Tool = &state.ToolCall{ID: r.Call, Output: r.Text, ExitCode: r.ExitCode, Failed: r.Status != agent.Done, Millis: r.Duration.Milliseconds()}
		event.Status = resultStatus(r.Status)
	}
	provider, err := json.Marshal(k)
	if err != nil {
		return nil, fmt.Errorf("keep an entry's state: %w", err)
	}
	event.Provider = provider
	events := []state.Event{event}
	if e.Result != nil {
		for i, c := range e.Result.Changes {
			events = append(events, state.Event{Kind: state.EventItemCompleted, Item: fmt.Sprintf("%s_f%d", e.ID, i),
				Type: state.ItemFileChange, Status: state.ItemComplete, Path: c.Path, Change: string(c.Kind)})
		}
	}
	return events, nil
}

func resultStatus(s agent.ResultStatus) string {
	switch s {
	case agent.Done:
		return state.ItemComplete
	case agent.Lost:
		return state.ItemInterrupted
	}
	return state.ItemFailed
}

// entryOf reads an entry back from its event; ok is false for events that are
// not part of the transcript.
func entryOf(e state.Event) (entry agent.Entry, ok bool, err error) {
	kind, known := kindOfItem[e.Type]
	if e.Kind != state.EventItemCompleted || e.Status == state.ItemIncomplete || !known {
		return entry, false, nil
	}
	var k kept
	if err := json.Unmarshal(e.Provider, &k); err != nil {
		return entry, false, fmt.Errorf("event %d: %w", e.Seq, err)
	}
	entry = agent.Entry{Kind: kind, ID: e.Item, Within: e.Within, Step: k.Step, Text: e.Text, Stop: k.Stop, Vendor: k.Vendor, State: k.State}
	switch {
	case e.Tool == nil:
	case kind == agent.ToolCall:
		entry.Call = &agent.Call{ID: e.Tool.ID, Name: e.Tool.Name, Arguments: e.Tool.Arguments, Cut: k.Cut}
	case kind == agent.ToolResult:
		entry.Result = &agent.Result{Call: e.Tool.ID, Status: k.Result, Text: e.Tool.Output, ExitCode: e.Tool.ExitCode,
			Saved: k.Saved, Pictures: k.Pictures, Duration: time.Duration(e.Tool.Millis) * time.Millisecond}
	}
	return entry, true, nil
}

// maxTranscriptRecords bounds what is read of one thread: far more than any
// model's window holds after compaction.
const maxTranscriptRecords = 100_000

// transcript is a thread's messages and items in the order they came, as the
// loop reads them. Events holds what the current run has in the log already.
type transcript struct {
	entries []agent.Entry // without what was done within handoffs
	lastSeq uint64
	events  []state.Event // of the run, for taking it up
	within  []agent.Entry // of the run, made within handoffs
}

// readTranscript merges messages and completed items: a message came after the
// event it names.
func readTranscript(v *state.View, t state.Thread, run state.RunID) (transcript, error) {
	tr := transcript{lastSeq: t.LastSeq}
	list, err := v.Messages(t.Account, t.ID, state.Page{Limit: maxTranscriptRecords}, false)
	if err != nil {
		return tr, err
	}
	users := list.Items
	flush := func(seq uint64) {
		for len(users) > 0 && users[0].AfterSeq < seq {
			if users[0].Role == "user" {
				tr.entries = append(tr.entries, said(string(users[0].ID), users[0].Content, users[0].Attachments))
			}
			users = users[1:]
		}
	}
	var failed error
	err = v.Events(t.ID, 0, func(e state.Event) bool {
		flush(e.Seq)
		if e.Run == run {
			tr.events = append(tr.events, e)
		}
		entry, ok, err := entryOf(e)
		switch {
		case ok && entry.Within == "":
			tr.entries = append(tr.entries, entry)
		case ok && e.Run == run:
			tr.within = append(tr.within, entry)
		}
		failed = err
		return err == nil
	})
	flush(^uint64(0))
	if failed != nil {
		return tr, failed
	}
	return tr, err
}

// splitText cuts an entry's long text into entries that each fit an event.
func splitText(entries []agent.Entry) []agent.Entry {
	var parts []agent.Entry
	for _, e := range entries {
		for n := 1; len(e.Text) > maxItemBytes && e.Call == nil && e.Result == nil; n++ {
			cut := runeCut(e.Text, maxItemBytes)
			head := e
			head.Text, head.Stop, head.State = e.Text[:cut], "", nil
			head.ID = fmt.Sprintf("%s_%d", e.ID, n)
			parts = append(parts, head)
			e.Text = e.Text[cut:]
		}
		parts = append(parts, e)
	}
	return parts
}

// maxItemBytes leaves room in an event for what stands beside the text.
const maxItemBytes = 48 << 10

// runeCut is the largest cut of s at or below n that splits no character.
func runeCut(s string, n int) int {
	for n > 0 && n < len(s) && s[n]&0xC0 == 0x80 {
		n--
	}
	return n
}
