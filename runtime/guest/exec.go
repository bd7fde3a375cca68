package guest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/guest/process"
)

const (
	// Workdir is the workspace inside every computer, where Exec resolves a
	// relative Cmd.Dir.
	Workdir = "/workspace"
)

// Exec runs a command and returns when it has ended and its output was
// written. One request starts it and carries all of its output.
//
// The guest itself counts Cmd.Timeout, so it holds even when this node dies.
// When ctx is done Exec kills the process group by a request of its own (a
// stream that ends kills nothing: E2B's clients rely on that), waits for the
// end and returns the context's error. Exec does not wait for a Read of
// Cmd.Stdin that is in progress when the command ends.
//
// A guest that does not keep to its protocol, or has told no end well after
// Cmd.Timeout, is runtime.ErrAstray.
//
// The error wraps runtime.ErrInvalid when the command cannot be started, and
// runtime.ErrNotRunning when no guest answers; a command that ran and failed
// is no error.
func (c *Client) Exec(ctx context.Context, cmd runtime.Cmd) (runtime.Exit, error) {
	if err := ctx.Err(); err != nil {
		return runtime.Exit{Code: -1}, err
	}
	req, err := startRequest(cmd)
	if err != nil {
		return runtime.Exit{Code: -1}, err
	}
	if cmd.Timeout > 0 {
		limited, cancel := context.WithTimeoutCause(ctx, cmd.Timeout+endPatience, errUnended)
		defer cancel()
		ctx = limited
	}
	begun := time.Now()
	// The stream must outlive ctx, to learn the pid and to see the end.
	life, abandon := context.WithCancelCause(context.WithoutCancel(ctx))
	defer abandon(nil)
	run := &execution{client: c, cmd: cmd, started: make(chan uint32, 1), fed: make(chan error, 1)}
	stop := context.AfterFunc(ctx, func() { run.end(life, abandon) })
	exit, err := run.follow(life, req)
	exit.Duration = time.Since(begun)
	if !stop() {
		return exit, fmt.Errorf("run %s: %w", cmd.Argv[0], errors.Join(context.Cause(ctx), context.Cause(life)))
	}
	if err != nil {
		return exit, fmt.Errorf("run %s: %w", cmd.Argv[0], translate(err))
	}
	return exit, nil
}

func startRequest(cmd runtime.Cmd) (*connect.Request[process.StartRequest], error) {
	if len(cmd.Argv) == 0 {
		return nil, fmt.Errorf("%w: argv is empty", runtime.ErrInvalid)
	}
	stdin := cmd.Stdin != nil
	msg := &process.StartRequest{
		Process: &process.ProcessConfig{Cmd: cmd.Argv[0], Args: cmd.Argv[1:], Envs: make(map[string]string, len(cmd.Env))},
		Stdin:   &stdin,
	}
	for _, pair := range cmd.Env {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("%w: %q is not KEY=value", runtime.ErrInvalid, pair)
		}
		msg.Process.Envs[key] = value
	}
	if cmd.Dir != "" {
		dir := cmd.Dir
		if !path.IsAbs(dir) && !strings.HasPrefix(dir, "~") {
			dir = path.Join(Workdir, dir)
		}
		msg.Process.Cwd = &dir
	}
	req := connect.NewRequest(msg)
	if cmd.User != "" {
		basic := &http.Request{Header: req.Header()}
		basic.SetBasicAuth(cmd.User, "")
	}
	if cmd.Timeout > 0 {
		ms := max(cmd.Timeout.Milliseconds(), 1)
		req.Header().Set(process.TimeoutHeader, strconv.FormatInt(ms, 10))
	}
	return req, nil
}
