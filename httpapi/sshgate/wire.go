package sshgate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// Bounds of what a client may say of a session.
const (
	// maxCommandBytes leaves room below what the kernel takes as one argument.
	maxCommandBytes = 120 << 10
	maxEnv          = 64
	maxEnvBytes     = 32 << 10
	maxTermBytes    = 64
	maxModesBytes   = 1 << 10
	maxSide         = 4096 // columns or rows
)

// The payloads of RFC 4254, in the order of their fields.
type (
	envRequest  struct{ Name, Value string }
	textRequest struct{ Text string } // exec, subsystem, signal
	ptyRequest  struct {
		Term          string
		Cols, Rows    uint32
		Width, Height uint32
		Modes         string
	}
	windowChange struct{ Cols, Rows, Width, Height uint32 }
	directTCP    struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}
	exitStatus struct{ Code uint32 }
	exitSignal struct {
		Name    string
		Core    bool
		Message string
		Lang    string
	}
)

// terminal is what a client says of its own.
type terminal struct {
	term       string
	cols, rows uint32
	modes      []byte
}

// Sizes of a terminal that its client does not know.
const (
	usualCols = 80
	usualRows = 24
)

func parsePTY(payload []byte) (*terminal, error) {
	var r ptyRequest
	if err := ssh.Unmarshal(payload, &r); err != nil {
		return nil, fmt.Errorf("read a request for a terminal: %w", err)
	}
	if len(r.Modes) > maxModesBytes {
		return nil, fmt.Errorf("%d bytes of terminal modes; the limit is %d", len(r.Modes), maxModesBytes)
	}
	cols, rows := size(r.Cols, r.Rows)
	return &terminal{term: termName(r.Term), cols: cols, rows: rows, modes: []byte(r.Modes)}, nil
}

func size(cols, rows uint32) (uint32, uint32) {
	if cols == 0 {
		cols = usualCols
	}
	if rows == 0 {
		rows = usualRows
	}
	return min(cols, maxSide), min(rows, maxSide)
}

// termName is the value of TERM: a file's name in the terminfo database.
func termName(name string) string {
	legal := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.+", r)
	}
	if name == "" || len(name) > maxTermBytes || strings.HasPrefix(name, ".") || strings.ContainsFunc(name, func(r rune) bool { return !legal(r) }) {
		return "dumb"
	}
	return name
}

// takenEnv are the variables that a client may set besides LC_*: how things
// look and what a protocol needs, nothing that changes what is executed.
var takenEnv = []string{"LANG", "LANGUAGE", "COLORTERM", "NO_COLOR", "FORCE_COLOR", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "TZ", "GIT_PROTOCOL"}

// environment is what a session was told to set.
type environment struct {
	values map[string]string
	bytes  int
}

// set takes a variable, or reports false for one that is not taken or is too
// much.
func (e *environment) set(payload []byte) bool {
	var r envRequest
	if ssh.Unmarshal(payload, &r) != nil || !slices.Contains(takenEnv, r.Name) && !isLocale(r.Name) {
		return false
	}
	if strings.ContainsRune(r.Value, 0) {
		return false
	}
	_, again := e.values[r.Name]
	grows := len(r.Name) + len(r.Value)
	if !again && len(e.values) >= maxEnv || e.bytes+grows > maxEnvBytes {
		return false
	}
	if e.values == nil {
		e.values = map[string]string{}
	}
	e.values[r.Name] = r.Value
	e.bytes += grows
	return true
}

func isLocale(name string) bool {
	kind, ok := strings.CutPrefix(name, "LC_")
	return ok && kind != "" && len(kind) <= 32 && strings.IndexFunc(kind, func(r rune) bool { return (r < 'A' || r > 'Z') && r != '_' }) < 0
}

// parseCommand reads what exec runs.
func parseCommand(payload []byte) (string, error) {
	var r textRequest
	if err := ssh.Unmarshal(payload, &r); err != nil {
		return "", fmt.Errorf("read a command: %w", err)
	}
	if len(r.Text) > maxCommandBytes {
		return "", fmt.Errorf("the command is %d bytes; the limit is %d", len(r.Text), maxCommandBytes)
	}
	if strings.ContainsRune(r.Text, 0) {
		return "", errors.New("the command holds a NUL byte")
	}
	return r.Text, nil
}

// lastNamed is the last signal that is not a real-time one.
const lastNamed = 31

// signalNamed reads a signal as RFC 4254 section 6.10 names it; 0 is none.
func signalNamed(payload []byte) syscall.Signal {
	var r textRequest
	if ssh.Unmarshal(payload, &r) != nil {
		return 0
	}
	n := unix.SignalNum("SIG" + r.Text)
	if n > lastNamed {
		return 0
	}
	return n
}

// signalOf finds the signal in a status such as "signal: killed" or "signal:
// aborted (core dumped)"; the name is "" when no signal ended the process.
func signalOf(status string) (name string, core bool) {
	text, ok := strings.CutPrefix(status, "signal: ")
	if !ok {
		return "", false
	}
	text, core = strings.CutSuffix(text, " (core dumped)")
	for n := syscall.Signal(1); n <= lastNamed; n++ {
		if n.String() == text {
			return strings.TrimPrefix(unix.SignalName(n), "SIG"), core
		}
	}
	return "KILL", core
}

// parseForward reads which port of which host a client wants.
func parseForward(payload []byte) (host string, port uint16, err error) {
	var r directTCP
	if err := ssh.Unmarshal(payload, &r); err != nil {
		return "", 0, fmt.Errorf("read a request for a port: %w", err)
	}
	if r.Port == 0 || r.Port > 1<<16-1 {
		return "", 0, fmt.Errorf("%d is no port", r.Port)
	}
	return strings.ToLower(strings.TrimSuffix(r.Host, ".")), uint16(r.Port), nil
}

// ownHosts are the computer's names for itself, besides those it was given.
var ownHosts = []string{"localhost", "127.0.0.1", "::1", "[::1]"}

// isOwn reports whether a host is the computer itself.
func isOwn(host string, names []string) bool {
	return host != "" && (slices.Contains(ownHosts, host) || slices.Contains(names, host))
}
