package agent

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxToolOutputBytes bounds how much of a tool's output a model is shown.
const MaxToolOutputBytes = 16 << 10

// OutputFile is the workspace file that holds a call's whole output, when that
// is too long for a model.
func OutputFile(call string) string { return OutputDir + "/" + call + ".txt" }

// Abridge returns text unchanged when a model may be shown all of it, else its
// head and tail, with a note between that says how much is left out and where
// it is.
func Abridge(text, where string) string { return headAndTail(text, MaxToolOutputBytes, where) }

// headAndTail returns text unchanged when it fits in most bytes, else its
// first and last halves with a note between that says how much is missing
// and, when where is set, where it is.
func headAndTail(text string, most int, where string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= most {
		return text
	}
	head, tail := cutHead(text, most/2), cutTail(text, most/2)
	return head + cutNote(len(text)-len(head)-len(tail), where) + tail
}

// Shorten is what a transcript keeps of what a tool was given or answered.
func Shorten(text string) string { return headAndTail(text, MaxToolOutputBytes, "") }

// cutNote is what stands for bytes left out.
func cutNote(bytes int, where string) string {
	note := fmt.Sprintf("\n\n[... %d bytes left out", bytes)
	if where != "" {
		note += "; " + where
	}
	return note + " ...]\n\n"
}

// cutHead returns at most n bytes of the start, never half a character.
func cutHead(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// cutTail returns at most n bytes of the end, never half a character.
func cutTail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	from := len(s) - n
	for from < len(s) && !utf8.RuneStart(s[from]) {
		from++
	}
	return s[from:]
}
