package script

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/bothy-computer/bothy/actors/agent"
)

// piece is a block that will be run or written.
type piece struct {
	number int    // of the block in the message, from 1
	label  string // for people: "bash" or "file hello.py"
	tool   string
	args   any
	retry  bool // may run again after it was interrupted
}

// plan is what a message asks for.
type plan struct {
	pieces  []piece
	skipped []string // why a block is not run, one for each
	broken  string   // why nothing is run at all
}

// interpreters are the programs for the languages that are run, beside the
// shell itself. Both read a program from standard input.
var interpreters = map[string]string{
	"python": "python3 -", "python3": "python3 -", "py": "python3 -",
	"node": "node -", "javascript": "node -", "js": "node -",
}

var shells = map[string]bool{"bash": true, "sh": true, "shell": true}

// planOf decides what is done with each block of the message.
func planOf(message string) plan {
	var p plan
	for i, b := range parse(message) {
		if !b.closed {
			return plan{broken: fmt.Sprintf("Block %d is not closed, so the message may be cut off. Nothing was run.", i+1)}
		}
		language, file, retry := readInfo(b.info)
		next := piece{number: i + 1, label: language, tool: agent.ShellTool, retry: retry}
		switch {
		case file != "":
			next.label, next.tool = "file "+file, agent.WriteFileTool
			next.args = agent.WriteFileArgs{Path: file, Content: b.code}
		case strings.TrimSpace(b.code) == "" && (shells[language] || interpreters[language] != ""):
			p.skipped = append(p.skipped, fmt.Sprintf("block %d is empty", i+1))
			continue
		case shells[language]:
			// Without -e a block would go on after a command that failed.
			next.args = agent.ShellArgs{Command: "set -e\n" + b.code}
		case interpreters[language] != "":
			next.args = agent.ShellArgs{Command: heredoc(interpreters[language], b.code)}
		default:
			p.skipped = append(p.skipped, fmt.Sprintf("block %d (%s) is neither bash, sh, python nor node and has no file=PATH", i+1, orPlain(language)))
			continue
		}
		p.pieces = append(p.pieces, next)
	}
	return p
}

// call is the tool call for the piece.
func (p piece) call(id string) (*agent.Call, error) {
	arguments, err := json.Marshal(p.args)
	if err != nil {
		return nil, fmt.Errorf("block %d: %w", p.number, err)
	}
	return &agent.Call{ID: id, Name: p.tool, Arguments: string(arguments)}, nil
}

// heredoc gives a program its source on standard input, so that it runs in
// the working directory and finds modules there. The delimiter is a word that
// no line of the source is.
func heredoc(program, code string) string {
	word := "END"
	for n := 1; strings.Contains("\n"+code, "\n"+word+"\n"); n++ {
		word = fmt.Sprintf("END_%d", n)
	}
	return fmt.Sprintf("%s <<'%s'\n%s%s\n", program, word, code, word)
}

// readInfo reads a block's info string: the language first, then words, of
// which file=PATH (or file="a path") and retry are known. A first word with =
// means that no language is named.
func readInfo(info string) (language, file string, retry bool) {
	for i, word := range words(info) {
		name, value, set := strings.Cut(word, "=")
		switch {
		case set && name == "file":
			file = value
		case i > 0 && word == "retry":
			retry = true
		case i == 0 && !set:
			language = strings.ToLower(word)
		}
	}
	return language, file, retry
}

// words splits at spaces, except within double quotes, which are dropped.
func words(info string) []string {
	var list []string
	var word strings.Builder
	quoted := false
	for _, r := range info + " " {
		switch {
		case r == '"':
			quoted = !quoted
		case (r == ' ' || r == '\t') && !quoted:
			if word.Len() > 0 {
				list = append(list, word.String())
			}
			word.Reset()
		default:
			word.WriteRune(r)
		}
	}
	if word.Len() > 0 { // an open quote: the rest is one word
		list = append(list, strings.TrimSpace(word.String()))
	}
	return list
}

func orPlain(language string) string {
	if language == "" {
		return "no language"
	}
	return language
}
