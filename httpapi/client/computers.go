package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Computers are machines. Their calls need an admin key.
type Computers struct{ c *Client }

// Computers are the machines of all accounts.
func (c *Client) Computers() Computers { return Computers{c} }

// List lists an account's computers, newest first; "" is the caller's own.
func (m Computers) List(ctx context.Context, account string, p Page) (wire.List[wire.Computer], error) {
	return get[wire.List[wire.Computer]](ctx, m.c, query(path("admin", "computers"), "account", account, "limit", p.limit(), "offset", p.offset()))
}

// Get returns a computer.
func (m Computers) Get(ctx context.Context, id string) (wire.Computer, error) {
	one, err := get[wire.OneComputer](ctx, m.c, path("admin", "computers", id))
	return one.Computer, err
}

// Start starts a computer and returns when it runs.
func (m Computers) Start(ctx context.Context, id string) (wire.Computer, error) {
	one, err := post[wire.OneComputer](ctx, m.c, path("admin", "computers", id, "start"), nil)
	return one.Computer, err
}

// Stop stops a computer and returns when it is down.
func (m Computers) Stop(ctx context.Context, id string) (wire.Computer, error) {
	one, err := post[wire.OneComputer](ctx, m.c, path("admin", "computers", id, "stop"), nil)
	return one.Computer, err
}

// Save saves a computer off its node and returns when that is done.
func (m Computers) Save(ctx context.Context, id string) (wire.Computer, error) {
	one, err := post[wire.OneComputer](ctx, m.c, path("admin", "computers", id, "save"), nil)
	return one.Computer, err
}

// Recover has a computer go on with its last save, where the node with its newest
// disk is away.
func (m Computers) Recover(ctx context.Context, id string) (wire.Computer, error) {
	one, err := post[wire.OneComputer](ctx, m.c, path("admin", "computers", id, "recover"), nil)
	return one.Computer, err
}

// Remove removes a computer that no environment stands on.
func (m Computers) Remove(ctx context.Context, id string) error {
	return remove(ctx, m.c, path("admin", "computers", id))
}

// inputPiece bounds one line of input.
const inputPiece = 32 << 10

// Exec runs a command in a computer with its output going to stdout and
// stderr; stdin may be nil. It is never sent twice: when the connection is lost
// it is not known what became of the command.
func (m Computers) Exec(ctx context.Context, id string, cmd wire.Exec, stdin io.Reader, stdout, stderr io.Writer) (wire.ExecExit, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd.Stdin = stdin != nil
	head, err := json.Marshal(cmd)
	if err != nil {
		return wire.ExecExit{}, fault.New(fault.Invalid, "exec: %w", err)
	}
	var body io.Reader = bytes.NewReader(append(head, '\n'))
	if stdin != nil {
		out, in := io.Pipe()
		defer out.Close()
		go feed(in, head, stdin)
		body = out
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.c.base()+path("admin", "computers", id, "exec"), body)
	if err != nil {
		return wire.ExecExit{}, fault.New(fault.Invalid, "exec: %w", err)
	}
	m.c.dress(req, request{accept: "application/x-ndjson"}, true)
	resp, err := m.c.HTTP.Do(req)
	if err != nil {
		return wire.ExecExit{}, unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return wire.ExecExit{}, refusal(resp)
	}
	return output(resp.Body, stdout, stderr)
}

// feed sends the command and then its input, until the input or the call ends.
func feed(in *io.PipeWriter, head []byte, stdin io.Reader) {
	_, err := in.Write(append(head, '\n'))
	piece := make([]byte, inputPiece)
	for err == nil {
		var n int
		n, err = stdin.Read(piece)
		if n == 0 {
			continue
		}
		line, encodeErr := json.Marshal(wire.ExecInput{Stdin: piece[:n]})
		if encodeErr == nil {
			_, encodeErr = in.Write(append(line, '\n'))
		}
		if encodeErr != nil {
			err = encodeErr
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	in.CloseWithError(err) // nil is the end of the input
}

// output copies what the command prints until the line that says how it ended.
func output(body io.Reader, stdout, stderr io.Writer) (wire.ExecExit, error) {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxLineBytes)
	for lines.Scan() {
		var o wire.ExecOutput
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return wire.ExecExit{}, fault.New(fault.Internal, "exec: the reply cannot be read: %w", err)
		}
		if _, err := stdout.Write(o.Stdout); err != nil {
			return wire.ExecExit{}, fmt.Errorf("write output: %w", err)
		}
		if _, err := stderr.Write(o.Stderr); err != nil {
			return wire.ExecExit{}, fmt.Errorf("write output: %w", err)
		}
		switch {
		case o.Exit != nil:
			lines.Scan() // to the end, so that the connection serves the next command
			return *o.Exit, nil
		case o.Error != nil:
			return wire.ExecExit{}, refused(o.Status, *o.Error, nil)
		}
	}
	return wire.ExecExit{}, unreachable(errors.Join(errors.New("the command's end was not told"), lines.Err()))
}
