package build

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// DefaultBase is the base image of a recipe that names none.
const DefaultBase = "testbase-base"

// Recipe is all of an environment that its image depends on.
type Recipe struct {
	Base     string            // "" is DefaultBase
	Runtimes map[string]string // a version of each language
	// System, Python and Node are packages by who installs them. Their order
	// and repeats mean nothing: each list is installed by one command, so it is
	// written sorted, and taking a package out and in again finds the image.
	System, Python, Node []string
	Extensions           string   // instructions as their user wrote them
	SetupScripts         []string // of a shell, run last, each stopping at what fails
}

// Empty reports whether the recipe adds nothing to its base.
func (r Recipe) Empty() bool {
	return len(r.Runtimes) == 0 && len(r.System)+len(r.Python)+len(r.Node) == 0 &&
		strings.TrimSpace(r.Extensions) == "" && !slices.ContainsFunc(r.SetupScripts, func(s string) bool { return strings.TrimSpace(s) != "" })
}

// Validate reports everything in the recipe that Dockerfile could not write
// down safely, as runtime.ErrInvalid. What extensions say is not looked at:
// CheckExtensions does.
func (r Recipe) Validate(available map[string][]string) error {
	errs := []error{
		CheckPackages(System, r.System), CheckPackages(Python, r.Python), CheckPackages(Node, r.Node),
		checkText("dockerfileExtensions", r.Extensions, maxExtensionsBytes), CheckScripts(r.SetupScripts),
	}
	if r.Base != "" {
		errs = append(errs, CheckBase(r.Base))
	}
	for _, language := range slices.Sorted(maps.Keys(r.Runtimes)) {
		errs = append(errs, CheckRuntime(available, language, r.Runtimes[language]))
	}
	return errors.Join(errs...)
}

// Dockerfile writes the recipe down: base, runtimes, packages, extensions,
// setup scripts, always in that order. The recipe has passed Validate.
func Dockerfile(r Recipe, in Installers) string {
	head, extensions, tail := sections(r, in)
	return head + extensions + tail
}

// ExtensionLines are the first line of a recipe's extensions in its Dockerfile
// and how many they are; 0 and 0 without any.
func ExtensionLines(r Recipe, in Installers) (first, count int) {
	head, extensions, _ := sections(r, in)
	if extensions == "" {
		return 0, 0
	}
	return strings.Count(head, "\n") + 1, strings.Count(extensions, "\n")
}

// sections are the Dockerfile in three pieces of whole lines, so that what is
// wrong in extensions can be told with the lines that their user sees.
func sections(r Recipe, in Installers) (head, extensions, tail string) {
	var b strings.Builder
	fmt.Fprintf(&b, "FROM %s\nWORKDIR /workspace\n", cmp.Or(r.Base, DefaultBase))
	b.WriteString("ARG DEBIAN_FRONTEND=noninteractive\nENV PIP_BREAK_SYSTEM_PACKAGES=1\n")
	languages := slices.Sorted(maps.Keys(r.Runtimes))
	if len(languages) > 0 {
		b.WriteString("ENV PATH=")
		for _, language := range languages {
			fmt.Fprintf(&b, "%s/bin:", home(language, r.Runtimes[language]))
		}
		b.WriteString("$PATH\n")
	}
	for _, language := range languages {
		b.WriteString(in.runtime(language, r.Runtimes[language]))
	}
	for _, p := range []struct {
		kind  Kind
		names []string
	}{{System, r.System}, {Python, r.Python}, {Node, r.Node}} {
		if len(p.names) > 0 {
			b.WriteString(packages(p.kind, slices.Compact(slices.Sorted(slices.Values(p.names)))))
		}
	}
	if extensions = lines(r.Extensions); strings.TrimSpace(extensions) == "" {
		extensions = ""
	} else {
		b.WriteString("\n# Extensions\n")
	}
	return b.String(), extensions, setup(r.SetupScripts)
}

func setup(scripts []string) string {
	var b strings.Builder
	for _, script := range scripts {
		if strings.TrimSpace(script) == "" {
			continue
		}
		if b.Len() == 0 {
			b.WriteString("\n# Setup scripts\n")
		}
		b.WriteString(run("SETUP", stopping(lines(script))))
	}
	return b.String()
}

// lines ends every line by a newline alone.
func lines(text string) string {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text
}

// shebang finds the interpreter of a script that names one.
var shebang = regexp.MustCompile(`^#![ \t]*(\S+)(?:[ \t]+(\S+))?.*\n`)

// stopping makes a script end at the first command that fails, if a shell runs
// it. A script that names its interpreter keeps it.
func stopping(script string) string {
	found := shebang.FindStringSubmatch(script)
	if found == nil {
		return "set -e\n" + script
	}
	interpreter := found[1]
	if strings.HasSuffix(interpreter, "/env") {
		interpreter = found[2]
	}
	switch interpreter[strings.LastIndexByte(interpreter, '/')+1:] {
	case "sh", "bash", "dash", "ash", "ksh", "zsh":
		return found[0] + "set -e\n" + script[len(found[0]):]
	}
	return script
}

// run is the instruction that runs a script of whole lines. A heredoc takes
// any text but a line that is its delimiter.
func run(delimiter, script string) string {
	within := "\n" + script
	for n, name := 1, delimiter; ; n++ {
		if !strings.Contains(within, "\n"+name+"\n") {
			return fmt.Sprintf("RUN <<%s\n%s%s\n", name, script, name)
		}
		name = fmt.Sprintf("%s_%d", delimiter, n)
	}
}

// Hash names a Dockerfile by its text.
func Hash(dockerfile string) string {
	sum := sha256.Sum256([]byte(dockerfile))
	return hex.EncodeToString(sum[:])
}

// tagHashDigits are enough of a hash to tell the builds of one environment apart.
const tagHashDigits = 12

// legalRepository is what Docker takes as the name of a repository.
var legalRepository = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$`)

// Tag names the image of an environment as Docker would take it. The ids'
// alphabet has - and _ anywhere, a repository's name only between others.
func Tag(environmentID, hash string) string {
	name := "env-" + strings.ToLower(strings.TrimPrefix(environmentID, "env_"))
	if !legalRepository.MatchString(name) {
		name = strings.Map(func(c rune) rune {
			if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
				return c
			}
			return '-'
		}, name)
	}
	if strings.HasSuffix(name, "-") {
		name += "0"
	}
	return name + ":" + strings.ToLower(hash[:min(len(hash), tagHashDigits)])
}

// legalTag is what Tag makes: ids have 21 characters, and one more may end them.
var legalTag = regexp.MustCompile(`^env-[a-z0-9._-]{21,22}:[0-9a-f]{12}$`)

// IsTag reports whether a name is one that Tag gives to the image of an
// environment, and so nobody's own.
func IsTag(name string) bool { return legalTag.MatchString(name) }
