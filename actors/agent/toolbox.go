package agent

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Bounds of tools.
const (
	DefaultToolTimeout = 2 * time.Minute
	MaxToolTimeout     = 30 * time.Minute
	fileToolTimeout    = time.Minute
	// timeoutGrace is how long a computer may take to end a command whose time
	// is over, before the call itself is given up.
	timeoutGrace = 15 * time.Second
	// maxCommandBytes stays below what Linux takes as one argument.
	maxCommandBytes = 120 << 10
)

// OutputDir is the workspace directory that holds outputs too long for a model.
const OutputDir = ".bothy/output"

// Toolbox runs tools. It has no state; calls of one thread run one at a time.
type Toolbox struct {
	// Computer gives the thread's computer, starting it if need be. It is
	// asked only when a tool with sound arguments is about to run.
	Computer func(context.Context) (Computer, error)
	More     []Toolkit // beside the built-in ones
	Now      func() time.Time
}

// Toolkit is tools of one kind beside the built-in ones, whose names they do
// not share.
type Toolkit interface {
	// Has reports whether a call by this name is theirs.
	Has(name string) bool
	// Run runs a call, within their own time limit. Errors are as Toolbox.Run's.
	Run(ctx context.Context, call Call) (Result, error)
}

// Run runs the call and returns the entry to commit, with the given id. The
// call must have been committed. Whatever a model can get wrong is in the
// result. An error means that there is none to commit: the computer is gone
// (ErrComputerGone) or could not be had, or ctx is done; the call then counts
// as interrupted.
func (t Toolbox) Run(ctx context.Context, step int, id string, call Call) (Entry, error) {
	begun := t.Now()
	result, err := t.run(ctx, call)
	if ctx.Err() != nil {
		return Entry{}, fmt.Errorf("run %s: %w", call.Name, context.Cause(ctx))
	}
	if err != nil {
		return Entry{}, fmt.Errorf("run %s: %w", call.Name, err)
	}
	result.Call, result.Duration = call.ID, t.Now().Sub(begun)
	return Entry{Kind: ToolResult, ID: id, Step: step, Result: &result}, nil
}

func (t Toolbox) run(ctx context.Context, call Call) (Result, error) {
	for _, more := range t.More {
		if more.Has(call.Name) {
			return more.Run(ctx, call)
		}
	}
	return t.builtIn(ctx, call)
}

func (t Toolbox) builtIn(ctx context.Context, call Call) (Result, error) {
	args, err := ParseArguments(call)
	if err != nil {
		return Result{Status: Invalid, Text: "error: " + err.Error()}, nil
	}
	computer, err := t.Computer(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("get the computer: %w", err)
	}
	w := work{computer: computer, saved: OutputFile(call.ID)}
	limit := fileToolTimeout
	if shell, ok := args.(ShellArgs); ok {
		w.timeout = DefaultToolTimeout
		if shell.TimeoutMS > 0 {
			w.timeout = time.Duration(shell.TimeoutMS) * time.Millisecond
		}
		limit = w.timeout + timeoutGrace
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	result, err := w.do(limited, call.Name, args)
	switch {
	case err == nil:
		return result, nil
	case errors.Is(err, ErrComputerGone):
		return Result{}, err
	case limited.Err() != nil && ctx.Err() == nil:
		return Result{Status: TimedOut, Text: fmt.Sprintf("error: %s did not end within %s and was given up", call.Name, limit)}, nil
	}
	return Result{Status: Failed, Text: "error: " + err.Error()}, nil
}

// work is one call on one computer.
type work struct {
	computer Computer
	timeout  time.Duration // of a command
	saved    string        // where too long an output goes
}

func (w work) do(ctx context.Context, name string, args any) (Result, error) {
	switch a := args.(type) {
	case ShellArgs:
		return w.shell(ctx, a)
	case ReadFileArgs:
		if name == ListFilesTool {
			return w.list(ctx, a)
		}
		return w.read(ctx, a)
	case WriteFileArgs:
		return w.write(ctx, a)
	case EditFileArgs:
		return w.edit(ctx, a)
	case GrepArgs:
		return w.grep(ctx, a)
	}
	return Result{}, fmt.Errorf("there is no tool %q", name)
}
