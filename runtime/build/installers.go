package build

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/bothy-computer/bothy/runtime"
)

// Installers is what an operator configures of how things are installed.
// Mirrors are not here: those reach build steps as variables (PIP_INDEX_URL,
// NPM_CONFIG_REGISTRY, MISE_*) and are in no text.
type Installers struct {
	// Archives maps a language to the URL of a .tar.gz with it, in which
	// {version} and {arch} (amd64, arm64) are filled in. Its root, or the one
	// directory there, holds bin/. A language with an archive is taken from
	// there or from the base, and from nowhere else.
	Archives map[string]string
}

// Validate reports templates that are no URL.
func (in Installers) Validate() error {
	for _, language := range slices.Sorted(maps.Keys(in.Archives)) {
		template := in.Archives[language]
		u, err := url.Parse(strings.NewReplacer("{version}", "1", "{arch}", "amd64").Replace(template))
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.ContainsAny(template, " '\n\r\x00") {
			return fmt.Errorf("%w: the archive of %s is at %s, which is no http or https URL", runtime.ErrInvalid, language, quoted(template))
		}
	}
	return nil
}

// DefaultRuntimes are the versions that an operator offers who configured none.
func DefaultRuntimes() map[string][]string {
	return map[string][]string{
		"python": {"3.9", "3.10", "3.11", "3.12", "3.13"},
		"nodejs": {"18", "20", "22"},
		"go":     {"1.20", "1.21", "1.22", "1.23"},
		"php":    {"8.1", "8.2", "8.3"},
		"java":   {"11", "17", "21"},
		"ruby":   {"3.1", "3.2", "3.3"},
		"rust":   {"stable", "1.75", "1.76", "1.77"},
	}
}

// language is a row of the table of runtimes. In its texts {version} is what
// was asked for.
type language struct {
	title string
	// present is a command that tells the version of what answers now, and
	// says the extended regular expression before that version.
	present, says string
	// probe is Debian's package that has the language's version, packaged what
	// to install when it is the one asked for, and in where that puts bin/, if
	// not in a directory that is on every PATH.
	probe, packaged, in string
	tool                string // mise's name for it
	after               string // what must be there besides
}

// table is how each runtime is installed.
func table() map[string]language {
	return map[string]language{
		"python": {
			title: "Python", present: "python3 --version", says: "^Python ",
			probe: "python3", packaged: "python3 python3-pip python3-venv", tool: "python",
			after: `ln -sf "$(command -v python3)" /usr/local/bin/python`,
		},
		"nodejs": {
			title: "Node.js", present: "node --version", says: "^v", probe: "nodejs", packaged: "nodejs", tool: "node",
			after: npmScript,
		},
		"go": {
			title: "Go", present: "go version", says: "^go version go", tool: "go",
			probe: "golang-{version}-go", packaged: "golang-{version}-go", in: "/usr/lib/go-{version}",
		},
		"php":  {title: "PHP", present: "php --version", says: "^PHP ", probe: "php{version}-cli", packaged: "php{version}-cli", tool: "php"},
		"java": {title: "Java", present: "javac -version", says: "^javac ", probe: "openjdk-{version}-jdk-headless", packaged: "openjdk-{version}-jdk-headless", tool: "java"},
		"ruby": {title: "Ruby", present: "ruby --version", says: "^ruby ", probe: "ruby", packaged: "ruby ruby-dev", tool: "ruby"},
		"rust": {title: "Rust", present: "rustc --version", says: "^rustc ", probe: "rustc", packaged: "rustc cargo", tool: "rust"},
	}
}

// languageOf is the table's row, or for a language that an operator added one
// that knows mise and the command of the same name.
func languageOf(name string) language {
	if l, ok := table()[name]; ok {
		return l
	}
	return language{title: name, present: name + " --version", says: "^[^0-9]*", tool: name}
}

// home is where a runtime is found whoever installed it, as long as it is not
// the distribution.
func home(name, version string) string { return "/opt/" + name + "/" + version }

// runtime writes the instruction that provides a version of a language: by the
// first way that applies, which only the base image can tell.
func (in Installers) runtime(name, version string) string {
	l := languageOf(name)
	var b strings.Builder
	fmt.Fprintf(&b, "set -e\nmkdir -p /usr/local/bin\npresent() { %s 2>&1 | grep -Eq %s; }\n", l.present, quote(l.says+pattern(version)))
	template, archived := in.Archives[name]
	if !archived {
		b.WriteString(useScript(name, version))
	}
	fmt.Fprintf(&b, "if present; then\n  echo '%s %s is in the base image'\n", l.title, version)
	switch {
	case archived:
		fmt.Fprintf(&b, "else\n%s", indent(archiveScript(name, version, template)))
	default:
		b.WriteString(packagedScript(l, version))
		fmt.Fprintf(&b, "else\n%s", indent(miseScript(l, name, version)))
	}
	b.WriteString("fi\n")
	if l.after != "" {
		b.WriteString(l.after + "\n")
	}
	fmt.Fprintf(&b, "present || { echo '%s %s was installed, but another one answers' >&2; %s; exit 1; }\n", l.title, version, l.present)
	return fmt.Sprintf("\n# %s %s\n", l.title, version) + run(strings.ToUpper(delimiter.ReplaceAllString(name, "_")), b.String())
}

var delimiter = regexp.MustCompile(`[^a-z0-9]`)

