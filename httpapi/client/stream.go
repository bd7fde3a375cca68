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

// sink takes the blocks of a stream.
type sink interface {
	// start forgets what is half there: the stream begins anew after seen.
	start()
	dispatch(id, data string) error
	seen() uint64 // the id to resume after
}

// read hands over a stream's blocks until it ends (errCut), the sink fails, or
// ctx ends.
func read(ctx context.Context, body io.Reader, to sink, alive func()) error {
	to.start()
	scanner := bufio.NewScanner(body)
	scanner.Buffer(make([]byte, 0, 16<<10), maxLineBytes)
	id, data := "", ""
	for scanner.Scan() {
		alive()
		line := scanner.Text()
		switch {
		case line == "":
			if err := to.dispatch(id, data); err != nil {
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

// consume reads a reply until it ends or has been silent for too long.
func consume(ctx context.Context, resp *http.Response, to sink) error {
	defer resp.Body.Close()
	watchdog := time.AfterFunc(silence, func() { resp.Body.Close() })
	defer watchdog.Stop()
	defer context.AfterFunc(ctx, func() { resp.Body.Close() })()
	return read(ctx, resp.Body, to, func() { watchdog.Reset(silence) })
}

// reader turns a thread's stream into events. The lines of one event of the log
// are handed over together, once the last of them, which carries the id, is
// there: a stream that breaks between them is resumed before the first.
type reader struct {
	last uint64 // everything up to it was handed over
	// begun is set once it is known after which event the stream begins.
	begun bool
	held  []wire.Event
	each  func(Event) error
}

func (r *reader) start() { r.held = nil }

func (r *reader) seen() uint64 { return r.last }

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

// Follow hands over a thread's events after a seq (0: from the beginning) as
// they come, at any node, until ctx ends or each returns an error. ErrStop ends
// it with nil.
func (c *Client) Follow(ctx context.Context, thread string, after uint64, each func(Event) error) error {
	r := &reader{last: after, each: each}
	return ended(c.follow(ctx, c.threadEvents(thread), r))
}

func ended(err error) error {
	if errors.Is(err, ErrStop) {
		return nil
	}
	return err
}

// follow takes a stream up again and again. It gives up when nothing came in
// several attempts on end.
func (c *Client) follow(ctx context.Context, open func(context.Context, uint64) (*http.Response, error), to sink) error {
	for tries := 0; ; tries++ {
		before := to.seen()
		resp, err := open(ctx, before)
		if err == nil {
			err = consume(ctx, resp, to)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.Is(err, errCut) && !again(err):
			return err
		case tries >= reconnects:
			return unreachable(err)
		case to.seen() > before:
			tries = 0
		}
		c.at.Add(1)
		if err := pause(ctx, nil, min(tries+1, 5)); err != nil {
			return err
		}
	}
}

// threadEvents opens a thread's stream after a seq.
func (c *Client) threadEvents(thread string) func(context.Context, uint64) (*http.Response, error) {
	return func(ctx context.Context, after uint64) (*http.Response, error) {
		return c.stream(ctx, query(path("threads", thread, "events"), "after", strconv.FormatUint(after, 10)))
	}
}

func (c *Client) stream(ctx context.Context, path string) (*http.Response, error) {
	return c.send(ctx, request{method: http.MethodGet, accept: "text/event-stream", path: path}, "")
}
