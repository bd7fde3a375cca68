package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bothy-computer/bothy/bench/bare"
	"github.com/bothy-computer/bothy/bench/measure"
)

const (
	// dialers is how many subscribers connect at once.
	dialers = 64
	// dialPatience bounds how long one may take to get its stream's first line.
	dialPatience = 30 * time.Second
	// lineBytes is what each keeps to read lines in.
	lineBytes = 4 << 10
)

// audience is many subscribers of one stream, as cheap as a subscriber can be.
type audience struct {
	conns   []net.Conn
	late    measure.Samples // from an event's own time to its arrival
	arrived atomic.Int64    // events, over all subscribers
	readers sync.WaitGroup

	mu   sync.Mutex
	seen []block // by the first subscriber
}

// block is one event as it came.
type block struct {
	at    time.Time // its own time
	bytes int
}

// seat opens a stream for each of n subscribers, and returns when all have its
// first line.
func seat(ctx context.Context, n int, address, path, key string) (*audience, error) {
	a := &audience{conns: make([]net.Conn, n)}
	var next atomic.Int64
	s, _ := measure.AtOnceEach(dialers, func(s *measure.Samples) {
		for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
			if s.Time(func() error { return a.open(i, address, path, key) }) != nil {
				return
			}
		}
	})
	if err := errors.Join(s.FirstFailure(), ctx.Err()); err != nil {
		opened, _ := s.Count()
		return nil, errors.Join(fmt.Errorf("seat subscriber %d of %d: %w", opened+1, n, err), a.leave())
	}
	return a, nil
}

func (a *audience) open(i int, address, path, key string) error {
	conn, err := net.DialTimeout("tcp", address, dialPatience)
	if err != nil {
		return err
	}
	a.conns[i] = conn
	if err := conn.SetDeadline(time.Now().Add(dialPatience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nAccept: text/event-stream\r\n\r\n", path, address, key); err != nil {
		return err
	}
	reply, err := http.ReadResponse(bufio.NewReaderSize(conn, lineBytes), nil)
	if err != nil {
		return err
	}
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("the stream was refused: %s", reply.Status)
	}
	lines := bufio.NewReaderSize(reply.Body, lineBytes)
	if _, err := lines.ReadSlice('\n'); err != nil {
		return err
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	a.readers.Go(func() { a.listen(i, lines) })
	return nil
}

// listen notes events until the connection is closed.
func (a *audience) listen(i int, lines *bufio.Reader) {
	for {
		line, err := lines.ReadSlice('\n')
		long := 0
		for errors.Is(err, bufio.ErrBufferFull) {
			var more []byte
			more, err = lines.ReadSlice('\n')
			long += len(more)
		}
		if err != nil {
			return
		}
		if long > 0 || !bytes.HasPrefix(line, []byte("data:")) {
			continue
		}
		if at, ok := stamp(line); ok {
			a.note(i, block{at, len(line) + long})
		}
	}
}

func (a *audience) note(i int, b block) {
	a.late.Add(time.Since(b.at))
	if i == 0 {
		a.mu.Lock()
		a.seen = append(a.seen, b)
		a.mu.Unlock()
	}
	a.arrived.Add(1)
}

// stamp finds an event's own time without reading the rest of it.
func stamp(line []byte) (time.Time, bool) {
	const before = `"timestamp":"`
	from := bytes.Index(line, []byte(before))
	if from < 0 || len(line) < from+len(before)+len(bare.StampLayout) {
		return time.Time{}, false
	}
	text := line[from+len(before):]
	at, err := time.Parse(bare.StampLayout, string(text[:len(bare.StampLayout)]))
	return at, err == nil
}

// script is what the first subscriber has seen.
func (a *audience) script() []block {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]block(nil), a.seen...)
}

// await waits until every subscriber has seen as many events, and says how
// many of all were seen.
func (a *audience) await(ctx context.Context, each int) error {
	ctx, cancel := context.WithTimeout(ctx, deliveryPatience)
	defer cancel()
	want := int64(each) * int64(len(a.conns))
	for a.arrived.Load() < want {
		if err := pause(ctx, deliveryPoll); err != nil {
			return fmt.Errorf("%d of %d events arrived: %w", a.arrived.Load(), want, err)
		}
	}
	return nil
}

// leave closes all connections.
func (a *audience) leave() error {
	var errs []error
	for _, c := range a.conns {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	a.readers.Wait()
	return errors.Join(errs...)
}
