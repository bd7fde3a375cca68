package client

import (
	"context"
	"errors"
	"net/http"
	"strconv"
)

// Replay hands over a thread's events after a seq (0: from the beginning) up
// to the newest one there is. ErrStop ends it earlier, with nil.
func (c *Client) Replay(ctx context.Context, thread string, after uint64, each func(Event) error) error {
	found, err := c.Threads().Get(ctx, thread)
	if err != nil {
		return err
	}
	r := &reader{last: after, each: each}
	for r.last < found.LastEventID {
		before := r.last
		resp, err := c.send(ctx, request{method: http.MethodGet, accept: "text/event-stream",
			path: query(path("threads", thread, "events"), "after", strconv.FormatUint(r.last, 10), "follow", "false")}, "")
		if err != nil {
			return err
		}
		err = consume(ctx, resp, r)
		if err == nil || !errors.Is(err, errCut) {
			return ended(err)
		}
		// The end of a replay looks like a stream cut off. Events that streams
		// do not show have no lines, so the last id may never be seen.
		if r.last == before {
			return nil
		}
	}
	return nil
}
