package warden

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Version is that of the protocol. A node that finds a warden of another
// version replaces it; computers do not notice.
const Version = 1

// maxFrameBytes bounds a message, so that a broken peer cannot make the other
// side allocate.
const maxFrameBytes = 256 << 10

// op says what a request wants.
type op string

const (
	opStatus   op = "status"
	opDeadline op = "deadline"
	opFence    op = "fence"
	opRun      op = "run"
	opFreeze   op = "freeze"
	opThaw     op = "thaw"
	opStop     op = "stop"
)

// request is one question; a connection carries one.
type request struct {
	Op       op       `json:"op"`
	Deadline Instant  `json:"deadline,omitempty"`
	Computer string   `json:"computer,omitempty"`
	Command  *Command `json:"command,omitempty"`
}

// reply answers it.
type reply struct {
	Error  string  `json:"error,omitempty"`
	Fenced bool    `json:"fenced,omitempty"` // the error is ErrFenced
	Status *Status `json:"status,omitempty"`
	Result *Result `json:"result,omitempty"`
}

// Command is something to run as a child of the warden.
type Command struct {
	Argv    []string      `json:"argv"`
	Timeout time.Duration `json:"timeout"` // 0 means maxRunTime; its group is killed after it
	// Starts says that this begins to run a computer, which is refused while
	// the fence is shut.
	Starts bool `json:"starts,omitempty"`
	// Listen, when set, is the path of a unix socket to listen on; the
	// listener is the command's descriptor 3. An old socket is replaced.
	Listen string `json:"listen,omitempty"`
	// Console, when set, is the path of a FIFO that becomes the command's
	// output. It never blocks a writer, keeps at most what a pipe holds, and
	// the result's Output is then empty. It is made when absent.
	Console string `json:"console,omitempty"`
}

// Result is how a command ended.
type Result struct {
	Code     int    `json:"code"` // -1 when a signal ended it
	TimedOut bool   `json:"timed_out,omitempty"`
	Output   string `json:"output,omitempty"` // the first maxOutputBytes
}

// Status is what is true of a warden.
type Status struct {
	Version   int           `json:"version"`
	PID       int           `json:"pid"`
	Node      string        `json:"node"`
	Deadline  Instant       `json:"deadline"`
	Left      time.Duration `json:"left"` // until the deadline; 0 without one
	Fenced    bool          `json:"fenced"`
	Computers int           `json:"computers"` // cgroups below the node's
	Running   int           `json:"running"`   // commands under way
}

// ErrFenced refuses what would let a computer run past the deadline.
var ErrFenced = errors.New("the node's lease has run out")

var errFrame = errors.New("not a warden's message")

// writeFrame sends one message: its length in four bytes, then JSON.
func writeFrame(w io.Writer, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	if len(body) > maxFrameBytes {
		return fmt.Errorf("%w: %d bytes", errFrame, len(body))
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body)))
	_, err = w.Write(append(frame, body...))
	return err
}

// readFrame receives one message.
func readFrame(r io.Reader, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > maxFrameBytes {
		return fmt.Errorf("%w: %d bytes", errFrame, size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%w: %v", errFrame, err)
	}
	return nil
}
