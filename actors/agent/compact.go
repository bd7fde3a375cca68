package agent

import (
	"fmt"
	"strings"
)

// Bounds of the text that is given to a model to be summarised.
const (
	maxSummarisedPieceBytes = 4 << 10 // of one entry
	minSummarisedBytes      = 16 << 10
	// MaxSummaryTokens bounds the summary itself.
	MaxSummaryTokens = 8192
)

const compactionInstructions = `You shorten the record of an agent's work so that the work can go on from your summary alone.
Keep, in this order: what the user wants, in their own terms and with every constraint; what was decided and why; what was done, with exact file paths, commands, names, numbers and error texts that matter later; what is still to be done; anything that failed and must not be tried the same way again.
Write plain text. Do not add advice or anything that is not in the record.`

// compactable reports whether there is anything beside the latest message
// that a summary could stand for.
func compactable(entries []Entry) bool {
	rest, _ := afterSummary(entries)
	for i, e := range rest {
		if byModel(e) || (e.Kind == User && i < len(rest)-1) {
			return true
		}
	}
	return false
}

// CompactionRequest is the model call that makes a summary of the transcript.
// maxBytes bounds the text sent, so that it fits the window that the
// transcript outgrew; two bytes for each token of the window are safe.
func CompactionRequest(model string, entries []Entry, maxBytes int) Request {
	var record strings.Builder
	for _, e := range View(entries) {
		piece := headAndTail(plain(e), maxSummarisedPieceBytes, "")
		if e.Kind != Reasoning && piece != "" {
			record.WriteString(piece + "\n\n")
		}
	}
	return Request{
		Model:        model,
		Instructions: compactionInstructions,
		Entries: []Entry{{
			Kind: User, ID: "record",
			Text: "The record:\n\n" + headAndTail(record.String(), max(maxBytes, minSummarisedBytes), "") + "\n\nWrite the summary now.",
		}},
		MaxOutputTokens: MaxSummaryTokens,
	}
}

// SummaryEntry turns the reply to a CompactionRequest into the entry to
// commit. A reply without words is an error, because committing it would
// forget the work.
func SummaryEntry(id string, step int, reply Reply) (Entry, error) {
	text := strings.TrimSpace(textOf(reply.Entries))
	if text == "" || reply.Stop == StopRefused {
		return Entry{}, Errorf(ContextTooLong, "the transcript is too long for the model, and the model gave no summary of it")
	}
	return Entry{Kind: Summary, ID: id, Step: step, Text: text}, nil
}

// Told is a run's message for somebody who knows nothing of the conversation
// before it: that as a record of at most maxBytes, of the entries in before, then
// the message, which is the last of all.
func Told(before, all []Entry, maxBytes int) string {
	run := runOf(all)
	if run == nil {
		return ""
	}
	var record strings.Builder
	if len(before) >= len(run) {
		for _, e := range View(before[:len(before)-len(run)]) {
			if piece := headAndTail(plain(e), maxSummarisedPieceBytes, ""); e.Kind != Reasoning && piece != "" {
				record.WriteString(piece + "\n\n")
			}
		}
	}
	if record.Len() == 0 {
		return run[0].Text
	}
	return "The conversation so far:\n\n" + headAndTail(record.String(), maxBytes, "") + "\n\nThe message to answer now:\n\n" + run[0].Text
}

// plain is an entry as a line of a record.
func plain(e Entry) string {
	switch e.Kind {
	case User:
		return "USER: " + e.Text
	case Text:
		return "AGENT: " + e.Text
	case ToolCall:
		return fmt.Sprintf("AGENT RUNS %s: %s", e.Call.Name, e.Call.Arguments)
	case ToolResult:
		return fmt.Sprintf("RESULT (%s): %s", e.Result.Status, e.Result.Text)
	}
	return ""
}
