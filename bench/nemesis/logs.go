package nemesis

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// mistakes are how a program says that it is wrong itself, whatever was done to it:
// a binary that looks for races, Go's runtime, and what nodes log of panics.
var mistakes = []string{"WARNING: DATA RACE", "fatal error: ", "panic: ", "panicked"}

// logs looks at what the nodes said.
type logs struct{ p *game }

func (w *logs) work(context.Context) {}

func (w *logs) judge(context.Context) (string, error) {
	var wrong []error
	lines := 0
	for _, n := range w.p.house.Nodes {
		text, err := n.Log()
		if err != nil {
			return "", err
		}
		for line := range strings.Lines(string(text)) {
			lines++
			for _, m := range mistakes {
				if strings.Contains(line, m) {
					wrong = append(wrong, fmt.Errorf("%s: %s", n.Name, strings.TrimSpace(line)))
					break
				}
			}
		}
	}
	return fmt.Sprintf("%d lines of the nodes, of no panic and no race", lines), errors.Join(wrong...)
}
