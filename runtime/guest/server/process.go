package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"connectrpc.com/connect"

	"github.com/bothy-computer/bothy/runtime/guest/proc"
	"github.com/bothy-computer/bothy/runtime/guest/process"
)

const (
	// defaultKeepalive and the bounds of what a client may ask for instead.
	defaultKeepalive = 90 * time.Second
	minKeepalive     = time.Second
	maxKeepalive     = time.Hour
	// maxTimeout bounds TimeoutHeader.
	maxTimeout = 365 * 24 * time.Hour
)

// processService implements processconnect.ProcessHandler.
type processService struct{ *Server }

// List returns the processes that have not ended, by pid.
func (s processService) List(context.Context, *connect.Request[process.ListRequest]) (*connect.Response[process.ListResponse], error) {
	res := &process.ListResponse{}
	for _, p := range s.table.List() {
		res.Processes = append(res.Processes, infoOf(p))
	}
	slices.SortFunc(res.Processes, func(a, b *process.ProcessInfo) int { return int(a.Pid) - int(b.Pid) })
	return connect.NewResponse(res), nil
}

func infoOf(p *proc.Process) *process.ProcessInfo {
	req := p.Origin().(*process.StartRequest)
	return &process.ProcessInfo{Config: req.Process, Pid: uint32(p.PID()), Tag: req.Tag}
}

// Start starts a process and streams what it prints. The process outlives
// the stream; Connect-Timeout-Ms ends both.
func (s processService) Start(ctx context.Context, req *connect.Request[process.StartRequest], stream *connect.ServerStream[process.StartResponse]) error {
	spec, err := s.spec(ctx, req.Header(), req.Msg)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err // nobody would learn the pid
	}
	p, sub, err := s.table.Start(spec)
	if err != nil {
		return failed(err)
	}
	send := func(ev *process.ProcessEvent) error { return stream.Send(&process.StartResponse{Event: ev}) }
	end, err := relay(ctx, p, sub, keepaliveOf(req.Header()), send)
	if end != nil && end.TimedOut {
		stream.ResponseTrailer().Set(process.TimedOutTrailer, "true")
	}
	return err
}

// Connect streams what a process prints from now on; of one that has just
// ended, its end. With RecallHeader what its terminal showed last comes first.
func (s processService) Connect(ctx context.Context, req *connect.Request[process.ConnectRequest], stream *connect.ServerStream[process.ConnectResponse]) error {
	p, err := s.find(req.Msg.Process)
	if err != nil {
		return err
	}
	send := func(ev *process.ProcessEvent) error { return stream.Send(&process.ConnectResponse{Event: ev}) }
	every := keepaliveOf(req.Header())
	if req.Header().Get(process.RecallHeader) == "true" {
		return recall(ctx, p, every, send)
	}
	sub, err := p.Subscribe()
	if err != nil {
		return failed(err)
	}
	_, err = relay(ctx, p, sub, every, send)
	return err
}

// recall relays with what the terminal showed last before it.
func recall(ctx context.Context, p *proc.Process, every time.Duration, send func(*process.ProcessEvent) error) error {
	sub, last, err := p.Recall()
	if err != nil {
		return failed(err)
	}
	defer sub.Cancel()
	if err := send(startEvent(p.PID())); err != nil {
		return err
	}
	if len(last) > 0 {
		if err := send(dataEvent(proc.Event{Stream: proc.Terminal, Data: last})); err != nil {
			return err
		}
	}
	if err := send(keepaliveEvent()); err != nil {
		return err
	}
	_, err = listen(ctx, sub, every, send)
	return err
}

// relay sends the start event and then what sub delivers, up to the end.
func relay(ctx context.Context, p *proc.Process, sub *proc.Subscription, every time.Duration, send func(*process.ProcessEvent) error) (*proc.End, error) {
	defer sub.Cancel()
	if err := send(startEvent(p.PID())); err != nil {
		return nil, err
	}
	return listen(ctx, sub, every, send)
}

// listen sends what sub delivers, up to the end.
func listen(ctx context.Context, sub *proc.Subscription, every time.Duration, send func(*process.ProcessEvent) error) (*proc.End, error) {
	keepalive := time.NewTicker(every)
	defer keepalive.Stop()
	for {
		var err error
		select {
		case ev, open := <-sub.C:
			if !open {
				return nil, connect.NewError(connect.CodeUnavailable, proc.ErrClosed)
			}
			if ev.End != nil {
				return ev.End, send(endEvent(*ev.End))
			}
			err = send(dataEvent(ev))
			keepalive.Reset(every)
		case <-keepalive.C:
			err = send(keepaliveEvent())
		case <-sub.Cut:
			return nil, connect.NewError(connect.CodeResourceExhausted, errors.New("this stream was read too slowly while others waited; connect again"))
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if err != nil {
			return nil, err
		}
	}
}

// spec turns a request into what the table starts.
func (s processService) spec(ctx context.Context, h http.Header, req *process.StartRequest) (proc.Spec, error) {
	if req.Process == nil {
		return proc.Spec{}, connect.NewError(connect.CodeInvalidArgument, errors.New("process is required"))
	}
	user, err := s.accountOf(h)
	if err != nil {
		return proc.Spec{}, err
	}
	dir, err := user.cwd(req.Process.GetCwd())
	if err != nil {
		return proc.Spec{}, err
	}
	env, path, err := user.environ(req.Process.Envs)
	if err != nil {
		return proc.Spec{}, err
	}
	file, err := executable(req.Process.Cmd, dir, path)
	if err != nil {
		return proc.Spec{}, err
	}
	timeout, err := timeoutOf(ctx, h)
	if err != nil {
		return proc.Spec{}, err
	}
	return proc.Spec{
		Path: file, Argv: append([]string{req.Process.Cmd}, req.Process.Args...), Env: env, Dir: dir,
		User: user.credential(), Stdin: req.Stdin == nil || *req.Stdin, Size: sizeOf(req.Pty),
		Tag: req.GetTag(), Timeout: timeout, Origin: req,
	}, nil
}

// timeoutOf is the earlier of the two deadlines that a request may carry.
func timeoutOf(ctx context.Context, h http.Header) (time.Duration, error) {
	var timeout time.Duration
	if text := h.Get(process.TimeoutHeader); text != "" {
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil || ms <= 0 || ms > maxTimeout.Milliseconds() {
			return 0, connect.NewError(connect.CodeInvalidArgument,
				fmt.Errorf("%s must be 1 to %d milliseconds", process.TimeoutHeader, maxTimeout.Milliseconds()))
		}
		timeout = time.Duration(ms) * time.Millisecond
	}
	if deadline, ok := ctx.Deadline(); ok {
		if left := max(time.Until(deadline), time.Millisecond); timeout == 0 || left < timeout {
			timeout = left
		}
	}
	return timeout, nil
}

func keepaliveOf(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get(process.KeepaliveHeader))
	if err != nil || seconds <= 0 || seconds > int(maxKeepalive/time.Second) {
		return defaultKeepalive
	}
	return max(time.Duration(seconds)*time.Second, minKeepalive)
}

func sizeOf(p *process.PTY) *proc.Size {
	if p == nil {
		return nil
	}
	return &proc.Size{Cols: uint16(min(p.GetSize().GetCols(), 1<<16-1)), Rows: uint16(min(p.GetSize().GetRows(), 1<<16-1))}
}
