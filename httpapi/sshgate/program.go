package sshgate

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"sync"
	"syscall"

	"connectrpc.com/connect"

	"github.com/bothy-computer/bothy/runtime/guest"
	"github.com/bothy-computer/bothy/runtime/guest/process"
	"github.com/bothy-computer/bothy/runtime/guest/process/processconnect"
)

const (
	// inputBytes is the most that one piece of input carries.
	inputBytes = 32 << 10
)

// errBeginning is a guest that does not keep to its protocol.
var errBeginning = errors.New("the guest tells of a beginning that cannot be")

// program is what a session runs: the computer's guest, started as something
// else by its first argument.
type program struct {
	session *session
	argv    []string // after the guest's path
	action  string   // as it is audited
	env     map[string]string
	tty     *terminal // nil is pipes

	guest   processconnect.ProcessClient
	pid     uint32
	signals chan syscall.Signal
	sizes   chan [2]uint32 // the newest alone
	gone    chan struct{}  // closed when nobody listens any more
}

// shell is the shell of the computer's user, which runs a command unless it is
// "".
func (s *session) shell(command string) []string {
	argv := []string{"login"}
	if s.tty != nil {
		argv = append(argv, "--modes", hex.EncodeToString(s.tty.modes))
	}
	if command != "" {
		argv = append(argv, "--command", command)
	}
	return argv
}

// variables are what the program finds besides the computer's own.
func (s *session) variables() map[string]string {
	env := maps.Clone(s.env.values)
	if env == nil {
		env = map[string]string{}
	}
	if s.tty != nil {
		env["TERM"] = s.tty.term
	}
	fromHost, fromPort, err1 := net.SplitHostPort(s.conn.RemoteAddr().String())
	atHost, atPort, err2 := net.SplitHostPort(s.conn.LocalAddr().String())
	if err1 == nil && err2 == nil {
		env["SSH_CONNECTION"] = fmt.Sprint(fromHost, " ", fromPort, " ", atHost, " ", atPort)
	}
	return env
}

// hangUp tells the program that nobody listens any more.
func (p *program) hangUp() { close(p.gone) }

// signal passes a signal on; too many at once are not.
func (p *program) signal(n syscall.Signal) bool {
	select {
	case p.signals <- n:
		return true
	default:
		return false
	}
}

// resize passes the newest size on. Only the session calls it.
func (p *program) resize(cols, rows uint32) {
	select {
	case <-p.sizes:
	default:
	}
	p.sizes <- [2]uint32{cols, rows}
}

// run runs the program to its end. When nobody listens any more, because the
// client went or has to go, the program is sent SIGHUP and may go on unheard,
// as with any sshd.
func (p *program) run(ctx context.Context) (status string, code int, err error) {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	unstarted := context.AfterFunc(ctx, end)
	login := p.session.login
	way := p.session.gate.Computers.Guest(login.Account, login.Computer)
	p.guest = guest.Processes(way)
	stream, err := p.guest.Start(life, connect.NewRequest(p.request()))
	if err != nil {
		return "", 0, err
	}
	defer stream.Close()
	var control sync.WaitGroup
	defer control.Wait()
	defer end()
	for stream.Receive() {
		switch ev := stream.Msg().GetEvent().GetEvent().(type) {
		case *process.ProcessEvent_Start:
			if p.pid != 0 || ev.Start.Pid == 0 {
				return "", 0, errBeginning
			}
			unstarted()
			p.session.gate.SSH.Used(login, p.action)
			p.pid = ev.Start.Pid
			control.Go(func() { p.control(ctx, life, end) })
			// It waits for the client, and so ends with the channel and not
			// with the program.
			p.session.running.Go(func() { p.feed(life) })
		case *process.ProcessEvent_Data:
			p.show(ev.Data)
		case *process.ProcessEvent_End:
			return ev.End.Status, int(ev.End.ExitCode), nil
		}
	}
	if err := stream.Err(); err != nil {
		return "", 0, err
	}
	return "", 0, errors.New("the guest ended before the program did")
}

