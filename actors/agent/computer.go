package agent

import (
	"context"
	"errors"
	"io"
	"time"
)

// ErrComputerGone means that the computer itself failed or belongs to another
// node now. A tool ends with it instead of telling the model; whoever drives
// the loop decides what becomes of the run.
var ErrComputerGone = errors.New("the computer is gone")

// Command is a program to run in a computer.
type Command struct {
	Argv    []string
	Env     []string      // besides what every program of the run is given, KEY=value
	Dir     string        // "" is the workspace; else as a user of the computer names it
	Timeout time.Duration // the whole process group is ended after it; 0 is never
	// Input is what the program reads; nil is nothing. A Read of it may still
	// be under way when the program has ended.
	Input io.Reader
	// Output takes what the program writes to stdout, and to stderr unless
	// Errors does. It may be called from two goroutines.
	Output io.Writer
	Errors io.Writer
}

// Exit is how a command ended.
type Exit struct {
	Code     int    // -1 when a signal ended it
	Signal   string // such as "killed", or ""
	TimedOut bool
}

// File is a file's content, as much of it as was asked for.
type File struct {
	Content []byte
	Bytes   int64 // of the whole file
}

// DirEntry is a name in a directory.
type DirEntry struct {
	Name  string
	Dir   bool
	Link  bool // a symbolic link; it is not followed
	Bytes int64
}

// Computer is what tools need. Paths are relative to the workspace, or
// absolute as the computer's user sees them. Every method returns soon after
// ctx is done. An error is told to the model by its text, unless it is
// ErrComputerGone.
type Computer interface {
	Exec(ctx context.Context, cmd Command) (Exit, error)
	// ReadFile returns at most the first maxBytes of a regular file.
	ReadFile(ctx context.Context, path string, maxBytes int64) (File, error)
	// WriteFile replaces or creates the file, and its directories, in one
	// step: nobody sees half of it. It reports whether the file is new.
	WriteFile(ctx context.Context, path string, content []byte) (created bool, err error)
	// Append adds to the end of a file, creating it and its directories.
	Append(ctx context.Context, path string, content []byte) error
	// List returns at most maxEntries of a directory, sorted by name, and
	// whether there are more.
	List(ctx context.Context, path string, maxEntries int) (entries []DirEntry, more bool, err error)
}
