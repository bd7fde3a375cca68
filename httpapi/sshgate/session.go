package sshgate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"

	"golang.org/x/crypto/ssh"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// refusedCode is what a session ends with that could not run anything, as
	// OpenSSH's own failures do.
	refusedCode = 255
	// queuedSignals bounds the signals on their way to a program.
	queuedSignals = 8
)

// session is one channel that runs one program.
type session struct {
	*connection
	channel ssh.Channel
	env     environment
	tty     *terminal
	program *program // once started
	running sync.WaitGroup
}

func (c *connection) session(ctx context.Context, wanted ssh.NewChannel) {
	channel, requests, err := wanted.Accept()
	if err != nil {
		return // the connection has ended
	}
	s := &session{connection: c, channel: channel}
	for r := range requests {
		ok := s.request(ctx, r)
		if r.WantReply {
			_ = r.Reply(ok, nil) // a client that is gone ends the loop
		}
	}
	// The client closed the channel, or is gone.
	if s.program != nil {
		s.program.hangUp()
		s.running.Wait()
	}
	_ = channel.Close() // it may be closed already
}

// request does what a client asks of the session, and reports whether it did.
func (s *session) request(ctx context.Context, r *ssh.Request) bool {
	switch r.Type {
	case "env":
		return s.program == nil && s.env.set(r.Payload)
	case "pty-req":
		tty, err := parsePTY(r.Payload)
		if err != nil || s.program != nil {
			return false
		}
		s.tty = tty
		return true
	case "window-change":
		return s.resize(r.Payload)
	case "signal":
		n := signalNamed(r.Payload)
		return n != 0 && s.program != nil && s.program.signal(n)
	case "shell":
		return s.start(ctx, program{argv: s.shell(""), action: state.SSHShell})
	case "exec":
		command, err := parseCommand(r.Payload)
		return err == nil && s.start(ctx, program{argv: s.shell(command), action: state.SSHCommand})
	case "subsystem":
		var name textRequest
		s.tty = nil // files are no text
		return ssh.Unmarshal(r.Payload, &name) == nil && name.Text == "sftp" && s.start(ctx, program{argv: []string{"sftp"}, action: state.SSHFiles})
	}
	return false // agents, displays and what is not known
}

func (s *session) resize(payload []byte) bool {
	var r windowChange
	if ssh.Unmarshal(payload, &r) != nil || s.tty == nil {
		return false
	}
	s.tty.cols, s.tty.rows = size(r.Cols, r.Rows)
	if s.program != nil {
		s.program.resize(s.tty.cols, s.tty.rows)
	}
	return true
}

// start runs a program beside the requests; one session runs one.
func (s *session) start(ctx context.Context, p program) bool {
	if s.program != nil {
		return false
	}
	p.session, p.signals, p.sizes, p.gone = s, make(chan syscall.Signal, queuedSignals), make(chan [2]uint32, 1), make(chan struct{})
	p.env = s.variables()
	if s.tty != nil {
		asked := *s.tty // the session's own changes with the client's window
		p.tty = &asked
	}
	s.program = &p
	s.running.Go(func() { s.finish(p.run(ctx)) })
	return true
}

// finish tells how the program ended and closes the channel.
func (s *session) finish(status string, code int, err error) {
	if err != nil {
		s.log.Debug("a session could not run", "err", err)
		fmt.Fprintf(s.channel.Stderr(), "bothy: %s\r\n", told(err))
		code = refusedCode
	}
	kind, payload := "exit-status", ssh.Marshal(exitStatus{Code: uint32(code)})
	if name, core := signalOf(status); err == nil && name != "" {
		kind, payload = "exit-signal", ssh.Marshal(exitSignal{Name: name, Core: core, Message: status})
	}
	// A client that is gone cannot be told.
	_ = s.channel.CloseWrite()
	_, _ = s.channel.SendRequest(kind, false, payload)
	_ = s.channel.Close()
}

// told is what a user may read of a failure.
func told(err error) string {
	var known *fault.Error
	if errors.As(err, &known) && known.Kind != fault.Internal {
		return known.Message
	}
	return "the computer cannot be reached just now"
}