func (p *program) request() *process.StartRequest {
	root := "/" // a program goes home by itself, if it has one
	req := &process.StartRequest{Process: &process.ProcessConfig{Cmd: guest.Path, Args: p.argv, Envs: p.env, Cwd: &root}}
	if p.tty != nil {
		req.Pty = &process.PTY{Size: &process.PTY_Size{Cols: p.tty.cols, Rows: p.tty.rows}}
	}
	return req
}

// show passes output on. While the client does not take it, the guest waits,
// and so does the program; a client that is gone takes nothing.
func (p *program) show(data *process.ProcessEvent_DataEvent) {
	var err error
	switch out := data.GetOutput().(type) {
	case *process.ProcessEvent_DataEvent_Stdout:
		_, err = p.session.channel.Write(out.Stdout)
	case *process.ProcessEvent_DataEvent_Pty:
		_, err = p.session.channel.Write(out.Pty)
	case *process.ProcessEvent_DataEvent_Stderr:
		_, err = p.session.channel.Stderr().Write(out.Stderr)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		p.session.log.Debug("pass on a program's output", "err", err)
	}
}

func (p *program) selector() *process.ProcessSelector {
	return &process.ProcessSelector{Selector: &process.ProcessSelector_Pid{Pid: p.pid}}
}

// feed copies the client's input until either side has no more of it.
func (p *program) feed(ctx context.Context) {
	input := p.guest.StreamInput(ctx)
	taken := input.Send(&process.StreamInputRequest{Event: &process.StreamInputRequest_Start{
		Start: &process.StreamInputRequest_StartEvent{Process: p.selector()}}})
	buf := make([]byte, inputBytes)
	for taken == nil {
		n, err := p.session.channel.Read(buf)
		if n > 0 {
			taken = input.Send(p.piece(buf[:n]))
		}
		if err != nil {
			break // the end of the input, or of the connection
		}
	}
	if _, err := input.CloseAndReceive(); err != nil || taken != nil || p.tty != nil {
		return // the program ended or closed its input; a terminal has no end
	}
	// A program that has ended by now needs no end of input.
	_, _ = p.guest.CloseStdin(ctx, connect.NewRequest(&process.CloseStdinRequest{Process: p.selector()}))
}

func (p *program) piece(data []byte) *process.StreamInputRequest {
	in := &process.ProcessInput{Input: &process.ProcessInput_Stdin{Stdin: data}}
	if p.tty != nil {
		in = &process.ProcessInput{Input: &process.ProcessInput_Pty{Pty: data}}
	}
	return &process.StreamInputRequest{Event: &process.StreamInputRequest_Data{Data: &process.StreamInputRequest_DataEvent{Input: in}}}
}

// control passes signals and sizes on until the program's life ends. When
// nobody listens it hangs up and ends that.
func (p *program) control(ctx, life context.Context, end func()) {
	for {
		select {
		case n := <-p.signals:
			p.send(life, n)
		case size := <-p.sizes:
			p.update(life, size[0], size[1])
		case <-p.gone:
			p.send(life, syscall.SIGHUP)
			end()
			return
		case <-ctx.Done():
			p.send(life, syscall.SIGHUP)
			end()
			return
		case <-life.Done():
			return
		}
	}
}

func (p *program) send(ctx context.Context, n syscall.Signal) {
	ctx, cancel := context.WithTimeout(ctx, p.session.gate.patience.control)
	defer cancel()
	_, err := p.guest.SendSignal(ctx, connect.NewRequest(&process.SendSignalRequest{Process: p.selector(), Signal: process.Signal(n)}))
	p.missed(err)
}

func (p *program) update(ctx context.Context, cols, rows uint32) {
	ctx, cancel := context.WithTimeout(ctx, p.session.gate.patience.control)
	defer cancel()
	_, err := p.guest.Update(ctx, connect.NewRequest(&process.UpdateRequest{Process: p.selector(),
		Pty: &process.PTY{Size: &process.PTY_Size{Cols: cols, Rows: rows}}}))
	p.missed(err)
}

// missed notes what did not reach the program, which may have ended by itself.
func (p *program) missed(err error) {
	if err != nil && connect.CodeOf(err) != connect.CodeNotFound {
		p.session.log.Debug("reach a program", "err", err)
	}
}
