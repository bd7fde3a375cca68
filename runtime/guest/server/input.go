package server

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"connectrpc.com/connect"

	"github.com/bothy-computer/bothy/runtime/guest/proc"
	"github.com/bothy-computer/bothy/runtime/guest/process"
)

// maxSignal is the last real-time signal of Linux.
const maxSignal = 64

func (s processService) find(sel *process.ProcessSelector) (p *proc.Process, err error) {
	switch by := sel.GetSelector().(type) {
	case *process.ProcessSelector_Pid:
		p, err = s.table.Find(int(by.Pid))
	case *process.ProcessSelector_Tag:
		p, err = s.table.FindTag(by.Tag)
	default:
		return nil, connect.NewError(connect.CodeUnimplemented, errors.New("process must be selected by pid or tag"))
	}
	if err != nil {
		return nil, failed(err)
	}
	return p, nil
}

// Update changes the size of a process's terminal.
func (s processService) Update(_ context.Context, req *connect.Request[process.UpdateRequest]) (*connect.Response[process.UpdateResponse], error) {
	p, err := s.find(req.Msg.Process)
	if err != nil {
		return nil, err
	}
	if size := sizeOf(req.Msg.Pty); size != nil {
		if err := p.Resize(*size); err != nil {
			return nil, failed(err)
		}
	}
	return connect.NewResponse(&process.UpdateResponse{}), nil
}

// SendInput writes one piece to stdin or to the terminal.
func (s processService) SendInput(ctx context.Context, req *connect.Request[process.SendInputRequest]) (*connect.Response[process.SendInputResponse], error) {
	p, err := s.find(req.Msg.Process)
	if err != nil {
		return nil, err
	}
	if err := feed(ctx, p, req.Msg.Input); err != nil {
		return nil, err
	}
	return connect.NewResponse(&process.SendInputResponse{}), nil
}

// StreamInput writes pieces to the process that the first message names.
func (s processService) StreamInput(ctx context.Context, stream *connect.ClientStream[process.StreamInputRequest]) (*connect.Response[process.StreamInputResponse], error) {
	var p *proc.Process
	for stream.Receive() {
		var err error
		switch ev := stream.Msg().Event.(type) {
		case *process.StreamInputRequest_Start:
			if p != nil {
				return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("start may only come first"))
			}
			p, err = s.find(ev.Start.GetProcess())
		case *process.StreamInputRequest_Data:
			if p == nil {
				return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("start must come before data"))
			}
			err = feed(ctx, p, ev.Data.GetInput())
		case *process.StreamInputRequest_Keepalive:
		default:
			err = connect.NewError(connect.CodeUnimplemented, errors.New("the message is neither start, data nor keepalive"))
		}
		if err != nil {
			return nil, err
		}
	}
	if err := stream.Err(); err != nil {
		return nil, err
	}
	return connect.NewResponse(&process.StreamInputResponse{}), nil
}

func feed(ctx context.Context, p *proc.Process, in *process.ProcessInput) error {
	switch kind := in.GetInput().(type) {
	case *process.ProcessInput_Stdin:
		if p.HasPTY() {
			return failed(proc.ErrPTY)
		}
		return failed(p.Write(ctx, kind.Stdin))
	case *process.ProcessInput_Pty:
		if !p.HasPTY() {
			return failed(proc.ErrNoPTY)
		}
		return failed(p.Write(ctx, kind.Pty))
	default:
		return connect.NewError(connect.CodeUnimplemented, errors.New("input must be stdin or pty"))
	}
}

// SendSignal signals the whole process group with any signal of the kernel.
func (s processService) SendSignal(_ context.Context, req *connect.Request[process.SendSignalRequest]) (*connect.Response[process.SendSignalResponse], error) {
	p, err := s.find(req.Msg.Process)
	if err != nil {
		return nil, err
	}
	if n := req.Msg.Signal; n < 1 || n > maxSignal {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%d is no signal; use 1 to %d", n, maxSignal))
	}
	if err := p.Signal(syscall.Signal(req.Msg.Signal)); err != nil {
		return nil, failed(err)
	}
	return connect.NewResponse(&process.SendSignalResponse{}), nil
}

// CloseStdin lets the process read the end of its input.
func (s processService) CloseStdin(ctx context.Context, req *connect.Request[process.CloseStdinRequest]) (*connect.Response[process.CloseStdinResponse], error) {
	p, err := s.find(req.Msg.Process)
	if err != nil {
		return nil, err
	}
	if err := p.CloseStdin(ctx); err != nil {
		return nil, failed(err)
	}
	return connect.NewResponse(&process.CloseStdinResponse{}), nil
}
