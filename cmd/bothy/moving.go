package main

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bothy-computer/bothy/httpapi/wire"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

// movingEvery is how often the progress of a copy is shown.
const movingEvery = 200 * time.Millisecond

// moving shows, on a terminal, how much of a copy was read.
type moving struct {
	from  io.Reader
	to    io.Writer // nil shows nothing
	n     atomic.Int64
	began time.Time
	stop  chan struct{}
	once  sync.Once
	shown sync.WaitGroup
}

func (t *terminal) moving(from io.Reader) *moving {
	m := &moving{from: from, began: time.Now(), stop: make(chan struct{})}
	if t.tty && !t.json() {
		m.to = t.err
		m.shown.Go(m.show)
	}
	return m
}

func (m *moving) Read(b []byte) (int, error) {
	n, err := m.from.Read(b)
	m.n.Add(int64(n))
	return n, err
}

func (m *moving) show() {
	tick := time.NewTicker(movingEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			fmt.Fprint(m.to, "\r"+m.line()+"\x1b[K")
		case <-m.stop:
			fmt.Fprint(m.to, "\r\x1b[K")
			return
		}
	}
}

// line is how much was read, and how fast.
func (m *moving) line() string {
	n := m.n.Load()
	rate := float64(n) / max(time.Since(m.began).Seconds(), 0.001)
	return megabytes(n) + "  " + megabytes(int64(rate)) + "/s"
}

// end takes the progress away. Doing it twice is once.
func (m *moving) end() {
	m.once.Do(func() { close(m.stop) })
	m.shown.Wait()
}

// megabytes is a size for people.
func megabytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func skipped(s workspace.Skip) wire.FileError { return wire.FileError{Path: s.Name, Error: s.Why} }
