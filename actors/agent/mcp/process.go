package mcp

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/bothy-computer/bothy/actors/agent"
)

const (
	// endGrace is how long a program may take to end by itself once its input
	// has ended.
	endGrace = 500 * time.Millisecond
	// maxErrorBytes bounds what is told of a program's standard error.
	maxErrorBytes = 2 << 10
	// MaxMessageBytes bounds one message of a server.
	MaxMessageBytes = 16 << 20
)

// process is a server's program in the computer.
type process struct {
	kill  context.CancelFunc
	ended chan struct{} // closed when it has

	mu     sync.Mutex
	errors []byte // the last that it wrote to standard error
	exit   string // how it ended
}

// launch starts the program. An error means that there is no computer.
func launch(life context.Context, computer agent.Computer, s Server) (*process, sdk.Transport) {
	life, kill := context.WithCancel(life)
	p := &process{kill: kill, ended: make(chan struct{})}
	input, send := io.Pipe()
	receive, output := io.Pipe()
	env := make([]string, 0, len(s.Env))
	for key, value := range s.Env {
		env = append(env, key+"="+value)
	}
	go func() {
		defer close(p.ended)
		exit, err := computer.Exec(life, agent.Command{Argv: append([]string{s.Command}, s.Args...), Env: env, Dir: s.Cwd,
			Input: input, Output: output, Errors: p})
		p.over(exit, err)
		input.Close()
		output.Close()
	}()
	return p, &sdk.IOTransport{Reader: receive, Writer: send, MaxLineLength: MaxMessageBytes}
}

// Write takes a piece of standard error.
func (p *process) Write(piece []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errors = append(p.errors, piece...)
	if over := len(p.errors) - maxErrorBytes; over > 0 {
		p.errors = append(p.errors[:0], p.errors[over:]...)
	}
	return len(piece), nil
}

func (p *process) over(exit agent.Exit, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err != nil:
		p.exit = "it could not be run: " + err.Error()
	case exit.Signal != "":
		p.exit = "it was ended by signal: " + exit.Signal
	default:
		p.exit = fmt.Sprintf("it ended with exit code %d", exit.Code)
	}
}

// reason says how a program ended, and the last that it said, "" while it
// runs and said nothing.
func (p *process) reason() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	said := strings.TrimSpace(strings.ToValidUTF8(string(p.errors), "\uFFFD"))
	switch {
	case p.exit == "":
		return said
	case said == "":
		return p.exit
	}
	return p.exit + ": " + said
}

// close ends the program, whose input has ended, and waits for it.
func (p *process) close() {
	select {
	case <-p.ended:
	case <-time.After(endGrace):
	}
	p.kill()
	<-p.ended
}

// settle gives a program whose streams broke a moment to say how it ended.
func (p *process) settle() {
	select {
	case <-p.ended:
	case <-time.After(endGrace):
	}
}
