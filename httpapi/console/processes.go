package console

import (
	"errors"
	"net/http"

	"connectrpc.com/connect"
	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/runtime/guest/process"
)

// maxSignal is the highest signal of Linux.
const maxSignal = 64

// running is a process that was started through the computer's guest. What is
// in its environment stays there.
type running struct {
	PID  uint32   `json:"pid"`
	Argv []string `json:"argv"`
	Dir  string   `json:"cwd,omitempty"`
	Tag  string   `json:"tag,omitempty"`
}

func (k *Console) processes(c *gin.Context, v visit) error {
	res, err := k.guest(v).List(c.Request.Context(), connect.NewRequest(&process.ListRequest{}))
	if err != nil {
		return guestFault(err)
	}
	all := []running{}
	for _, p := range res.Msg.GetProcesses() {
		config := p.GetConfig()
		all = append(all, running{PID: p.GetPid(), Argv: append([]string{config.GetCmd()}, config.GetArgs()...), Dir: config.GetCwd(), Tag: p.GetTag()})
	}
	k.Done(c, http.StatusOK, gin.H{"processes": all})
	return nil
}

// signal sends ?signal=, a number, to a process and its group.
func (k *Console) signal(c *gin.Context, v visit) error {
	pid, err := number(c.Param("pid"), "pid", 1<<32-1)
	if err != nil {
		return err
	}
	n, err := number(c.Query("signal"), "signal", maxSignal)
	if err != nil || n == 0 {
		return errors.Join(err, fault.New(fault.Invalid, "signal must be from 1 to %d", maxSignal).WithField("signal"))
	}
	_, err = k.guest(v).SendSignal(c.Request.Context(), connect.NewRequest(&process.SendSignalRequest{
		Process: &process.ProcessSelector{Selector: &process.ProcessSelector_Pid{Pid: uint32(pid)}}, Signal: process.Signal(n)}))
	if err != nil {
		return guestFault(err)
	}
	c.Status(http.StatusNoContent)
	return nil
}

// guestFault is what a guest's refusal means to a page.
func guestFault(err error) error {
	var known *fault.Error
	var refused *connect.Error
	switch {
	case errors.As(err, &known):
		return known
	case !errors.As(err, &refused):
		return err
	case refused.Code() == connect.CodeNotFound:
		return fault.New(fault.NotFound, "There is no such process")
	case refused.Code() == connect.CodeInvalidArgument:
		return fault.New(fault.Invalid, "%s", refused.Message())
	}
	return fault.New(fault.Unavailable, "The computer does not answer: %w", err)
}
