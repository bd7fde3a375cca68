package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/guest/process"
)

const (
	// killPatience bounds the wait for the end of a process that was killed
	// because the caller's context was done.
	killPatience = 5 * time.Second
	// stdinChunkBytes is the most that one piece of stdin carries.
	stdinChunkBytes = 32 << 10
	// endPatience is how long after a command's time the guest may take to kill
	// it and say so.
	endPatience = 10 * time.Second
)

var (
	errUnkilled = errors.New("the guest has not answered the request to kill it; it may go on")
	errUnended  = fmt.Errorf("%w: the command's time was up and it told no end", runtime.ErrAstray)
)

// execution is one command that runs.
type execution struct {
	client  *Client
	cmd     runtime.Cmd
	started chan uint32 // the pid, once
	fed     chan error  // why stdin could not be read, once
}

// follow starts the command and copies its output until the end.
func (x *execution) follow(ctx context.Context, req *connect.Request[process.StartRequest]) (runtime.Exit, error) {
	exit := runtime.Exit{Code: -1}
	stream, err := x.client.processes.Start(ctx, req)
	if err != nil {
		return exit, err
	}
	defer stream.Close()
	feeding, stopFeeding := context.WithCancel(ctx)
	defer stopFeeding()
	var pid uint32
	var unwritten error
	for stream.Receive() {
		switch ev := stream.Msg().GetEvent().GetEvent().(type) {
		case *process.ProcessEvent_Start:
			if pid != 0 || ev.Start.Pid == 0 {
				return exit, fmt.Errorf("%w: it told of a beginning that cannot be", runtime.ErrAstray)
			}
			pid = ev.Start.Pid
			x.begin(feeding, pid)
		case *process.ProcessEvent_Data:
			if unwritten != nil {
				break // the group was killed; only the end matters now
			}
			if unwritten = x.write(ev.Data); unwritten != nil {
				unwritten = errors.Join(unwritten, x.kill(ctx, pid))
			}
		case *process.ProcessEvent_End:
			exit.Code, exit.Signal = int(ev.End.ExitCode), signalOf(ev.End.Status)
			err := errors.Join(unwritten, x.unread(), drain(stream))
			exit.TimedOut = stream.ResponseTrailer().Get(process.TimedOutTrailer) == "true"
			return exit, err
		}
	}
	if err := stream.Err(); err != nil {
		return exit, err
	}
	return exit, fmt.Errorf("%w: the stream ended before the command did", runtime.ErrNotRunning)
}

// drain reads to the stream's end, where the trailers are.
func drain(stream *connect.ServerStreamForClient[process.StartResponse]) error {
	for stream.Receive() {
	}
	return stream.Err()
}

func (x *execution) begin(feeding context.Context, pid uint32) {
	x.started <- pid
	if x.cmd.Stdin != nil {
		go func() { x.fed <- x.feed(feeding, pid) }()
	}
}

func (x *execution) write(data *process.ProcessEvent_DataEvent) error {
	to, piece := x.cmd.Stdout, data.GetStdout()
	if data.GetStderr() != nil {
		to, piece = x.cmd.Stderr, data.GetStderr()
	}
	if to == nil {
		return nil
	}
	if _, err := to.Write(piece); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// end is what a done context does: it kills the group and, when that does
// not bring the end of the stream, gives up on the stream.
func (x *execution) end(life context.Context, abandon context.CancelCauseFunc) {
	limit, cancel := context.WithTimeout(life, killPatience)
	defer cancel()
	select {
	case pid := <-x.started:
		if err := x.kill(limit, pid); err != nil {
			abandon(fmt.Errorf("%w: %w", errUnkilled, err))
			return
		}
	case <-limit.Done():
	}
	<-limit.Done()
	abandon(errUnkilled) // without effect when the end came in time
}

// kill ends the process group. One that has ended already is success.
func (x *execution) kill(ctx context.Context, pid uint32) error {
	_, err := x.client.processes.SendSignal(ctx, connect.NewRequest(&process.SendSignalRequest{
		Process: byPID(pid), Signal: process.Signal_SIGNAL_SIGKILL,
	}))
	if err != nil && connect.CodeOf(err) != connect.CodeNotFound {
		return fmt.Errorf("kill process group %d: %w", pid, err)
	}
	return nil
}

func byPID(pid uint32) *process.ProcessSelector {
	return &process.ProcessSelector{Selector: &process.ProcessSelector_Pid{Pid: pid}}
}

// feed copies stdin and closes it. It returns only what went wrong with the
// reader: a command need not read all of its input.
func (x *execution) feed(ctx context.Context, pid uint32) error {
	input := x.client.processes.StreamInput(ctx)
	taken := input.Send(&process.StreamInputRequest{Event: &process.StreamInputRequest_Start{
		Start: &process.StreamInputRequest_StartEvent{Process: byPID(pid)},
	}})
	buf := make([]byte, stdinChunkBytes)
	for taken == nil {
		n, err := x.cmd.Stdin.Read(buf)
		if n > 0 {
			taken = input.Send(stdinPiece(buf[:n]))
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return errors.Join(fmt.Errorf("read stdin: %w", err), x.kill(ctx, pid))
		}
	}
	if _, err := input.CloseAndReceive(); err != nil || taken != nil {
		return nil // the command ended, or closed its input
	}
	// A command that has ended by now needs no end of input.
	_, _ = x.client.processes.CloseStdin(ctx, connect.NewRequest(&process.CloseStdinRequest{Process: byPID(pid)}))
	return nil
}

func stdinPiece(data []byte) *process.StreamInputRequest {
	return &process.StreamInputRequest{Event: &process.StreamInputRequest_Data{
		Data: &process.StreamInputRequest_DataEvent{
			Input: &process.ProcessInput{Input: &process.ProcessInput_Stdin{Stdin: data}},
		},
	}}
}

// unread is why stdin could not be read, if that is known by now.
func (x *execution) unread() error {
	select {
	case err := <-x.fed:
		return err
	default:
		return nil
	}
}

// signalOf takes the name out of "signal: killed" or
// "signal: aborted (core dumped)".
func signalOf(status string) string {
	name, ok := strings.CutPrefix(status, "signal: ")
	if !ok {
		return ""
	}
	return strings.TrimSuffix(name, " (core dumped)")
}

// translate says what a failure means to a caller of a driver.
func translate(err error) error {
	err = unreached(err)
	switch {
	case errors.Is(err, runtime.ErrNotRunning):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: %w", runtime.ErrNotRunning, err)
	case isNonsense(err):
		return fmt.Errorf("%w: %w", runtime.ErrAstray, err)
	}
	switch connect.CodeOf(err) {
	case connect.CodeInvalidArgument, connect.CodeUnauthenticated:
		return fmt.Errorf("%w: %w", runtime.ErrInvalid, err)
	case connect.CodeResourceExhausted:
		return fmt.Errorf("%w: %w", runtime.ErrFull, err)
	case connect.CodeUnavailable:
		return fmt.Errorf("%w: %w", runtime.ErrNotRunning, err)
	}
	return err
}

// isNonsense says whether err is our own client's, about an answer that it
// could not take: too long, or not of the protocol.
func isNonsense(err error) bool {
	var failure *connect.Error
	if !errors.As(err, &failure) || connect.IsWireError(err) {
		return false
	}
	switch failure.Code() {
	case connect.CodeUnknown, connect.CodeInternal, connect.CodeInvalidArgument, connect.CodeResourceExhausted:
		return true
	}
	return false
}
