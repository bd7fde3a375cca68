package sshgate

import (
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"
)

func TestVariablesAreTakenByListAndBound(t *testing.T) {
	for name, taken := range map[string]bool{"LANG": true, "LC_ALL": true, "LC_CTYPE": true, "COLORTERM": true, "GIT_PROTOCOL": true,
		"": false, "LC_": false, "LC_all": false, "LC_A=B": false, "PATH": false, "LD_PRELOAD": false, "BASH_ENV": false, "ENV": false, "TERM": false, "HOME": false} {
		var e environment
		if e.set(ssh.Marshal(envRequest{name, "x"})) != taken {
			t.Errorf("%q: taken %v", name, !taken)
		}
	}
	var e environment
	if e.set(ssh.Marshal(envRequest{"LANG", "a\x00b"})) || e.set([]byte{1, 2}) || e.set(ssh.Marshal(envRequest{"LANG", strings.Repeat("x", maxEnvBytes)})) {
		t.Error("a value was taken that must not be")
	}
	for i := range maxEnv + 10 {
		name := "LC_" + strings.Repeat("A", i%32+1) + strings.Repeat("_", i/32)
		if took := e.set(ssh.Marshal(envRequest{name, "x"})); took != (len(e.values) <= maxEnv && e.values[name] == "x") {
			t.Errorf("%s: %v", name, took)
		}
	}
	if len(e.values) > maxEnv {
		t.Errorf("%d variables", len(e.values))
	}
	for range 2 * maxEnvBytes { // the same one again and again
		e.set(ssh.Marshal(envRequest{"LANG", "xxxxxxxx"}))
	}
	if e.bytes > maxEnvBytes {
		t.Errorf("%d bytes", e.bytes)
	}
}

func TestForwardsGoToTheComputerAlone(t *testing.T) {
	names := []string{"01890000-0000-7000-8000-00000000000a", "box", ""}
	for host, own := range map[string]bool{"localhost": true, "LocalHost": true, "localhost.": true, "127.0.0.1": true, "::1": true, "box": true, names[0]: true,
		"": false, "0.0.0.0": false, "::": false, "127.0.0.2": false, "10.0.0.1": false, "example.org": false, "localhost.example.org": false,
		"127.1": false, "0x7f000001": false, "::ffff:127.0.0.1": false, "box.": true, "other": false} {
		got, port, err := parseForward(ssh.Marshal(directTCP{Host: host, Port: 80}))
		if err != nil || port != 80 || isOwn(got, names) != own {
			t.Errorf("%q: %q %d %v", host, got, port, err)
		}
	}
	for _, port := range []uint32{0, 65536, 1 << 31} {
		if _, _, err := parseForward(ssh.Marshal(directTCP{Host: "localhost", Port: port})); err == nil {
			t.Errorf("port %d was taken", port)
		}
	}
}

func TestSignalsHaveNames(t *testing.T) {
	for name, want := range map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "USR1": syscall.SIGUSR1, "WINCH": syscall.SIGWINCH,
		"": 0, "SIGINT": 0, "int": 0, "RTMIN": 0, "9": 0} {
		if got := signalNamed(ssh.Marshal(textRequest{name})); got != want {
			t.Errorf("%q: %d, want %d", name, got, want)
		}
	}
	for status, want := range map[string]string{"signal: killed": "KILL", "signal: terminated": "TERM", "signal: hangup": "HUP",
		"signal: aborted (core dumped)": "ABRT", "exit status 3": "", "signal: something new": "KILL"} {
		if got, core := signalOf(status); got != want || core != strings.Contains(status, "core") {
			t.Errorf("%q: %q %v", status, got, core)
		}
	}
}

func TestTerminals(t *testing.T) {
	tty, err := parsePTY(ssh.Marshal(ptyRequest{Term: "xterm-256color", Cols: 100, Rows: 1 << 20, Modes: "\x35\x00\x00\x00\x01\x00"}))
	if err != nil || tty.term != "xterm-256color" || tty.cols != 100 || tty.rows != maxSide || len(tty.modes) != 6 {
		t.Errorf("%+v %v", tty, err)
	}
	if tty, err = parsePTY(ssh.Marshal(ptyRequest{Term: "../../x"})); err != nil || tty.term != "dumb" || tty.cols != usualCols || tty.rows != usualRows {
		t.Errorf("%+v %v", tty, err)
	}
	if _, err = parsePTY(ssh.Marshal(ptyRequest{Modes: strings.Repeat("x", maxModesBytes+1)})); err == nil {
		t.Error("too many modes were taken")
	}
}

func TestServerNamesTellComputers(t *testing.T) {
	const id = "01890000-0000-7000-8000-00000000000a"
	for name, want := range map[string]string{id + ".bothy.internal": id, strings.ToUpper(id) + ".X": id, id: id,
		"": "", "ssh.example.org": "", "127.0.0.1": "", "{" + id + "}.x": "", "urn:uuid:" + id + ".x": "", strings.ReplaceAll(id, "-", "") + ".x": ""} {
		if got := computerOf(name); got != want {
			t.Errorf("%q tells %q", name, got)
		}
	}
}

func FuzzRequests(f *testing.F) {
	for _, seed := range [][]byte{nil, ssh.Marshal(envRequest{"LANG", "C"}), ssh.Marshal(ptyRequest{Term: "xterm", Modes: "\x00"}),
		ssh.Marshal(directTCP{Host: "localhost", Port: 80}), ssh.Marshal(textRequest{"INT"}), {0xff, 0xff, 0xff, 0xff}} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		var e environment
		if e.set(payload) {
			for name, value := range e.values {
				if strings.ContainsAny(name+value, "\x00") || strings.Contains(name, "=") || e.bytes > maxEnvBytes {
					t.Errorf("%q=%q was taken", name, value)
				}
			}
		}
		if tty, err := parsePTY(payload); err == nil && (tty.cols == 0 || tty.rows == 0 || tty.cols > maxSide || tty.rows > maxSide || strings.ContainsAny(tty.term, "/\x00= \n")) {
			t.Errorf("%+v", tty)
		}
		if host, _, err := parseForward(payload); err == nil && isOwn(host, nil) && strings.Trim(host, "[]:.0123456789localhost") != "" {
			t.Errorf("%q is taken for the computer", host)
		}
		if command, err := parseCommand(payload); err == nil && (len(command) > maxCommandBytes || strings.ContainsRune(command, 0)) {
			t.Errorf("%q was taken", command)
		}
		if n := signalNamed(payload); n < 0 || n > lastNamed {
			t.Errorf("signal %d", n)
		}
		if id := computerOf(string(payload)); strings.ContainsAny(id, "./\x00") {
			t.Errorf("%q is taken for an id", id)
		}
	})
}
