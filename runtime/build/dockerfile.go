package build

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/bothy-computer/bothy/runtime"
)

// Bounds of a Dockerfile.
const (
	maxDockerfileBytes     = 512 << 10
	maxDockerfileLineBytes = 60 << 10 // the parser's scanner ends at 64 KiB, and tells no line
	maxInstructionBytes    = 64 << 10 // joined over its continued lines
	maxInstructions        = 500
	maxStages              = 20
	maxNesting             = 50 // of ${a:-${b:-...}}
	maxReasonBytes         = 400
)

// SyntaxError says what is wrong with the text of a Dockerfile. It is
// runtime.ErrInvalid.
type SyntaxError struct {
	Line   int // from 1
	Reason string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("Dockerfile syntax error on line %d: %s", e.Line, e.Reason)
}

func (e *SyntaxError) Unwrap() error { return runtime.ErrInvalid }

func wrong(line int, format string, args ...any) *SyntaxError {
	reason := strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")
	if len(reason) > maxReasonBytes {
		reason = strings.ToValidUTF8(reason[:maxReasonBytes], "") + "..."
	}
	return &SyntaxError{max(line, 1), reason}
}

// file is a Dockerfile as it was read.
type file struct {
	escape   rune
	args     []*instructions.ArgCommand // before the first FROM
	stages   []*instructions.Stage
	warnings []parser.Warning
}

// read parses a Dockerfile and refuses what is not done here. It reports every
// mistake it can; the file is whole only when there is none.
func read(text string, lint *linter.Linter) (*file, []*SyntaxError) {
	if err := checkBounds(text); err != nil {
		return nil, []*SyntaxError{err}
	}
	result, err := parser.Parse(strings.NewReader(text))
	if err != nil {
		return nil, []*SyntaxError{located(err, 1)}
	}
	if n := len(result.AST.Children); n > maxInstructions {
		return nil, []*SyntaxError{wrong(result.AST.Children[maxInstructions].StartLine, "%d instructions are more than %d", n, maxInstructions)}
	}
	f := &file{escape: result.EscapeToken, warnings: result.Warnings}
	errs := refuseSyntax(text)
	for _, node := range result.AST.Children {
		if err := f.add(node, lint); err != nil {
			errs = append(errs, err)
		}
	}
	if len(f.stages) == 0 && len(errs) == 0 {
		errs = append(errs, wrong(1, "there is no FROM"))
	}
	return f, errs
}

// guarded keeps a panic of the parser's from ending a node: the text is a
// stranger's, and the parser somebody else's.
func guarded(do func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = wrong(1, "this text cannot be read: %v", v)
		}
	}()
	return do()
}

// add takes one instruction to the stage it belongs to.
func (f *file) add(node *parser.Node, lint *linter.Linter) *SyntaxError {
	parsed, err := instructions.ParseInstructionWithLinter(node, lint)
	if err != nil {
		return located(err, node.StartLine)
	}
	switch c := parsed.(type) {
	case *instructions.Stage:
		if f.stages = append(f.stages, c); len(f.stages) > maxStages {
			return wrong(node.StartLine, "%d stages are more than %d", len(f.stages), maxStages)
		}
		return nil
	case *instructions.ArgCommand:
		if len(f.stages) == 0 {
			f.args = append(f.args, c)
			return refuse(c, node)
		}
	}
	if len(f.stages) == 0 {
		return wrong(node.StartLine, "%s stands before the first FROM", strings.ToUpper(node.Value))
	}
	f.stages[len(f.stages)-1].AddCommand(parsed.(instructions.Command))
	return refuse(parsed.(instructions.Command), node)
}

// checkBounds keeps from the parser what it would take too long over, or not
// tell the line of.
func checkBounds(text string) *SyntaxError {
	if len(text) > maxDockerfileBytes {
		return wrong(1, "the Dockerfile is %d bytes and may be %d", len(text), maxDockerfileBytes)
	}
	number, begun := 0, 0
	var joined strings.Builder // an instruction, over its continued lines
	for line := range strings.Lines(text) {
		number++
		if len(line) > maxDockerfileLineBytes {
			return wrong(number, "the line is longer than %d bytes", maxDockerfileLineBytes)
		}
		if !utf8.ValidString(line) || strings.ContainsRune(line, 0) {
			return wrong(number, "the line is not UTF-8 text")
		}
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || trimmed[0] == '#' {
			continue // neither ends an instruction that is continued
		}
		if joined.Len() == 0 {
			begun = number
		}
		// Which sign continues a line is the parser's to know; to join too much
		// makes a bound no looser.
		continued := strings.HasSuffix(trimmed, `\`) || strings.HasSuffix(trimmed, "`")
		if continued {
			line = strings.TrimRight(line, " \t\r\n")
			line = line[:len(line)-1]
		}
		if joined.WriteString(line); joined.Len() > maxInstructionBytes {
			return wrong(begun, "the instruction is longer than %d bytes", maxInstructionBytes)
		}
		if continued {
			continue
		}
		if err := checkDepth(joined.String(), begun); err != nil {
			return err
		}
		joined.Reset()
	}
	return checkDepth(joined.String(), begun)
}

// manyTriggers is ONBUILD of ONBUILD of ONBUILD, which the parser goes down
// into and copies at each step.
var manyTriggers = regexp.MustCompile(`(?i)(?:onbuild\s+){3}`)

func checkDepth(instruction string, line int) *SyntaxError {
	if nesting(instruction) > maxNesting {
		return wrong(line, "${...} is nested deeper than %d", maxNesting)
	}
	if manyTriggers.MatchString(instruction) {
		return wrong(line, "ONBUILD is not supported")
	}
	return nil
}

var substitution = regexp.MustCompile(`\$\{|\}`)

// nesting is how deep ${ goes in a text, at most.
func nesting(text string) int {
	depth, deepest := 0, 0
	for _, at := range substitution.FindAllString(text, -1) {
		if at == "}" {
			depth = max(depth-1, 0)
		} else {
			depth++
		}
		deepest = max(deepest, depth)
	}
	return deepest
}

// located is an error of the parser's with the line that it tells.
func located(err error, line int) *SyntaxError {
	var at *parser.LocationError
	if errors.As(err, &at) && len(at.Locations) > 0 && len(at.Locations[0]) > 0 {
		line = at.Locations[0][0].Start.Line
	}
	return wrong(line, "%v", err)
}

// lineOf is where an instruction begins.
func lineOf(location []parser.Range) int {
	if len(location) == 0 {
		return 1
	}
	return location[0].Start.Line
}
