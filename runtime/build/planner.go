package build

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
)

// planner makes a plan of a file, stage by stage.
type planner struct {
	options Options
	file    *file
	expand  *expander
	global  *variables // what FROM can use, and ARG without a value takes
	bases   []string   // of each stage in the file, expanded
	built   map[int]*stage
	plan    Plan
	written int // bytes of heredocs so far
	at      int // line of the image that was last looked up
	lint    *linter.Linter
}

func newPlanner(o Options) *planner {
	os, arch, _ := strings.Cut(o.platform(), "/")
	arch, variant, _ := strings.Cut(arch, "/")
	global := newVariables(nil)
	for _, prefix := range []string{"TARGET", "BUILD"} {
		global.put(prefix+"PLATFORM", o.platform())
		global.put(prefix+"OS", os)
		global.put(prefix+"ARCH", arch)
		global.put(prefix+"VARIANT", variant)
	}
	return &planner{options: o, global: global, built: map[int]*stage{}, lint: linter.New(&linter.Config{})}
}

// all plans the stages of a file that the last one needs.
func (p *planner) all(f *file) error {
	p.file, p.expand = f, &expander{escape: f.escape}
	if err := p.globals(); err != nil {
		return err
	}
	needed, err := p.needed()
	if err != nil {
		return err
	}
	for i := range p.file.stages {
		if needed[i] {
			if err := p.stage(i); err != nil {
				return err
			}
		}
	}
	last := p.built[len(p.file.stages)-1]
	p.plan.Config, p.plan.Key = last.finish(), last.key
	return nil
}

// globals sets the arguments that stand before the first FROM, and expands the
// names that FROM gives.
func (p *planner) globals() error {
	for _, c := range p.file.args {
		for _, arg := range c.Args {
			if arg.Value == nil {
				continue
			}
			value, err := p.expand.word(*arg.Value, p.global)
			if err == nil {
				err = p.global.set(arg.Key, value)
			}
			if err != nil {
				return wrong(lineOf(c.Location()), "%v", err)
			}
		}
	}
	for _, s := range p.file.stages {
		p.expand.unset = func(name string) {
			p.lint.Run(&linter.RuleUndefinedArgInFrom, s.Location, linter.RuleUndefinedArgInFrom.Format(name, ""))
		}
		name, err := p.expand.word(s.BaseName, p.global)
		if err != nil {
			return wrong(lineOf(s.Location), "%v", err)
		}
		if name == "" {
			return wrong(lineOf(s.Location), "FROM %s names no image: the variable is empty", s.BaseName)
		}
		p.bases = append(p.bases, name)
	}
	return nil
}

// needed finds the stages that the last one stands on or copies from.
func (p *planner) needed() (map[int]bool, error) {
	last := len(p.file.stages) - 1
	needed := map[int]bool{last: true}
	for i := last; i >= 0; i-- {
		if !needed[i] {
			continue
		}
		if from := p.named(p.bases[i], i); from >= 0 {
			needed[from] = true
		}
		for _, c := range p.file.stages[i].Commands {
			if c, ok := c.(*instructions.CopyCommand); ok && c.From != "" {
				from, err := p.source(c, i)
				if err != nil {
					return nil, err
				}
				if from >= 0 {
					needed[from] = true
				}
			}
		}
	}
	return needed, nil
}

// named is the latest stage of a name before another one, or -1.
func (p *planner) named(name string, before int) int {
	for i := before - 1; i >= 0; i-- {
		if strings.EqualFold(p.file.stages[i].Name, name) {
			return i
		}
	}
	return -1
}

