package agent

import (
	"context"
	"fmt"
	"sync"
)

// Bounds of what a command may write.
const (
	// MaxSavedOutputBytes bounds the file that holds a command's whole output.
	MaxSavedOutputBytes = 64 << 20
	saveChunkBytes      = 256 << 10
)

// findBash runs the script given as $0 with bash, or with sh in an image that
// has none.
const findBash = `if command -v bash >/dev/null 2>&1; then exec bash -c "$0"; fi; exec sh -c "$0"`

// shell runs a command and tells how it ended.
func (w work) shell(ctx context.Context, args ShellArgs) (Result, error) {
	out := &capture{save: func(piece []byte) error { return w.computer.Append(ctx, w.saved, piece) }}
	exit, err := w.computer.Exec(ctx, Command{
		Argv: []string{"/bin/sh", "-c", findBash, args.Command},
		Dir:  args.Cwd, Timeout: w.timeout, Output: out,
	})
	if err != nil {
		return Result{}, err
	}
	result := Result{Status: Done, Text: out.text(w.saved)}
	if out.isSaved() {
		result.Saved = w.saved
	}
	switch {
	case exit.TimedOut:
		result.Status = TimedOut
		result.Text += fmt.Sprintf("\n[stopped after %s, its time limit; timeout_ms can be up to %d]", w.timeout, MaxToolTimeout.Milliseconds())
		return result, nil
	case exit.Signal != "":
		result.Status = Failed
		result.Text += fmt.Sprintf("\n[ended by signal: %s]", exit.Signal)
	case exit.Code != 0:
		result.Status = Failed
	}
	result.ExitCode = &exit.Code
	result.Text += fmt.Sprintf("\n[exit code %d]", exit.Code)
	return result, nil
}

// capture keeps the head and tail of a stream, and saves the whole of it once
// it is longer than a model is shown. Memory is bounded by one chunk.
type capture struct {
	save func([]byte) error

	mu      sync.Mutex
	head    []byte
	tail    []byte
	pending []byte // not yet saved
	total   int64
	stored  int64
	failed  error // why saving stopped
}

// Write takes a piece. It never fails: a program whose output cannot be saved
// goes on.
func (c *capture) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total += int64(len(p))
	rest := p
	if room := MaxToolOutputBytes/2 - len(c.head); room > 0 {
		n := min(room, len(rest))
		c.head, rest = append(c.head, rest[:n]...), rest[n:]
	}
	c.tail = append(c.tail, rest...)
	if over := len(c.tail) - MaxToolOutputBytes/2; over > MaxToolOutputBytes {
		c.tail = append(c.tail[:0], c.tail[over:]...)
	}
	c.pending = append(c.pending, p...)
	if len(c.pending) >= saveChunkBytes {
		c.flush()
	}
	return len(p), nil
}

// flush saves what is pending, up to the bound of the file.
func (c *capture) flush() {
	piece := c.pending[:min(int64(len(c.pending)), MaxSavedOutputBytes-c.stored)]
	if c.failed == nil && len(piece) > 0 {
		c.failed = c.save(piece)
	}
	if c.failed == nil {
		c.stored += int64(len(piece))
	}
	c.pending = c.pending[:0]
}

// text is what the model is shown; it saves the rest first.
func (c *capture) text(where string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total <= MaxToolOutputBytes {
		return headAndTail(string(c.head)+string(c.tail), MaxToolOutputBytes, "")
	}
	c.flush()
	tail := cutTail(string(c.tail), MaxToolOutputBytes/2)
	left := c.total - int64(len(c.head)) - int64(len(tail))
	note := fmt.Sprintf("the whole output, %d bytes, is in the workspace file %s; read parts of it with shell", c.total, where)
	switch {
	case c.failed != nil && c.stored == 0:
		note = fmt.Sprintf("it could not be saved: %v", c.failed)
	case c.failed != nil || c.stored < c.total:
		note = fmt.Sprintf("the first %d of %d bytes are in the workspace file %s", c.stored, c.total, where)
	}
	return headAndTail(cutHead(string(c.head), MaxToolOutputBytes/2), MaxToolOutputBytes, "") +
		cutNote(int(left), note) + headAndTail(tail, MaxToolOutputBytes, "")
}

// isSaved reports whether there is a file to look into.
func (c *capture) isSaved() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stored > 0
}
