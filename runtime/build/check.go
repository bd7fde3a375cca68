package build

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// Report is what a check found, in the order of lines.
type Report struct {
	Errors   []Problem // the text cannot be built
	Warnings []Problem // it can, but may not be what was meant
}

// Problem is one mistake. Text is a sentence that names the line too; that of
// an error begins as the failure of a build would.
type Problem struct {
	Line int // from 1
	Text string
}

// maxProblems bounds a report. The first are the ones to mend first.
const maxProblems = 100

// finding is a problem before it is known how its reader counts lines.
type finding struct {
	line int
	text string
}

// Check reads a whole Dockerfile as a build would, without building.
func Check(dockerfile string, o Options) Report {
	errs, warnings := examine(dockerfile, o)
	return report(errs, warnings, func(line int) (int, string) { return line, "" })
}

// CheckExtensions checks a recipe's Dockerfile. The lines of problems are
// those of the extensions as their user wrote them; a problem elsewhere says
// that its line is the effective Dockerfile's.
func CheckExtensions(r Recipe, in Installers, o Options) Report {
	head, extensions, tail := sections(r, in)
	own := func(line int) (int, string) { return line, "" }
	if errs := alone(extensions); len(errs) > 0 {
		return report(errs, nil, own)
	}
	before, within := strings.Count(head, "\n"), strings.Count(extensions, "\n")
	errs, warnings := examine(head+extensions+tail, o)
	return report(errs, warnings, func(line int) (int, string) {
		if line > before && line <= before+within {
			return line - before, ""
		}
		return line, " of the effective Dockerfile"
	})
}

// alone finds what keeps extensions from standing between other instructions:
// a heredoc or a line that goes on where they end.
func alone(extensions string) []*SyntaxError {
	if err := checkBounds(extensions); err != nil {
		return []*SyntaxError{err}
	}
	if errs := refuseSyntax(extensions); len(errs) > 0 {
		return errs
	}
	const lead = 1 // lines before the extensions
	result, err := parser.Parse(strings.NewReader("FROM scratch\n" + extensions + "ARG END\n"))
	if err != nil {
		found := located(err, lead+1)
		return []*SyntaxError{wrong(found.Line-lead, "%s", found.Reason)}
	}
	end := strings.Count(extensions, "\n") + lead + 1
	if last := result.AST.Children[len(result.AST.Children)-1]; last.StartLine != end {
		return []*SyntaxError{wrong(last.StartLine-lead, "the instruction goes on past the last line")}
	}
	return nil
}

// examine finds what is wrong with a text and what is unwise in it.
func examine(text string, o Options) (errs []*SyntaxError, warnings []finding) {
	tell := func(line int, message string) { warnings = append(warnings, finding{line, message}) }
	p := newPlanner(o)
	err := guarded(func() error {
		p.lint = newLinter(text, tell)
		var f *file
		if f, errs = read(text, p.lint); f == nil {
			return nil
		}
		lintFile(f, p.lint, tell)
		if len(errs) > 0 {
			return nil
		}
		return p.all(f)
	})
	if err != nil {
		var bad *SyntaxError
		if !errors.As(err, &bad) {
			bad = wrong(p.at, "%v", err)
		}
		errs = append(errs, bad)
	}
	return errs, warnings
}

// report words what was found, by the lines that its reader knows.
func report(errs []*SyntaxError, warnings []finding, where func(line int) (int, string)) Report {
	var r Report
	for _, err := range errs {
		line, of := where(err.Line)
		r.Errors = append(r.Errors, Problem{line, fmt.Sprintf("Dockerfile syntax error on line %d%s: %s", line, of, err.Reason)})
	}
	for _, w := range warnings {
		line, of := where(w.line)
		r.Warnings = append(r.Warnings, Problem{line, fmt.Sprintf("Line %d%s: %s", line, of, w.text)})
	}
	for _, list := range []*[]Problem{&r.Errors, &r.Warnings} {
		slices.SortStableFunc(*list, func(a, b Problem) int { return cmp.Or(cmp.Compare(a.Line, b.Line), strings.Compare(a.Text, b.Text)) })
		*list = slices.Compact(*list)
		*list = (*list)[:min(len(*list), maxProblems)]
	}
	return r
}

// newLinter tells warnings in BuildKit's words, as far as the text does not
// ask with # check= not to hear them.
func newLinter(text string, tell func(line int, message string)) *linter.Linter {
	config := &linter.Config{}
	if _, options, _, ok := parser.ParseDirective("check", []byte(text)); ok {
		if asked, err := linter.ParseLintOptions(options); err == nil {
			config = asked
		}
	}
	config.Warn = func(rule, _, _, message string, at []parser.Range) {
		tell(lineOf(at), wrong(1, "%s (%s)", message, rule).Reason)
	}
	return linter.New(config)
}
