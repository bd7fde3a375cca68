package build

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// Bounds of what variables may grow a Dockerfile to. A value is used as often
// as its name is written, and may hold others, so text alone bounds nothing.
const (
	maxExpandedBytes    = 4 << 20  // that variables give, in the whole Dockerfile
	maxEnvironmentBytes = 64 << 10 // of one stage; a kernel passes more, people do not
	maxVariables        = 1000
	maxPatternBytes     = 2 << 10 // of a word with ${a#b}, ${a%b} or ${a/b/c}, and of what it matches
	maxPatternWork      = 4 << 20 // word times what variables give it, in the whole Dockerfile
	maxDocumentBytes    = 1 << 20 // of all heredocs of COPY and ADD, expanded
)

// variables are set one after the other, as ENV and ARG do.
type variables struct {
	names  []string
	values map[string]string
	bytes  int
	listed []string // what list made, until the next put
}

func newVariables(env []string) *variables {
	v := &variables{values: map[string]string{}}
	for _, pair := range env {
		name, value, _ := strings.Cut(pair, "=")
		v.put(name, value)
	}
	return v
}

func (v *variables) clone() *variables { return newVariables(v.list()) }

// set is put within bounds.
func (v *variables) set(name, value string) error {
	if v.put(name, value); v.bytes > maxEnvironmentBytes {
		return fmt.Errorf("%s makes the environment larger than %d bytes", quoted(name), maxEnvironmentBytes)
	}
	if len(v.names) > maxVariables {
		return fmt.Errorf("%s is one variable more than %d", quoted(name), maxVariables)
	}
	return nil
}

func (v *variables) put(name, value string) {
	if old, ok := v.values[name]; ok {
		v.bytes -= len(name) + len(old)
	} else {
		v.names = append(v.names, name)
	}
	v.values[name], v.listed = value, nil
	v.bytes += len(name) + len(value)
}

// list is the variables as KEY=value, in the order they were first set. Steps
// share it.
func (v *variables) list() []string {
	if v.listed == nil {
		v.listed = make([]string, 0, len(v.names))
		for _, name := range v.names {
			v.listed = append(v.listed, name+"="+v.values[name])
		}
	}
	return v.listed
}

// expander fills variables in, and counts what they give.
type expander struct {
	escape rune
	given  int
	work   int // of patterns
	// unset is called with the names of variables that nobody has set.
	unset func(name string)
}

// word expands a word of an instruction, without its quotes.
func (e *expander) word(word string, of *variables) (string, error) {
	return e.expand(shell.NewLex(e.escape), word, of)
}

// document expands a heredoc, in which quotes mean nothing.
func (e *expander) document(text string, of *variables) (string, error) {
	lex := shell.NewLex('\\')
	lex.SkipProcessQuotes = true
	return e.expand(lex, text, of)
}

// patterned finds substitutions whose work grows with word times value, and
// those that can make both grow.
var patterned = regexp.MustCompile(`\$\{(?:[\pL\pN_]+|[@*#?$!-])?(//|[/#%])`)

func (e *expander) expand(lex *shell.Lex, text string, of *variables) (string, error) {
	if !strings.ContainsAny(text, "$'\"\\`") {
		return text, nil
	}
	if nesting(text) > maxNesting {
		return "", fmt.Errorf("${...} is nested deeper than %d", maxNesting)
	}
	from := &metered{variables: of, left: maxExpandedBytes - e.given}
	found := patterned.FindAllStringSubmatch(text, -1)
	if found != nil {
		replaces := slices.DeleteFunc(found, func(f []string) bool { return f[1] != "//" })
		if len(text) > maxPatternBytes || len(replaces) > 1 {
			return "", fmt.Errorf("a text with ${name#pattern}, ${name%%pattern} or ${name/pattern/text} may be %d bytes, and have // once", maxPatternBytes)
		}
		from.left = min(from.left, maxPatternBytes)
	}
	most := from.left
	result, unset, err := lex.ProcessWord(text, from)
	e.given += most - from.left
	if found != nil {
		e.work += len(text) * (most - from.left)
	}
	switch {
	case e.work > maxPatternWork:
		return "", errors.New("${name#pattern}, ${name%pattern} and ${name/pattern/text} are too many, or their patterns and variables too long")
	case from.over && most == maxPatternBytes:
		return "", fmt.Errorf("variables give more than %d bytes to a text with a pattern", maxPatternBytes)
	case from.over:
		return "", fmt.Errorf("variables give more than %d bytes in the whole Dockerfile", maxExpandedBytes)
	case err != nil:
		return "", err
	}
	if e.unset != nil {
		for name := range unset {
			e.unset(name)
		}
	}
	return result, nil
}

// metered are variables that give only so much.
type metered struct {
	*variables
	left int
	over bool
}

func (m *metered) Get(name string) (string, bool) {
	value, ok := m.values[name]
	if len(value) > m.left {
		m.over = true
		return "", ok
	}
	m.left -= len(value)
	return value, ok
}

func (m *metered) Keys() []string { return m.names }
