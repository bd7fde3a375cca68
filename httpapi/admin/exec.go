package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/computeragents"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Bounds of a command.
const (
	maxArgs        = 4096
	maxExecTimeout = 24 * time.Hour
	// maxExecLine bounds one line of the request; a piece of input is shorter.
	maxExecLine = 1 << 20
	// execHeadPatience is how long the command itself may take to arrive.
	execHeadPatience = 30 * time.Second
	// outputPiece bounds one line of output.
	outputPiece = 32 << 10
)

// exec serves POST /v1/admin/computers/:id/exec. Request and reply are lines of
// JSON, each flowing while the other does: the first line of the request is the
// command, those after it are its input; lines of the reply are its output and,
// last, how it ended.
func (a *API) exec(c *gin.Context) error {
	computer, err := a.computer(c)
	if err != nil {
		return err
	}
	control := http.NewResponseController(c.Writer)
	// A recorder has no connection to share between the two directions.
	if err := control.EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("read and write at once: %w", err)
	}
	if err := a.Draining(); err != nil {
		return err
	}
	defer endInput(c, control)
	ctx, cancel := context.WithCancel(c.Request.Context())
	defer cancel()
	cmd, err := readCommand(control, bufio.NewReaderSize(c.Request.Body, outputPiece), cancel)
	if err != nil {
		return err
	}
	out := &lines{c: c, control: control}
	stop := context.AfterFunc(a.Drain, cancel)
	defer stop()
	cmd.Stdout = &pipe{out, func(b []byte) wire.ExecOutput { return wire.ExecOutput{Stdout: b} }}
	cmd.Stderr = &pipe{out, func(b []byte) wire.ExecOutput { return wire.ExecOutput{Stderr: b} }}
	exit, err := a.Computers.Exec(ctx, on(c, computer), computer.ID, cmd)
	if err != nil && !out.begun() {
		return err
	}
	return a.ended(c, out, exit, err)
}

// inputPatience bounds how long the rest of a request is read once its command
// has ended.
const inputPatience = time.Second

// endInput has done with the request's body before the handler returns:
// whoever still reads input from it, and the server, which would read on for
// the next request, must not meet in it.
func endInput(c *gin.Context, control *http.ResponseController) {
	// Without a connection, as in a recorder, there is nobody to meet.
	if control.SetReadDeadline(time.Now().Add(inputPatience)) == nil {
		_ = c.Request.Body.Close() // the reply is written; what comes of its input is no matter now
	}
}

// ended writes the last line.
func (a *API) ended(c *gin.Context, out *lines, exit actors.Exit, err error) error {
	last := wire.ExecOutput{Exit: &wire.ExecExit{Code: exit.Code, Signal: exit.Signal, TimedOut: exit.TimedOut,
		DurationMS: exit.Duration.Milliseconds()}}
	if err != nil {
		f := fault.New(fault.Internal, "The command was lost")
		var known *fault.Error
		if errors.As(err, &known) && known.Kind != fault.Internal {
			f = known
		} else {
			a.Log.ErrorContext(c.Request.Context(), "exec failed", "request", door.RequestID(c), "err", err)
		}
		status, body := computeragents.Refuse(c, f)
		last = wire.ExecOutput{Error: &body, Status: status}
	}
	if err := out.write(last); err != nil {
		a.Log.DebugContext(c.Request.Context(), "exec reply lost", "request", door.RequestID(c), "err", err)
	}
	return nil
}

