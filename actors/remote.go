package actors

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/anthdm/hollywood/actor"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/trace"
	"github.com/bothy-computer/bothy/cluster/transport"
)

const (
	// execPath is where an owner takes commands from other nodes.
	execPath = "/computers/exec"
	// maxExecHead bounds a command on its way between nodes, stdin apart.
	maxExecHead = 1 << 20
	// maxFrame bounds one piece of output between nodes.
	maxFrame = 64 << 10
	// loadKind is the kind of the envelopes that ask for a computer's load.
	loadKind = "computer-load"
	// askDeadline bounds an ask between actors of two nodes.
	askDeadline = 5 * time.Second
)

// wire reaches the owners of computers on other nodes: byte streams for
// commands, envelopes for questions.
type wire struct {
	client  *http.Client
	remoter *transport.Remoter
}

// execHead is a command as it goes between nodes.
type execHead struct {
	Computer state.ComputerID `json:"computer"`
	Account  state.AccountID  `json:"account"`
	Argv     []string         `json:"argv"`
	Env      []string         `json:"env,omitempty"`
	Dir      string           `json:"dir,omitempty"`
	User     string           `json:"user,omitempty"`
	Timeout  time.Duration    `json:"timeout,omitempty"`
	Stdin    bool             `json:"stdin,omitempty"`
}

// execEnd is how a command, or the attempt to run it, ended.
type execEnd struct {
	Exit  *Exit      `json:"exit,omitempty"`
	Kind  fault.Kind `json:"kind,omitempty"`
	Code  string     `json:"code,omitempty"`
	Error string     `json:"error,omitempty"`
}

// Kinds of frames that an owner answers with: a kind, a length, the bytes.
const (
	frameStdout byte = 1
	frameStderr byte = 2
	frameEnd    byte = 3
)

// Exec runs a command on a computer that another node owns.
func (w *wire) Exec(ctx context.Context, node state.NodeID, req ExecRequest) (Exit, error) {
	cmd := req.Command
	head, err := json.Marshal(execHead{req.Computer, req.Account, cmd.Argv, cmd.Env, cmd.Dir, cmd.User, cmd.Timeout, cmd.Stdin != nil})
	if err != nil {
		return Exit{}, fmt.Errorf("encode a command: %w", err)
	}
	if len(head) > maxExecHead {
		return Exit{}, fault.New(fault.TooLarge, "the command is %d bytes; the limit is %d", len(head), maxExecHead)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body := newHead(head)
	if cmd.Stdin != nil {
		body = io.MultiReader(newHead(head), cmd.Stdin)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+string(node)+execPath, io.NopCloser(body))
	if err != nil {
		return Exit{}, fmt.Errorf("ask node %s: %w", node, err)
	}
	res, err := w.client.Do(r)
	if err != nil {
		return Exit{}, unreached(node, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return Exit{}, fault.New(fault.Unavailable, "node %s answered %s", node, res.Status).WithRetry(retryMailbox)
	}
	return readFrames(res.Body, cmd)
}

// unreached is why the owner of a computer did not answer another node: it may
// have done what it was asked for.
func unreached(node state.NodeID, err error) error {
	err = fmt.Errorf("reach a computer through node %s: %w", node, err)
	if fault.Of(err) != fault.Internal {
		return err
	}
	return fault.New(fault.Unavailable, "%w", err).WithRetry(retryMailbox)
}

func newHead(head []byte) io.Reader {
	return bytes.NewReader(append(binary.BigEndian.AppendUint32(nil, uint32(len(head))), head...))
}

// readFrames hands output on until the end frame.
func readFrames(r io.Reader, cmd Command) (Exit, error) {
	var head [5]byte
	buf := make([]byte, maxFrame)
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return Exit{}, fault.New(fault.Unavailable, "the computer's owner went away: %w", err).WithRetry(retryMailbox)
		}
		n := binary.BigEndian.Uint32(head[1:])
		var err error
		if n > maxFrame {
			return Exit{}, fault.New(fault.Internal, "a frame of %d bytes", n)
		}
		if _, err := io.ReadFull(r, buf[:n]); err != nil {
			return Exit{}, fault.New(fault.Unavailable, "the computer's owner went away: %w", err).WithRetry(retryMailbox)
		}
		switch head[0] {
		case frameStdout:
			err = write(cmd.Stdout, buf[:n])
		case frameStderr:
			err = write(cmd.Stderr, buf[:n])
		case frameEnd:
			return readEnd(buf[:n])
		}
		if err != nil {
			return Exit{}, fmt.Errorf("hand on a command's output: %w", err)
		}
	}
}

func write(w io.Writer, b []byte) error {
	if w == nil {
		return nil
	}
	_, err := w.Write(b)
	return err
}

