package console

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"syscall"

	"connectrpc.com/connect"
	"github.com/coder/websocket"
	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime/guest"
	"github.com/bothy-computer/bothy/runtime/guest/process"
	"github.com/bothy-computer/bothy/runtime/guest/process/processconnect"
)

const (
	// terminalTag marks shells that pages have started.
	terminalTag = "console"
	// maxSide bounds a terminal's columns and rows.
	maxSide = 1000
)

// errBeginning is a guest that does not keep to its protocol.
var errBeginning = errors.New("the guest tells of a second beginning")

// told is a text message between page and terminal; binary ones are what is
// typed and shown.
type told struct {
	// Of the page: the terminal's new size, or that its shell is to go.
	Cols   uint32 `json:"cols,omitempty"`
	Rows   uint32 `json:"rows,omitempty"`
	HangUp bool   `json:"hang_up,omitempty"`
	// Of the terminal: its shell; that what follows is shown now and not
	// recalled, so that questions in it are to be answered; how it ended.
	PID   uint32 `json:"pid,omitempty"`
	Live  bool   `json:"live,omitempty"`
	Ended string `json:"ended,omitempty"`
}

// terminal is a shell in the computer, seen by one page. ?pid= is one that a
// page has started earlier; its last output comes first. Without it a new one
// is started. The shell outlives the page.
func (k *Console) terminal(c *gin.Context, v visit) error {
	size, err := sizeOf(c)
	if err != nil {
		return err
	}
	pid, err := number(c.Query("pid"), "pid", 1<<32-1)
	if err != nil {
		return err
	}
	return k.converse(c, v, func(ctx context.Context, s socket) error {
		t := &terminal{socket: s, guest: k.guest(v), pid: uint32(pid), opened: func() { k.Diary.Note(ctx, state.TerminalOpen, v.Account, v.Computer) }}
		if pid == 0 {
			return t.start(ctx, size)
		}
		return t.resume(ctx, size)
	})
}

func sizeOf(c *gin.Context) (*process.PTY, error) {
	cols, err := number(c.DefaultQuery("cols", "80"), "cols", maxSide)
	if err != nil {
		return nil, err
	}
	rows, err := number(c.DefaultQuery("rows", "24"), "rows", maxSide)
	return ptyOf(uint32(cols), uint32(rows)), err
}

func ptyOf(cols, rows uint32) *process.PTY {
	return &process.PTY{Size: &process.PTY_Size{Cols: cols, Rows: rows}}
}

// number reads a query's number; "" is 0.
func number(text, field string, most uint64) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 0 || n > most {
		return 0, fault.New(fault.Invalid, "%s must be from 1 to %d", field, most).WithField(field)
	}
	return n, nil
}

func (k *Console) guest(v visit) processconnect.ProcessClient {
	return guest.Processes(k.Computers.Guest(v.Account, v.Computer))
}

type terminal struct {
	socket
	guest  processconnect.ProcessClient
	pid    uint32
	opened func() // is told of the shell's beginning here
}

// events is a stream of a process, started or listened to.
type events interface {
	Receive() bool
	Err() error
	Close() error
}

func (t *terminal) start(ctx context.Context, size *process.PTY) error {
	// The process must not end with the request that started it.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	defer context.AfterFunc(ctx, end)()
	root, tag := "/", terminalTag // a login goes home by itself
	stream, err := t.guest.Start(life, connect.NewRequest(&process.StartRequest{Pty: size, Tag: &tag, Process: &process.ProcessConfig{
		Cmd: guest.Path, Args: []string{"login"}, Envs: map[string]string{"TERM": "xterm-256color", "COLORTERM": "truecolor"}, Cwd: &root}}))
	if err != nil {
		return err
	}
	return t.show(life, end, stream, func() *process.ProcessEvent { return stream.Msg().GetEvent() }, true)
}

func (t *terminal) resume(ctx context.Context, size *process.PTY) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	req := connect.NewRequest(&process.ConnectRequest{Process: t.selector()})
	req.Header().Set(process.RecallHeader, "true")
	stream, err := t.guest.Connect(ctx, req)
	if err != nil {
		return err
	}
	// One that has ended has no size; its end is what comes next.
	_, _ = t.guest.Update(ctx, connect.NewRequest(&process.UpdateRequest{Process: t.selector(), Pty: size}))
	return t.show(ctx, end, stream, func() *process.ProcessEvent { return stream.Msg().GetEvent() }, false)
}

// show passes on what the shell prints, to its end or the page's. The stream is
// ctx's, which end ends.
func (t *terminal) show(ctx context.Context, end func(), stream events, event func() *process.ProcessEvent, live bool) error {
	defer stream.Close()
	defer end()
	for begun := false; stream.Receive(); {
		var err error
		switch ev := event().GetEvent().(type) {
		case *process.ProcessEvent_Start:
			if begun {
				return errBeginning
			}
			begun = true
			t.opened()
			t.pid = ev.Start.Pid
			if err = t.tell(ctx, told{PID: t.pid, Live: live}); err == nil {
				t.aside.Go(func() { defer end(); t.hear(ctx) })
			}
		case *process.ProcessEvent_Data:
			err = t.say(ctx, websocket.MessageBinary, ev.Data.GetPty())
		case *process.ProcessEvent_Keepalive:
			if !live {
				live = true
				err = t.tell(ctx, told{PID: t.pid, Live: true})
			}
		case *process.ProcessEvent_End:
			return t.tell(ctx, told{Ended: ev.End.Status})
		}
		if err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil // the page has gone, or may no more
	}
	return stream.Err()
}

func (t *terminal) tell(ctx context.Context, m told) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return t.say(ctx, websocket.MessageText, b)
}

func (t *terminal) selector() *process.ProcessSelector {
	return &process.ProcessSelector{Selector: &process.ProcessSelector_Pid{Pid: t.pid}}
}

// hear passes on what the page sends, until it has gone.
func (t *terminal) hear(ctx context.Context) {
	input := t.guest.StreamInput(ctx)
	err := input.Send(&process.StreamInputRequest{Event: &process.StreamInputRequest_Start{
		Start: &process.StreamInputRequest_StartEvent{Process: t.selector()}}})
	for err == nil {
		var kind websocket.MessageType
		var message []byte
		// Not bounded by ctx, which would cut the socket before it is told why;
		// closing it ends this.
		if kind, message, err = t.Read(context.Background()); err != nil || ctx.Err() != nil {
			break
		}
		if kind == websocket.MessageText {
			err = t.obey(ctx, message)
			continue
		}
		err = input.Send(&process.StreamInputRequest{Event: &process.StreamInputRequest_Data{Data: &process.StreamInputRequest_DataEvent{
			Input: &process.ProcessInput{Input: &process.ProcessInput_Pty{Pty: message}}}}})
	}
	_, _ = input.CloseAndReceive() // the shell may have ended
}

// obey does what the page asks of the terminal itself.
func (t *terminal) obey(ctx context.Context, message []byte) error {
	var m told
	if err := json.Unmarshal(message, &m); err != nil {
		return err
	}
	if m.Cols > 0 && m.Cols <= maxSide && m.Rows > 0 && m.Rows <= maxSide {
		// A shell that has ended meanwhile says so by itself.
		_, _ = t.guest.Update(ctx, connect.NewRequest(&process.UpdateRequest{Process: t.selector(), Pty: ptyOf(m.Cols, m.Rows)}))
	}
	if m.HangUp {
		_, _ = t.guest.SendSignal(ctx, connect.NewRequest(&process.SendSignalRequest{Process: t.selector(), Signal: process.Signal(syscall.SIGHUP)}))
	}
	return nil
}
