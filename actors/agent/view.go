package agent

import "slices"

// lostText is what a model is told about a call whose end nobody saw.
const lostText = "interrupted: the computer's node was lost or the run was cancelled while this call was under way. " +
	"It may have run in part, in full or not at all, and is not run again by itself. " +
	"If the computer was moved, files that were not saved may be missing: look before you go on."

// maxQuotedUserBytes bounds how much of the user's latest message is repeated
// beside a summary.
const maxQuotedUserBytes = 32 << 10

// Interrupted returns a result for each call that has none, in the order of
// the calls. Commit them when a run is taken up or cancelled, before Next.
// Their ids are the call's id with a suffix, so that doing it twice makes the
// same entries.
func Interrupted(entries []Entry) []Entry {
	answered := map[string]bool{}
	for _, e := range entries {
		if e.Result != nil {
			answered[e.Result.Call] = true
		}
	}
	var lost []Entry
	for _, e := range entries {
		if e.Call != nil && !answered[e.Call.ID] {
			lost = append(lost, Entry{
				Kind: ToolResult, ID: e.Call.ID + "_lost", Step: e.Step, Within: e.Within,
				Result: &Result{Call: e.Call.ID, Status: Lost, Text: lostText},
			})
		}
	}
	return lost
}

// View returns what a model is shown of a transcript: the last summary and
// what came after it, with each reply followed at once by the results of all
// its calls, which is what every vendor demands. A call without a result is
// shown as interrupted; a result without its call is left out. Pictures are the
// newest of the run under way, within what a call may hold.
func View(entries []Entry) []Entry {
	results := map[string]Entry{}
	for _, e := range slices.Concat(entries, Interrupted(entries)) {
		if e.Result != nil {
			results[e.Result.Call] = e
		}
	}
	rest, view := afterSummary(entries)
	var open []Entry
	flush := func() {
		view = append(view, open...)
		open = nil
	}
	for _, e := range rest {
		switch {
		case e.Kind == ToolResult || e.Kind == Summary:
			continue
		case !byModel(e) || (len(open) > 0 && open[0].Step != e.Step):
			flush()
		}
		view = append(view, e)
		if e.Call != nil {
			open = append(open, results[e.Call.ID])
		}
		if e.Stop != "" {
			flush()
		}
	}
	flush()
	return pictured(view)
}

// afterSummary returns the entries after the last summary, and the message
// that stands for those before it: the summary and, in the user's own words,
// the request it was made under.
func afterSummary(entries []Entry) (rest, head []Entry) {
	for i := len(entries) - 1; i >= 0; i-- {
		if entries[i].Kind != Summary {
			continue
		}
		text := "Summary of the conversation so far, made because it grew too long:\n\n" + entries[i].Text
		if run := runOf(entries[:i]); run != nil {
			text += "\n\nThe user's latest message, which you are working on:\n\n" + headAndTail(run[0].Text, maxQuotedUserBytes, "")
		}
		return entries[i+1:], []Entry{{Kind: User, ID: entries[i].ID, Text: text}}
	}
	return entries, nil
}
