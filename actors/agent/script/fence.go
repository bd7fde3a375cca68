package script

import "strings"

// block is a fenced code block of a message, by CommonMark's rules.
type block struct {
	info   string // after the opening fence, trimmed
	code   string
	closed bool
}

// fence is an opening line.
type fence struct {
	char   byte
	length int
	indent int
	info   string
}

// parse returns the fenced blocks of a text in order. A longer fence holds
// shorter ones, tildes hold backticks and the reverse.
func parse(text string) []block {
	var blocks []block
	var open *fence
	var code strings.Builder
	for line := range strings.Lines(text) {
		bare := strings.TrimRight(line, "\r\n")
		switch {
		case open == nil:
			if f, ok := opening(bare); ok {
				open = &f
			}
		case closes(bare, *open):
			blocks = append(blocks, block{open.info, code.String(), true})
			open = nil
			code.Reset()
		default:
			code.WriteString(unindent(strings.TrimRight(line, "\r\n"), open.indent) + "\n")
		}
	}
	if open != nil {
		blocks = append(blocks, block{open.info, code.String(), false})
	}
	return blocks
}

// opening reads a line as an opening fence.
func opening(line string) (fence, bool) {
	rest := strings.TrimLeft(line, " ")
	indent := len(line) - len(rest)
	if indent > 3 || rest == "" || (rest[0] != '`' && rest[0] != '~') {
		return fence{}, false
	}
	info := strings.TrimLeft(rest, rest[:1])
	length := len(rest) - len(info)
	if length < 3 || (rest[0] == '`' && strings.Contains(info, "`")) {
		return fence{}, false
	}
	return fence{rest[0], length, indent, strings.TrimSpace(info)}, true
}

// closes reports whether the line ends a block opened by f.
func closes(line string, f fence) bool {
	rest := strings.TrimLeft(line, " ")
	if len(line)-len(rest) > 3 {
		return false
	}
	rest = strings.TrimRight(rest, " \t")
	return len(rest) >= f.length && strings.Trim(rest, string(f.char)) == ""
}

// unindent removes what the fence was indented by, where it is there.
func unindent(line string, indent int) string {
	for i := 0; i < indent && strings.HasPrefix(line, " "); i++ {
		line = line[1:]
	}
	return line
}
