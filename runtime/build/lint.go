package build

import (
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// lintFile runs the rules that need the whole text and nothing else. Those
// about single instructions run as they are read, and those about values as
// they are planned.
func lintFile(f *file, lint *linter.Linter, warn func(line int, message string)) {
	for _, w := range f.warnings {
		lint.Run(&linter.RuleNoEmptyContinuation, []parser.Range{*w.Location}, linter.RuleNoEmptyContinuation.Format())
	}
	lintCasing(f, lint)
	lintStageNames(f, lint)
	for _, s := range f.stages {
		lintStage(s, lint)
		for _, c := range s.Commands {
			lintCommand(c, lint.WithMergedConfigFromComments(c.Comments()))
			if idle := idle(c); idle != "" {
				warn(lineOf(c.Location()), idle)
			}
		}
	}
}

// lintCasing wants all instructions written as most are.
func lintCasing(f *file, lint *linter.Linter) {
	lower, upper := 0, 0
	count := func(name string) {
		switch name {
		case strings.ToLower(name):
			lower++
		case strings.ToUpper(name):
			upper++
		}
	}
	for _, s := range f.stages {
		count(s.OrigCmd)
		for _, c := range s.Commands {
			count(c.Name())
		}
	}
	as, casing := strings.ToUpper, "uppercase"
	if lower > upper {
		as, casing = strings.ToLower, "lowercase"
	}
	tell := func(name string, at []parser.Range, comments []string) {
		if name != as(name) {
			lint.WithMergedConfigFromComments(comments).Run(&linter.RuleConsistentInstructionCasing, at, linter.RuleConsistentInstructionCasing.Format(name, casing))
		}
	}
	for _, s := range f.stages {
		tell(s.OrigCmd, s.Location, s.Comments)
		for _, c := range s.Commands {
			tell(c.Name(), c.Location(), c.Comments())
		}
	}
}

func lintStageNames(f *file, lint *linter.Linter) {
	seen := map[string]bool{"": true}
	for _, s := range f.stages {
		lint := lint.WithMergedConfigFromComments(s.Comments)
		if s.Name == "scratch" || s.Name == "context" {
			lint.Run(&linter.RuleReservedStageName, s.Location, linter.RuleReservedStageName.Format(s.Name))
		}
		if s.Name != "" && seen[s.Name] {
			lint.Run(&linter.RuleDuplicateStageName, s.Location, linter.RuleDuplicateStageName.Format(s.Name))
		}
		seen[s.Name] = true
	}
}

// lintStage finds instructions of which only the last of a stage counts.
func lintStage(s *instructions.Stage, lint *linter.Linter) {
	earlier := map[string]instructions.Command{}
	shelled := false
	for _, c := range s.Commands {
		lint := lint.WithMergedConfigFromComments(c.Comments())
		name, viaShell := strings.ToUpper(c.Name()), false
		switch c := c.(type) {
		case *instructions.ShellCommand:
			shelled = true
			continue
		case *instructions.CmdCommand:
			viaShell = c.PrependShell
		case *instructions.EntrypointCommand:
			viaShell = c.PrependShell
		case *instructions.HealthCheckCommand:
		default:
			continue
		}
		if before := earlier[name]; before != nil {
			lint.Run(&linter.RuleMultipleInstructionsDisallowed, before.Location(), linter.RuleMultipleInstructionsDisallowed.Format(name))
		}
		earlier[name] = c
		if viaShell && !shelled {
			lint.Run(&linter.RuleJSONArgsRecommended, c.Location(), linter.RuleJSONArgsRecommended.Format(name))
		}
	}
}

func lintCommand(c instructions.Command, lint *linter.Linter) {
	legacy := func(pairs instructions.KeyValuePairs) {
		for _, pair := range pairs {
			if pair.NoDelim {
				lint.Run(&linter.RuleLegacyKeyValueFormat, c.Location(), linter.RuleLegacyKeyValueFormat.Format(strings.ToUpper(c.Name())))
			}
		}
	}
	secret := func(name string) {
		if isSecret(name) {
			lint.Run(&linter.RuleSecretsUsedInArgOrEnv, c.Location(), linter.RuleSecretsUsedInArgOrEnv.Format(strings.ToUpper(c.Name()), name))
		}
	}
	switch c := c.(type) {
	case *instructions.EnvCommand:
		legacy(c.Env)
		for _, pair := range c.Env {
			secret(pair.Key)
		}
	case *instructions.LabelCommand:
		legacy(c.Labels)
	case *instructions.ArgCommand:
		for _, arg := range c.Args {
			secret(arg.Key)
		}
	case *instructions.ExposeCommand:
		for _, port := range c.Ports {
			number, protocol, _ := strings.Cut(port, "/")
			if protocol != strings.ToLower(protocol) && !strings.Contains(protocol, "$") {
				lint.Run(&linter.RuleExposeProtoCasing, c.Location(), linter.RuleExposeProtoCasing.Format(port))
			}
			if strings.Contains(number, ":") && !strings.Contains(number, "$") {
				lint.Run(&linter.RuleExposeInvalidFormat, c.Location(), linter.RuleExposeInvalidFormat.Format(port))
			}
		}
	}
}

// idle tells of an instruction that nothing here heeds.
func idle(c instructions.Command) string {
	switch c.(type) {
	case *instructions.VolumeCommand:
		return "VOLUME has no effect: a computer keeps all its files"
	case *instructions.HealthCheckCommand:
		return "HEALTHCHECK has no effect: computers are not restarted for what runs in them"
	case *instructions.StopSignalCommand:
		return "STOPSIGNAL has no effect: a computer is stopped by its own guest"
	}
	return ""
}
