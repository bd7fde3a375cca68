package build

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Bounds of what is told of a failed step.
const (
	maxLineBytes  = 300
	lastLines     = 20 // where an installer that failed says why
	maxTailBytes  = 64 << 10
	unknownReason = "the step said nothing"
)

// Timeout tells of a build that took longer than it may.
func Timeout(limit time.Duration) string {
	return fmt.Sprintf("Build timeout after %d s", int64(limit.Seconds()))
}

// StepFailure tells of a step that failed, by what it wrote last: that a
// package is not there when an installer says so, and which step it was
// otherwise. After that comes the tool's own line. A Dockerfile that is wrong
// tells by itself, as a SyntaxError.
func StepFailure(number, steps int, output string) string {
	last := tail(output)
	for _, line := range last {
		if unreachable.MatchString(line) {
			break // pip finds nothing where it reaches nothing
		}
		for _, absent := range absences() {
			if found := absent.FindStringSubmatchIndex(line); found != nil {
				// What apt says it was at comes by another way, and may lack its end.
				return fmt.Sprintf("Package not found: %s: %s", withoutRange(line[found[2]:found[3]]), strings.TrimLeft(line[found[0]:], ". "))
			}
		}
	}
	reason := unknownReason
	if len(last) > 0 {
		reason = last[len(last)-1]
	}
	return fmt.Sprintf("Build failed at step %d/%d: %s", number, steps, reason)
}

// absences are how installers say that there is no such package.
func absences() []*regexp.Regexp {
	return []*regexp.Regexp{aptUnknown, aptNoCandidate, aptNoVersion, apkUnknown, pipUnknown, npmUnknown, npmNoVersion}
}

var (
	aptUnknown     = regexp.MustCompile(`(?:^|\.\.\. ?)E: Unable to locate package (\S+)`)
	aptNoCandidate = regexp.MustCompile(`(?:^|\.\.\. ?)E: Package '([^']+)' has no installation candidate`)
	aptNoVersion   = regexp.MustCompile(`(?:^|\.\.\. ?)E: Version '[^']*' for '([^']+)' was not found`)
	apkUnknown     = regexp.MustCompile(`^(\S+) \(no such package\):`)
	pipUnknown     = regexp.MustCompile(`^ERROR: No matching distribution found for (.+?)(?: \(from .*)?$`)
	npmUnknown     = regexp.MustCompile(`^npm (?:ERR!|error) 404 +(?:The requested resource )?'(.+?)' (?:is not in (?:this|the npm) registry|could not be found)`)
	npmNoVersion   = regexp.MustCompile(`^npm (?:ERR!|error) notarget No matching version found for (.+?)\.?$`)
)

// unreachable is how pip says that it asked an index in vain.
var unreachable = regexp.MustCompile(`^WARNING: Retrying \(Retry\(total=\d+`)

// withoutRange takes npm's version off when it says nothing.
func withoutRange(name string) string {
	return strings.TrimSuffix(strings.TrimSuffix(name, "@*"), "@latest")
}

// terminalCodes are what programs write to a terminal that is no text.
var terminalCodes = regexp.MustCompile(`\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)`)

// tail is the last lines that say something, as they would look.
func tail(output string) []string {
	output = output[max(0, len(output)-maxTailBytes):]
	all := strings.Split(terminalCodes.ReplaceAllString(strings.ToValidUTF8(output, "?"), ""), "\n")
	var last []string
	for i := len(all) - 1; i >= 0 && len(last) < lastLines; i-- {
		line := strings.TrimRight(all[i], "\r")
		line = strings.TrimSpace(printable(line[strings.LastIndexByte(line, '\r')+1:]))
		if line == "" {
			continue
		}
		if len(line) > maxLineBytes {
			line = strings.ToValidUTF8(line[:maxLineBytes], "") + "..."
		}
		last = append([]string{line}, last...)
	}
	return last
}

// printable leaves control characters out.
func printable(line string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '\t':
			return ' '
		case c < ' ' || c == 0x7f:
			return -1
		}
		return c
	}, line)
}
