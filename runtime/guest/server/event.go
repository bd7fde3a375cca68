package server

import (
	"errors"

	"connectrpc.com/connect"

	"github.com/bothy-computer/bothy/runtime/guest/proc"
	"github.com/bothy-computer/bothy/runtime/guest/process"
)

func startEvent(pid int) *process.ProcessEvent {
	start := &process.ProcessEvent_StartEvent{Pid: uint32(pid)}
	return &process.ProcessEvent{Event: &process.ProcessEvent_Start{Start: start}}
}

func dataEvent(ev proc.Event) *process.ProcessEvent {
	data := &process.ProcessEvent_DataEvent{}
	switch ev.Stream {
	case proc.Stdout:
		data.Output = &process.ProcessEvent_DataEvent_Stdout{Stdout: ev.Data}
	case proc.Stderr:
		data.Output = &process.ProcessEvent_DataEvent_Stderr{Stderr: ev.Data}
	case proc.Terminal:
		data.Output = &process.ProcessEvent_DataEvent_Pty{Pty: ev.Data}
	}
	return &process.ProcessEvent{Event: &process.ProcessEvent_Data{Data: data}}
}

func endEvent(end proc.End) *process.ProcessEvent {
	e := &process.ProcessEvent_EndEvent{
		ExitCode: int32(end.Code()), Exited: end.Status.Exited(), Status: end.String(),
	}
	if end.Code() != 0 {
		e.Error = &e.Status
	}
	return &process.ProcessEvent{Event: &process.ProcessEvent_End{End: e}}
}

func keepaliveEvent() *process.ProcessEvent {
	return &process.ProcessEvent{Event: &process.ProcessEvent_Keepalive{Keepalive: &process.ProcessEvent_KeepAlive{}}}
}

// codeOf is what a failure of a process is to a Connect client.
var codeOf = []struct {
	err  error
	code connect.Code
}{
	{proc.ErrNotFound, connect.CodeNotFound},
	{proc.ErrExited, connect.CodeNotFound},
	{proc.ErrFull, connect.CodeResourceExhausted},
	{proc.ErrClosed, connect.CodeUnavailable},
	{proc.ErrStart, connect.CodeInvalidArgument},
	{proc.ErrNoStdin, connect.CodeFailedPrecondition},
	{proc.ErrPTY, connect.CodeInternal},
	{proc.ErrNoPTY, connect.CodeInternal},
}

// failed gives a failure its code. What has none is left to connect, which
// knows about cancelled requests.
func failed(err error) error {
	for _, row := range codeOf {
		if errors.Is(err, row.err) {
			return connect.NewError(row.code, err)
		}
	}
	return err
}
