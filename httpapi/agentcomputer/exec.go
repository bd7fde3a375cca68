package agentcomputer

import (
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/door"
)

func (a *API) execRoutes() []door.Route {
	return []door.Route{{Method: "POST", Path: "/computers/:id/exec", Scopes: writing, Long: true, Serve: a.Handle(a.exec)}}
}

// Bounds of one command.
const (
	defaultTimeout = 30 * time.Second
	maxTimeout     = 5 * time.Minute
	maxOutput      = 10 << 20 // each of stdout and stderr; the rest is dropped
	maxArguments   = 4096
	maxVariables   = 256
)

type execRequest struct {
	Command []string          `json:"command"`
	Cwd     string            `json:"cwd"`
	Env     map[string]string `json:"env"`
	Timeout int64             `json:"timeout_ms"`
	User    string            `json:"user"`
}

type execReply struct {
	ExitCode int    `json:"exit_code"`
	Stdout   string `json:"stdout"`
	Stderr   string `json:"stderr"`
	Duration int64  `json:"duration_ms"`
}

// exec serves POST /computers/:id/exec.
func (a *API) exec(c *gin.Context) error {
	var req execRequest
	if err := a.Read(c, &req); err != nil {
		return err
	}
	cmd, err := req.command()
	if err != nil {
		return err
	}
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	var stdout, stderr output
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	exit, err := a.Computers.Exec(c.Request.Context(), door.CallerOf(c), m.ID, cmd)
	if err != nil {
		return err
	}
	if exit.TimedOut {
		return fault.New(fault.Unavailable, "the command did not end within %s and was killed", cmd.Timeout).WithCode(codeTimeout)
	}
	ok(c, execReply{ExitCode: exit.Code, Stdout: stdout.text(), Stderr: stderr.text(), Duration: exit.Duration.Milliseconds()})
	return nil
}

func (r execRequest) command() (actors.Command, error) {
	cmd := actors.Command{Argv: r.Command, Dir: r.Cwd, User: r.User, Timeout: defaultTimeout}
	switch {
	case len(r.Command) == 0 || r.Command[0] == "":
		return cmd, invalid("command", "command must be an array with a program first")
	case len(r.Command) > maxArguments:
		return cmd, invalid("command", "command must have at most %d arguments", maxArguments)
	case len(r.Env) > maxVariables:
		return cmd, invalid("env", "env must have at most %d variables", maxVariables)
	case r.Timeout < 0:
		return cmd, invalid("timeout_ms", "timeout_ms must be from 1 to %d", maxTimeout.Milliseconds())
	case r.Timeout > 0:
		cmd.Timeout = time.Duration(min(r.Timeout, maxTimeout.Milliseconds())) * time.Millisecond
	}
	for key, value := range r.Env {
		if key == "" || strings.ContainsAny(key, "=\n\r") {
			return cmd, invalid("env", "env has a variable named %.40q", key)
		}
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	slices.Sort(cmd.Env)
	return cmd, nil
}

// output keeps the first maxOutput bytes of a stream.
type output struct{ kept []byte }

// Write implements io.Writer. What is over the bound is dropped, so that the
// command ends by itself.
func (o *output) Write(p []byte) (int, error) {
	o.kept = append(o.kept, p[:min(len(p), maxOutput-len(o.kept))]...)
	return len(p), nil
}

// text is what was kept as JSON can carry it.
func (o *output) text() string { return strings.ToValidUTF8(string(o.kept), "\uFFFD") }