// source is the stage that COPY --from means, or -1 when it means an image.
func (p *planner) source(c *instructions.CopyCommand, within int) (int, error) {
	line := lineOf(c.Location())
	if n, err := strconv.Atoi(c.From); err == nil {
		if n < 0 || n >= within {
			return 0, wrong(line, "COPY --from=%d names no earlier stage: there are %d", n, within)
		}
		return n, nil
	}
	if from := p.named(c.From, within); from >= 0 {
		return from, nil
	}
	for _, s := range p.file.stages[within:] {
		if strings.EqualFold(s.Name, c.From) {
			return 0, wrong(line, "COPY --from=%s names a stage that is not finished by then", c.From)
		}
	}
	return -1, nil
}

// base describes an image that FROM or COPY names.
func (p *planner) base(name string, line int) (Base, error) {
	p.at = line
	if CheckBase(name) != nil {
		return Base{}, wrong(line, "%s names no image", quoted(name))
	}
	if p.options.KnownBase != nil && !p.options.KnownBase(name) {
		return Base{}, wrong(line, "there is no image %s, and none can be had by that name", name)
	}
	if p.options.Image == nil {
		return Base{}, nil
	}
	b, err := p.options.Image(name)
	if err != nil {
		return Base{}, fmt.Errorf("the image %s on line %d of the Dockerfile: %w", name, line, err)
	}
	return b, nil
}

// stage plans one stage of the file.
func (p *planner) stage(index int) error {
	from := p.file.stages[index]
	line := lineOf(from.Location)
	s := &stage{planner: p, index: index, declared: map[string]bool{}, shell: []string{"/bin/sh", "-c"}, planned: Stage{Name: from.Name, From: -1}}
	if earlier := p.named(p.bases[index], index); earlier >= 0 {
		s.follow(p.built[earlier])
	} else {
		base, err := p.base(p.bases[index], line)
		if err != nil {
			return err
		}
		s.begin(p.bases[index], base)
	}
	if err := p.platform(from, line); err != nil {
		return err
	}
	p.plan.Steps++
	s.planned.Steps = append(s.planned.Steps, Step{Number: p.plan.Steps, Line: line, Text: firstLine(from.SourceCode), Key: s.key})
	for _, c := range from.Commands {
		if err := s.command(c); err != nil {
			return err
		}
	}
	s.planned.Key, s.at = s.key, len(p.plan.Stages)
	p.plan.Stages = append(p.plan.Stages, s.planned)
	p.built[index] = s
	return nil
}

// platform refuses a stage of a platform that is not this machine's.
func (p *planner) platform(from *instructions.Stage, line int) error {
	if from.Platform == "" {
		return nil
	}
	p.expand.unset = nil
	name, err := p.expand.word(from.Platform, p.global)
	if err != nil {
		return wrong(line, "%v", err)
	}
	ours := p.options.platform()
	switch {
	case !strings.Contains(from.Platform, "$"):
		p.lint.Run(&linter.RuleFromPlatformFlagConstDisallowed, from.Location, linter.RuleFromPlatformFlagConstDisallowed.Format(name))
	case strings.Trim(from.Platform, "${}") == "TARGETPLATFORM":
		p.lint.Run(&linter.RuleRedundantTargetPlatform, from.Location, linter.RuleRedundantTargetPlatform.Format(from.Platform))
	}
	same := []string{ours, strings.TrimPrefix(ours, "linux/")}
	switch {
	case ours == "linux/arm64":
		same = append(same, "linux/arm64/v8")
	case ours == "linux/amd64":
		same = append(same, "linux/amd64/v1", "linux/x86_64")
	}
	if !slices.Contains(same, strings.ToLower(name)) {
		return wrong(line, "FROM --platform=%s is not supported: this is %s", name, ours)
	}
	return nil
}

// maxTextBytes bounds what a step shows of an instruction.
const maxTextBytes = 200

// firstLine is an instruction's for the log.
func firstLine(code string) string {
	line, _, more := strings.Cut(code, "\n")
	if len(line) > maxTextBytes {
		line, more = strings.ToValidUTF8(line[:maxTextBytes], ""), true
	}
	if more {
		line += "..."
	}
	return line
}