// pattern matches a version and what comes after its last number.
func pattern(version string) string {
	if version == "stable" {
		return `[0-9.]+( |$)` // any release, and no -beta or -nightly
	}
	return regexp.QuoteMeta(version) + `([^0-9]|$)`
}

// useScript has a directory's programs found at home and on every PATH.
func useScript(name, version string) string {
	return fmt.Sprintf(`use() {
  mkdir -p /opt/%[1]s
  ln -sfn "$1" %[2]s
  ln -sf %[2]s/bin/* /usr/local/bin/
  hash -r
}
`, name, home(name, version))
}

// archiveScript unpacks an archive at home.
func archiveScript(name, version, template string) string {
	var address []string
	for part := range strings.SplitSeq(strings.ReplaceAll(template, "{version}", version), "{arch}") {
		address = append(address, quote(part))
	}
	return fmt.Sprintf(`case $(uname -m) in
  x86_64) arch=amd64 ;;
  aarch64) arch=arm64 ;;
  *) arch=$(uname -m) ;;
esac
%[1]srm -rf %[2]s %[2]s.new
mkdir -p %[2]s.new
curl -fsSL --retry 2 -o /tmp/runtime.tar.gz %[3]s
tar -xzf /tmp/runtime.tar.gz -C %[2]s.new --no-same-owner
rm /tmp/runtime.tar.gz
if [ -d %[2]s.new/bin ]; then
  mv %[2]s.new %[2]s
else
  mv %[2]s.new/* %[2]s
  rmdir %[2]s.new
fi
ln -sf %[2]s/bin/* /usr/local/bin/
hash -r
`, curlScript, home(name, version), strings.Join(address, `"$arch"`))
}

// curlScript brings curl to a base without it.
const curlScript = `if ! command -v curl >/dev/null; then
  apt-get update
  apt-get install -y --no-install-recommends curl ca-certificates
fi
`

// npmScript brings npm to a Node.js without it, as Debian's own is.
const npmScript = `if ! command -v npm >/dev/null && command -v apt-get >/dev/null; then
  apt-get update
  apt-get install -y --no-install-recommends npm
  rm -rf /var/lib/apt/lists/*
fi`

// packagedScript is the branch that installs the distribution's package when
// it is of the version asked for.
func packagedScript(l language, version string) string {
	if l.probe == "" || version == "stable" {
		return ""
	}
	fill := strings.NewReplacer("{version}", version)
	use := ""
	if l.in != "" {
		use = "  use " + fill.Replace(l.in) + "\n"
	}
	return fmt.Sprintf(`elif command -v apt-get >/dev/null && apt-get update && LC_ALL=C apt-cache policy %s |
  grep -Eq %s; then
  apt-get install -y --no-install-recommends %s
%s  rm -rf /var/lib/apt/lists/*
`, fill.Replace(l.probe), quote("Candidate: ([0-9]+:)?"+pattern(version)), fill.Replace(l.packaged), use)
}

// miseScript installs by mise, for all users and without its shims, which
// would need mise and its settings in every process.
func miseScript(l language, name, version string) string {
	where := fmt.Sprintf(`"$(mise where %s@%s)"`, l.tool, version)
	settings := "export MISE_DATA_DIR=/opt/mise MISE_CACHE_DIR=/tmp/mise MISE_YES=1"
	if name == "rust" { // mise leaves that to rustup, whose proxies need its settings too
		settings += " MISE_RUSTUP_HOME=/opt/rustup MISE_CARGO_HOME=/opt/cargo"
		where = "/opt/rustup/toolchains/" + version + "*"
	}
	return fmt.Sprintf(`%s
if ! command -v mise >/dev/null; then
%s  curl -fsSL --retry 2 -o /tmp/mise.sh "${MISE_INSTALL_URL:-https://mise.run}"
  MISE_INSTALL_PATH=/usr/local/bin/mise sh /tmp/mise.sh
  rm /tmp/mise.sh
fi
mise install %s@%s
use %s
rm -rf /tmp/mise
`, settings, indent(curlScript), l.tool, version, where)
}

// packages writes the instruction that installs packages of one kind.
func packages(kind Kind, names []string) string {
	arguments := ""
	for _, name := range names {
		arguments += " \\\n  " + quote(name)
	}
	switch kind {
	case System:
		return "\n# System packages\n" + run("SYSTEM", `set -e
set --`+arguments+`
if command -v apt-get >/dev/null; then
  apt-get update
  apt-get install -y --no-install-recommends "$@"
  rm -rf /var/lib/apt/lists/*
elif command -v apk >/dev/null; then
  apk add --no-cache "$@"
else
  echo 'the base image has neither apt-get nor apk' >&2
  exit 1
fi
`)
	case Python:
		return "\n# Python packages\n" + run("PYTHON_PACKAGES", `set -e
if ! python3 -m pip --version >/dev/null 2>&1 && ! python3 -m ensurepip >/dev/null 2>&1 && command -v apt-get >/dev/null; then
  apt-get update
  apt-get install -y --no-install-recommends python3 python3-pip
  rm -rf /var/lib/apt/lists/*
fi
python3 -m pip install --no-cache-dir`+arguments+"\n")
	default:
		return "\n# Node packages\n" + run("NODE_PACKAGES", `set -e
`+npmScript+`
npm install --global --no-fund --no-audit`+arguments+"\n")
	}
}

// quote makes one word of a shell of any text.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// indent sets a script's lines two further in.
func indent(script string) string {
	return "  " + strings.ReplaceAll(strings.TrimSuffix(script, "\n"), "\n", "\n  ") + "\n"
}
