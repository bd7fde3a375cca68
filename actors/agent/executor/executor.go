// Package executor knows the coding CLIs that can do a run's work inside a
// computer, in place of the loop: how each is installed, started and gone on
// with, and what its output means.
//
//	executor.go  the table of them
//	servers.go   the MCP servers that a turn may use
//	said.go      what a line of output means, in words of a transcript
//	codex.go ... one file for each: its command line and its output
//
// Everything here is a function of its arguments; whoever uses it runs the
// command and commits what was said.
package executor

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/catalog"
)

// Executor is one coding CLI.
type Executor struct {
	Name string
	// Packages are what npm installs.
	Packages []string
	// Native is a shell pattern of the CLI's own binary below node_modules, which
	// needs no Node.js in the computer.
	Native string
	// Script is the CLI's program below node_modules where it has no binary: a
	// Node.js is installed beside it.
	Script string
	// Protocols are those of models that it can use, the best first.
	Protocols []catalog.Protocol
	// Command says how a turn is started.
	Command func(Turn) Command
	// Listen makes a listener for one turn's output.
	Listen func() Listener
}

// Turn is one message for a CLI to work on.
type Turn struct {
	Program string // the CLI's path in the computer
	Model   string // as the gateway takes it
	// VendorModel is the same in the vendor's own words, for a CLI that knows by
	// the name what a model can. The gateway takes it too.
	VendorModel string
	Protocol    catalog.Protocol
	Gateway     string // its URL, without a path
	Token       string // for the gateway, in TokenVariable too
	Dir         string // where the work is
	// Conversation is our own name for the conversation, fit as one of a file.
	Conversation string
	// Session is the CLI's own name for the conversation that goes on, "" for a
	// new one.
	Session      string
	Instructions string
	Effort       agent.Effort
	Prompt       string
	WindowTokens int64
	MaxOutput    int64
	Servers      []Server
}

// Command is a program to start in a computer.
type Command struct {
	Argv  []string
	Env   []string // KEY=value
	Stdin string
	Dirs  []string // of the workspace, which must be there
	// Files are contents by path in the workspace, for the computer's user alone.
	Files map[string]string
}

// TokenVariable is the variable in which a CLI finds the gateway's token,
// besides those that it knows by itself.
const TokenVariable = "BOTHY_MODEL_TOKEN"

// All lists the executors, in the order in which they are tried.
func All() []Executor { return []Executor{codex, claude, gemini, opencode} }

// Find finds an executor by its name.
func Find(name string) (Executor, bool) {
	all := All()
	at := slices.IndexFunc(all, func(e Executor) bool { return e.Name == name })
	if at < 0 {
		return Executor{}, false
	}
	return all[at], true
}

// For is the executor for models of a protocol, when none is named.
func For(p catalog.Protocol) (Executor, bool) {
	for _, e := range All() {
		if len(e.Protocols) > 0 && e.Protocols[0] == p {
			return e, true
		}
	}
	return Executor{}, false
}

// Speaks reports whether the executor can use models of a protocol.
func (e Executor) Speaks(p catalog.Protocol) bool { return slices.Contains(e.Protocols, p) }

// Models are the listed models that the executor offers, its default first
// where one is configured; whether their vendors are is another matter.
func (e Executor) Models(c *catalog.Catalog) []string {
	if offered := c.Executors()[e.Name]; len(offered) > 0 {
		return offered
	}
	var all []string
	for _, p := range e.Protocols {
		for _, m := range c.Models() {
			if c.ProtocolOf(m.Name) == p {
				all = append(all, m.Name)
			}
		}
	}
	return all
}

// Check reports what a configuration has executors offer that they cannot.
func Check(c *catalog.Catalog) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(c.Executors())) {
		e, known := Find(name)
		if !known {
			var names []string
			for _, e := range All() {
				names = append(names, e.Name)
			}
			errs = append(errs, fmt.Errorf("models.executors: there is no executor %q, only %s", name, strings.Join(names, ", ")))
			continue
		}
		for i, model := range c.Executors()[name] {
			if p := c.ProtocolOf(model); !e.Speaks(p) {
				errs = append(errs, fmt.Errorf("models.executors.%s[%d]: %s cannot use model %q, whose vendor speaks %s", name, i, name, model, p))
			}
		}
	}
	return errors.Join(errs...)
}

// BuildDir is where Dockerfile puts what is to be kept.
const BuildDir = "/opt/bothy/program"

// Program is the CLI's path below what is kept.
func (e Executor) Program() string { return "bin/" + e.Name }

// nodejs is the package of Node.js itself, in the version that scripts run with.
const nodejs = "node-linux-$(node -p process.arch)@22.20.0"

// Dockerfile installs the CLI into BuildDir of an image. npm trusts whom the
// base image trusts, which may be more than what it brings itself.
func (e Executor) Dockerfile(base string) string {
	packages := strings.Join(e.Packages, " ")
	link := fmt.Sprintf(`program=$(ls -d node_modules/%s | head -n 1)
test -x "$program"
ln -s "../$program" %s`, e.Native, e.Program())
	if e.Script != "" {
		packages += " " + nodejs
		link = fmt.Sprintf(`test -f node_modules/%[1]s
cat >%[2]s <<'PROGRAM'
#!/bin/sh
at=$(dirname "$(readlink -f "$0")")/../node_modules
exec "$at"/node-linux-*/bin/node "$at/%[1]s" "$@"
PROGRAM
chmod +x %[2]s`, e.Script, e.Program())
	}
	return fmt.Sprintf(`FROM %s
RUN <<'EOF'
set -e
if ! command -v npm >/dev/null; then apt-get update && apt-get install -y --no-install-recommends npm; fi
mkdir -p %[2]s/bin
cd %[2]s
export NODE_EXTRA_CA_CERTS="${NODE_EXTRA_CA_CERTS:-/etc/ssl/certs/ca-certificates.crt}"
npm install --no-fund --no-audit --omit=dev --prefix . %[3]s
%[4]s
chmod -R a+rX .
EOF
`, base, BuildDir, packages, link)
}

// Kept names what is kept of the CLI: another version is another name.
func (e Executor) Kept() string {
	sum := sha256.Sum256([]byte(e.Dockerfile("")))
	return e.Name + "-" + hex.EncodeToString(sum[:6])
}