// readCommand reads and checks the request's first line. gone is called when
// the client breaks off in the middle of its input.
func readCommand(control *http.ResponseController, in *bufio.Reader, gone func()) (cmd actors.Command, err error) {
	deadlines := control.SetReadDeadline(time.Now().Add(execHeadPatience)) == nil
	req, err := readHead(in)
	if err != nil {
		return cmd, err
	}
	if deadlines {
		if err := control.SetReadDeadline(time.Time{}); err != nil {
			return cmd, fmt.Errorf("read the command: %w", err)
		}
	}
	switch {
	case len(req.Argv) == 0 || req.Argv[0] == "":
		return cmd, invalid("argv", "Missing required field: argv")
	case len(req.Argv) > maxArgs:
		return cmd, invalid("argv", "argv must have at most %d items", maxArgs)
	case req.TimeoutMS < 0 || req.TimeoutMS > maxExecTimeout.Milliseconds():
		return cmd, invalid("timeoutMs", "timeoutMs must be 0 (none) to %d", maxExecTimeout.Milliseconds())
	}
	cmd = actors.Command{Argv: req.Argv, Dir: req.Dir, User: req.User, Timeout: time.Duration(req.TimeoutMS) * time.Millisecond}
	for k, v := range req.Env {
		if k == "" || strings.Contains(k, "=") {
			return cmd, invalid("env", "env: %q is not a variable's name", k)
		}
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	if req.Stdin {
		cmd.Stdin = &input{lines: in, gone: gone}
	}
	return cmd, nil
}

// readHead reads the command and, where no input follows it, the rest of the
// body: what is left unread would break the connection under the client's next
// request.
func readHead(in *bufio.Reader) (req wire.Exec, err error) {
	head, err := readLine(in)
	if errors.Is(err, io.EOF) {
		err = fault.New(fault.Invalid, "The body is empty; send a JSON object on one line")
	}
	if err != nil {
		return req, err
	}
	if err := door.Decode(head, &req); err != nil || req.Stdin {
		return req, err
	}
	rest, err := io.Copy(io.Discard, io.LimitReader(in, maxExecLine))
	if err == nil && rest == maxExecLine {
		err = invalid("stdin", "input follows a command that takes none; set stdin")
	}
	return req, err
}

// readLine reads one line of at most maxExecLine bytes; the last may lack its end.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		piece, err := in.ReadSlice('\n')
		line = append(line, piece...)
		switch {
		case len(line) > maxExecLine:
			return nil, fault.New(fault.TooLarge, "A line of the request is larger than %d bytes", maxExecLine)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(line) > 0:
			return line, nil
		case errors.Is(err, io.EOF):
			return nil, io.EOF
		case err != nil:
			return nil, fault.New(fault.Invalid, "The body cannot be read: %w", err)
		}
		return line, nil
	}
}

// input is a command's standard input, out of the request's lines.
type input struct {
	lines *bufio.Reader
	left  []byte
	gone  func()
}

func (r *input) Read(p []byte) (int, error) {
	for len(r.left) == 0 {
		line, err := readLine(r.lines)
		if errors.Is(err, io.EOF) {
			return 0, io.EOF // the body's end is the input's
		}
		if err != nil {
			r.gone()
			return 0, err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var piece wire.ExecInput
		if err := json.Unmarshal(line, &piece); err != nil {
			return 0, fault.New(fault.Invalid, "A line of input is not valid JSON: %v", err)
		}
		r.left = piece.Stdin
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// lines writes the reply, a line at a time, from several goroutines.
type lines struct {
	mu      sync.Mutex
	c       *gin.Context
	control *http.ResponseController
	started bool
}

func (l *lines) begun() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.started
}

func (l *lines) write(o wire.ExecOutput) error {
	b, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.started {
		l.started = true
		l.c.Header("Content-Type", "application/x-ndjson")
		l.c.Header("Cache-Control", "no-cache, no-transform")
		l.c.Status(http.StatusOK)
	}
	if _, err := l.c.Writer.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	if err := l.control.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// pipe is one of a command's outputs.
type pipe struct {
	out  *lines
	line func([]byte) wire.ExecOutput
}

func (p *pipe) Write(b []byte) (int, error) {
	for written := 0; ; {
		piece := b[written:min(len(b), written+outputPiece)]
		if len(piece) == 0 {
			return written, nil
		}
		if err := p.out.write(p.line(piece)); err != nil {
			return written, err
		}
		written += len(piece)
	}
}