func readEnd(b []byte) (Exit, error) {
	var end execEnd
	if err := json.Unmarshal(b, &end); err != nil {
		return Exit{}, fmt.Errorf("read a command's end: %w", err)
	}
	if end.Exit == nil {
		return Exit{}, fault.New(end.Kind, "%s", end.Error).WithCode(end.Code)
	}
	return *end.Exit, nil
}

// serveExec runs a command for another node, on a computer this node owns.
func (l *local) serveExec(w http.ResponseWriter, r *http.Request) {
	body := bufio.NewReader(r.Body)
	var size [4]byte
	var head execHead
	if _, err := io.ReadFull(body, size[:]); err != nil {
		http.Error(w, "no command", http.StatusBadRequest)
		return
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxExecHead {
		http.Error(w, "command too large", http.StatusRequestEntityTooLarge)
		return
	}
	if err := json.NewDecoder(io.LimitReader(body, int64(n))).Decode(&head); err != nil {
		http.Error(w, "no command", http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusOK)
	out := &frames{w: w, flush: http.NewResponseController(w).Flush}
	out.flush()
	cmd := Command{Argv: head.Argv, Env: head.Env, Dir: head.Dir, User: head.User, Timeout: head.Timeout,
		Stdout: out.stream(frameStdout), Stderr: out.stream(frameStderr)}
	if head.Stdin {
		cmd.Stdin = body
	}
	var exit Exit
	err := l.belongs(r.Context(), head.Account, head.Computer)
	if err == nil {
		exit, err = l.Exec(r.Context(), ExecRequest{Computer: head.Computer, Account: head.Account, Command: cmd})
	}
	out.end(exit, err)
}

// frames writes a command's output and its end to one stream.
type frames struct {
	mu    sync.Mutex
	w     io.Writer
	flush func() error
}

func (f *frames) stream(kind byte) io.Writer { return frameWriter{f, kind} }

type frameWriter struct {
	frames *frames
	kind   byte
}

func (w frameWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), maxFrame)
		if err := w.frames.frame(w.kind, rest[:n]); err != nil {
			return len(p) - len(rest), err
		}
		rest = rest[n:]
	}
	return len(p), nil
}

func (f *frames) frame(kind byte, b []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var head [5]byte
	head[0] = kind
	binary.BigEndian.PutUint32(head[1:], uint32(len(b)))
	if _, err := f.w.Write(head[:]); err != nil {
		return err
	}
	if _, err := f.w.Write(b); err != nil {
		return err
	}
	return f.flush()
}

func (f *frames) end(exit Exit, err error) {
	end := execEnd{Exit: &exit}
	if err != nil {
		end = execEnd{Kind: fault.Of(err), Error: faultText(err)}
		var known *fault.Error
		if errors.As(err, &known) {
			end.Code = known.Code
		}
	}
	if b, err := json.Marshal(end); err == nil {
		f.frame(frameEnd, b)
	}
}

// Load asks a computer's owner what it uses just now.
func (w *wire) Load(ctx context.Context, node state.NodeID, id state.ComputerID) (Load, error) {
	ctx, cancel := context.WithTimeout(ctx, askDeadline)
	defer cancel()
	env, err := w.remoter.Ask(ctx, actor.NewPID(string(node), "computers"), transport.Envelope{Kind: loadKind, Key: string(id)})
	if err != nil {
		return Load{}, fmt.Errorf("ask node %s: %w", node, err)
	}
	var load Load
	return load, state.Decode(env.Body, &load)
}

// Knows reports whether this node's actors take envelopes of a kind.
func Knows(kind string) bool { return kind == loadKind }

// deliver takes an envelope from another node. It never waits: the work goes
// aside, and its answer to the sender.
func (s *system) deliver(l *local, env *transport.Envelope, sender *actor.PID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fault.New(fault.Unavailable, "the node is stopping").WithRetry(retryMailbox)
	}
	if s.foreign >= mailboxBound {
		return fault.New(fault.Unavailable, "the node has too many questions to answer").WithRetry(retryMailbox)
	}
	s.foreign++
	s.aside.Go(func() {
		defer func() { s.mu.Lock(); s.foreign--; s.mu.Unlock() }()
		ctx, cancel := context.WithTimeout(trace.Decode(s.life, env.Cause), askDeadline)
		defer cancel()
		load, err := l.Load(ctx, state.ComputerID(env.Key))
		body, encodeErr := state.Encode(load)
		reply := env.Answer(body)
		if err = errors.Join(err, encodeErr); err != nil {
			reply = env.Refuse(translate(err))
		}
		if sender != nil {
			s.engine.Send(sender, reply)
		}
	})
	return nil
}
