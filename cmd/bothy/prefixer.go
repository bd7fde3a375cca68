package main

import (
	"bytes"
	"io"
	"sync"
)

// maxLineBytes bounds what is held of a line that has no end yet.
const maxLineBytes = 64 << 10

// prefixer mixes the output of several programs, whole lines at a time, each
// with the name of who wrote it.
type prefixer struct {
	mu  sync.Mutex
	out io.Writer
}

func newPrefixer(out io.Writer) *prefixer { return &prefixer{out: out} }

// line writes one line for a name. A terminal that is gone must not end the
// programs that write to it, so failures are dropped.
func (p *prefixer) line(name, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = io.WriteString(p.out, name+" | "+text+"\n")
}

// named is a writer for one program.
func (p *prefixer) named(name string) io.WriteCloser { return &prefixed{to: p, name: name} }

// prefixed holds the line that is not complete.
type prefixed struct {
	to   *prefixer
	name string

	mu   sync.Mutex
	held []byte
}

func (w *prefixed) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = append(w.held, b...)
	for {
		end := bytes.IndexByte(w.held, '\n')
		if end < 0 {
			break
		}
		w.to.line(w.name, string(w.held[:end]))
		w.held = w.held[end+1:]
	}
	if len(w.held) > maxLineBytes {
		w.flush()
	}
	return len(b), nil
}

// Close writes what is left of a line.
func (w *prefixed) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flush()
	return nil
}

func (w *prefixed) flush() {
	if len(w.held) > 0 {
		w.to.line(w.name, string(w.held))
		w.held = nil
	}
}
