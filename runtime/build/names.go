package build

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bothy-computer/bothy/runtime"
)

// Kind says who installs a package.
type Kind string

const (
	System Kind = "system" // apt, or apk where the base has that
	Python Kind = "python" // pip
	Node   Kind = "node"   // npm
)

// Bounds of a recipe. Together they stay below maxDockerfileBytes.
const (
	maxPackageBytes    = 200
	maxPackages        = 250 // of each kind
	maxBaseBytes       = 255
	maxExtensionsBytes = 128 << 10
	maxScripts         = 100
	maxScriptBytes     = 64 << 10 // of all together
	maxTextLineBytes   = 32 << 10 // the parser's scanner ends at 64 KiB
	maxQuotedBytes     = 80       // of what an error quotes
)

var (
	// systemName is Debian policy 5.6.1 with apt's architecture and version.
	systemName = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+(?::[a-z0-9][a-z0-9-]*)?(?:=[A-Za-z0-9][A-Za-z0-9.+:~-]*)?$`)
	// pythonName is PEP 508's name with extras and versions.
	pythonName = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?` +
		`(?: ?\[[A-Za-z0-9](?:[A-Za-z0-9._, -]*[A-Za-z0-9])?\])?` +
		`(?: ?` + pythonVersion + `(?: ?, ?` + pythonVersion + `)*)?$`)
	// nodeName is npm's, after its scope, and a version, range or tag.
	nodeName = regexp.MustCompile(`^(?:@[A-Za-z0-9~][A-Za-z0-9._~-]*/)?[A-Za-z0-9][A-Za-z0-9._~-]*` +
		`(?:@[A-Za-z0-9^~<>=*][A-Za-z0-9.^~<>=|*+ _-]*)?$`)
	// fileName is what pip and npm take for a file or an archive to unpack.
	fileName = regexp.MustCompile(`(?i)\.(?:whl|zip|tar|tgz|tbz|txz|tlz|tar\.\w+)$`)
	baseName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/:@-]*$`)
	// runtimeName keeps to what a path and a shell take without quotes.
	runtimeName = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9.+-]*[a-z0-9])?$`)
)

const pythonVersion = `(?:===|==|~=|!=|<=|>=|<|>) ?[A-Za-z0-9][A-Za-z0-9.*+!_-]*`

// CheckPackage reports a name that is no package's, as runtime.ErrInvalid.
// Names may carry a version as their installer writes it, and nothing that
// makes it look elsewhere than in its index: no URL, path or option.
func CheckPackage(kind Kind, name string) error {
	legal, form := systemName, "a Debian package such as ffmpeg, or ffmpeg=7:5.1"
	switch kind {
	case System:
	case Python:
		legal, form = pythonName, "a Python package such as pandas, or pandas[excel]>=2,<3"
	case Node:
		legal, form = nodeName, "a Node package such as typescript, or @types/node@22"
	default:
		return fmt.Errorf("%w: Invalid package type: Type must be system, python, or node", runtime.ErrInvalid)
	}
	switch {
	case len(name) > maxPackageBytes:
		return fmt.Errorf("%w: the package name %s is longer than %d bytes", runtime.ErrInvalid, quoted(name), maxPackageBytes)
	case !legal.MatchString(name), kind != System && fileName.MatchString(name):
		return fmt.Errorf("%w: %s is not the name of %s", runtime.ErrInvalid, quoted(name), form)
	case kind == System && strings.HasSuffix(name, "-"):
		return fmt.Errorf("%w: %s asks apt to remove a package", runtime.ErrInvalid, quoted(name))
	}
	return nil
}

// CheckPackages reports all that is wrong with a list of packages.
func CheckPackages(kind Kind, names []string) error {
	if len(names) > maxPackages {
		return fmt.Errorf("%w: %d %s packages are more than %d", runtime.ErrInvalid, len(names), kind, maxPackages)
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, CheckPackage(kind, name))
	}
	return errors.Join(errs...)
}

// CheckRuntime reports a language or version that is not among the available.
func CheckRuntime(available map[string][]string, language, version string) error {
	versions, ok := available[language]
	if !ok {
		return fmt.Errorf("%w: no runtime is called %s; there are %s", runtime.ErrInvalid, quoted(language),
			strings.Join(slices.Sorted(maps.Keys(available)), ", "))
	}
	if !slices.Contains(versions, version) {
		return fmt.Errorf("%w: %s has no version %s; there are %s", runtime.ErrInvalid, language, quoted(version), strings.Join(versions, ", "))
	}
	if !runtimeName.MatchString(language) || !runtimeName.MatchString(version) {
		return fmt.Errorf("%w: the runtime %s %s is not written in a-z, 0-9, dots and dashes", runtime.ErrInvalid, quoted(language), quoted(version))
	}
	return nil
}

// CheckBase reports what is no reference to an image.
func CheckBase(name string) error {
	if len(name) > maxBaseBytes || !baseName.MatchString(name) {
		return fmt.Errorf("%w: %s names no image: letters, digits, - _ . / : @ and at most %d bytes", runtime.ErrInvalid, quoted(name), maxBaseBytes)
	}
	return nil
}

// IsReference reports whether a name that means nothing else is one of an image in
// a registry: it names the registry (host/path, where the host has a dot or a
// port, or is localhost), a tag or a digest. A bare word is a name that somebody
// mistyped.
func IsReference(name string) bool {
	host, _, inPath := strings.Cut(name, "/")
	return inPath && (strings.ContainsAny(host, ".:") || host == "localhost") || strings.ContainsAny(name[strings.LastIndex(name, "/")+1:], ":@")
}

// CheckScripts reports setup scripts that no Dockerfile can hold.
func CheckScripts(scripts []string) error {
	if len(scripts) > maxScripts {
		return fmt.Errorf("%w: %d setup scripts are more than %d", runtime.ErrInvalid, len(scripts), maxScripts)
	}
	left, errs := maxScriptBytes, []error(nil)
	for i, script := range scripts {
		errs = append(errs, checkText(fmt.Sprintf("setupScripts[%d]", i), script, left))
		left = max(left-len(script), 0)
	}
	return errors.Join(errs...)
}

// checkText reports text that is no text, or too much.
func checkText(field, text string, maxBytes int) error {
	switch {
	case len(text) > maxBytes:
		return fmt.Errorf("%w: %s is %d bytes and may be %d", runtime.ErrInvalid, field, len(text), maxBytes)
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return fmt.Errorf("%w: %s is not UTF-8 text", runtime.ErrInvalid, field)
	}
	for line := range strings.SplitSeq(text, "\n") {
		if len(line) > maxTextLineBytes {
			return fmt.Errorf("%w: %s has a line longer than %d bytes", runtime.ErrInvalid, field, maxTextLineBytes)
		}
	}
	return nil
}

// quoted shows what somebody sent, in one line and not all of it.
func quoted(text string) string {
	if len(text) <= maxQuotedBytes {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprintf("%q...", strings.ToValidUTF8(text[:maxQuotedBytes], ""))
}
