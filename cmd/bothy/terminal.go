package main

import (
	"errors"
	"io"
	"os"

	"golang.org/x/term"
)

// terminal is where a command reads and writes, and how.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string
	tty      bool   // out is a terminal
	format   string // of -o: table, json, or "" to choose by tty
	begun    bool   // the command line was understood
}

func newTerminal() *terminal {
	return &terminal{in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv, tty: term.IsTerminal(int(os.Stdout.Fd()))}
}

// json reports whether replies are for programs.
func (t *terminal) json() bool { return t.format == formatJSON || (t.format == "" && !t.tty) }

// Exit codes of bothy itself. `bothy exec` ends with its command's.
const (
	exitFailed = 1
	exitUsage  = 2
	// exitLost is exec's, as ssh's: the command's own code is not known.
	exitLost = 255
)

// exitError ends the process with a code; with no error in it, silently.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// mistaken marks a command line or configuration that cannot be.
func mistaken(err error) error { return &exitError{exitUsage, err} }

// verdict is a command's exit code and what is printed about its failure.
func verdict(err error) (code int, text string) {
	code = exitFailed
	var exit *exitError
	if errors.As(err, &exit) {
		code = exit.code
	}
	if text = err.Error(); text != "" {
		text = "bothy: " + text
	}
	if remedy := remedyFor(err); remedy != "" {
		text += "\n" + remedy
	}
	return code, text
}
