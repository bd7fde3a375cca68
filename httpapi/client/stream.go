package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Bounds of streams.
const (
	// silence is how long a stream may send nothing before it counts as dead:
	// nodes ping every 15 seconds.
	silence = 45 * time.Second
	// maxLineBytes bounds one line of a stream.
	maxLineBytes = 8 << 20
	// reconnects is how often a stream is taken up again without any progress.
	reconnects = 20
)

// Event is one event of a thread's stream. Seq is the id to resume after it;
// several events may share one.
type Event struct {
	wire.Event
	Seq uint64
}

// ErrStop ends a stream from its callback without an error.
var ErrStop = errors.New("stop")

// errCut is a stream that broke off; its last event is known.
var errCut = errors.New("the stream broke off")

// reader turns a stream's bytes into events. The lines of one event of the log
// are handed over together, once the last of them, which carries the id, is
// there: a stream that breaks between them is resumed before the first.
type reader struct {
	last uint64 // everything up to it was handed over
	// begun is set once it is known after which event the stream begins.
	begun bool
	held  []wire.Event
	each  func(Event) error
}

// read hands over events until the stream ends (errCut), each fails, or ctx ends.
func (r *reader) read(ctx context.Context, body io.Reader, alive func()) error {
	r.held = nil
	scanner := bufio.NewScanner(body)
	scanner.Buffer(make([]byte, 0, 16<<10), maxLineBytes)
	id, data := "", ""
	for scanner.Scan() {
		alive()
		line := scanner.Text()
		switch {
		case line == "":
			if err := r.dispatch(id, data); err != nil {
				return err
			}
			id, data = "", ""
		case strings.HasPrefix(line, "id:"):
			id = strings.TrimSpace(line[3:])
		case strings.HasPrefix(line, "data:"):
			data = strings.TrimSpace(line[5:])
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(errCut, scanner.Err())
}

// dispatch takes one block of the stream.
func (r *reader) dispatch(id, data string) error {
	seq, err := strconv.ParseUint(id, 10, 64)
	known := err == nil
	if data == "" {
		if known && len(r.held) == 0 {
			r.last, r.begun = max(r.last, seq), true
		}
		return nil
	}
	var e wire.Event
	if err := json.Unmarshal([]byte(data), &e); err != nil {
		return fault.New(fault.Internal, "an event cannot be read: %w", err)
	}
	if e.Type == wire.ThreadCreated {
		return r.each(Event{e, r.last})
	}
	r.held = append(r.held, e)
	if !known {
		return nil
	}
	held := r.held
	r.held = nil
	if seq <= r.last {
		return nil // seen before the stream broke off
	}
	for _, e := range held {
		if err := r.each(Event{e, seq}); err != nil {
			return err
		}
	}
	r.last = seq
	return nil
}

// consume reads a reply until it ends or has been silent for too long.
func (r *reader) consume(ctx context.Context, resp *http.Response) error {
	defer resp.Body.Close()
	watchdog := time.AfterFunc(silence, func() { resp.Body.Close() })
	defer watchdog.Stop()
	defer context.AfterFunc(ctx, func() { resp.Body.Close() })()
	return r.read(ctx, resp.Body, func() { watchdog.Reset(silence) })
}

// Follow hands over a thread's events after a seq (0: from the beginning) as
// they come, at any node, until ctx ends or each returns an error. ErrStop ends
// it with nil.
func (c *Client) Follow(ctx context.Context, thread string, after uint64, each func(Event) error) error {
	r := &reader{last: after, each: each}
	return ended(c.follow(ctx, thread, r))
}

func ended(err error) error {
	if errors.Is(err, ErrStop) {
		return nil
	}
	return err
}

// follow takes a stream up again and again. It gives up when nothing came in
// several attempts on end.
func (c *Client) follow(ctx context.Context, thread string, r *reader) error {
	for tries := 0; ; tries++ {
		before := r.last
		resp, err := c.events(ctx, thread, r.last)
		if err == nil {
			err = r.consume(ctx, resp)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.Is(err, errCut) && !again(err):
			return err
		case tries >= reconnects:
			return unreachable(err)
		case r.last > before:
			tries = 0
		}
		c.at.Add(1)
		if err := pause(ctx, nil, min(tries+1, 5)); err != nil {
			return err
		}
	}
}

func (c *Client) events(ctx context.Context, thread string, after uint64) (*http.Response, error) {
	return c.send(ctx, request{method: http.MethodGet, accept: "text/event-stream",
		path: query(path("threads", thread, "events"), "after", strconv.FormatUint(after, 10))}, "")
}
