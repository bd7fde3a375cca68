package proc

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

// follow delivers the output of a process and then its end.
func (p *Process) follow(wire *wire) {
	defer p.table.release()
	var heard, pumps sync.WaitGroup
	for _, out := range wire.outputs {
		heard.Add(1)
		pumps.Go(func() { p.pump(out, heard.Done) })
	}
	defer pumps.Wait()
	end, ok := p.awaitExit()
	wire.release()
	for _, out := range wire.outputs {
		out.file.SetReadDeadline(time.Now().Add(drainGrace))
	}
	heard.Wait()
	p.table.retire(p)
	p.finish(end, ok)
}

// awaitExit returns how the process ended, or false when the table was closed
// and the process would not die.
func (p *Process) awaitExit() (End, bool) {
	defer p.endInput()
	if p.killer != nil {
		defer p.killer.Stop()
	}
	select {
	case status := <-p.reaped:
		return p.ending(status), true
	case <-p.table.quit:
	}
	select {
	case status := <-p.reaped: // it came together with quit
		return p.ending(status), true
	default:
		return End{}, false
	}
}

func (p *Process) ending(status syscall.WaitStatus) End {
	p.table.mu.Lock()
	defer p.table.mu.Unlock()
	return End{Status: status, TimedOut: p.timedOut}
}

// pump delivers one stream and calls heard when all that belongs to the
// process was delivered. What its children print after that is dropped, but
// it is read, so that a daemon does not die of a closed pipe.
func (p *Process) pump(out source, heard func()) {
	defer p.table.drop(out.file)
	if p.deliver(out) {
		heard()
		return
	}
	heard()
	out.file.SetReadDeadline(time.Time{})
	io.Copy(io.Discard, out.file) // ends with the last holder; there is no failure to act on
}

// deliver publishes until the stream's end, which it reports as true, or
// until the process is gone and the pipe is empty.
func (p *Process) deliver(out source) bool {
	buf := make([]byte, out.chunk)
	for {
		n, err := out.file.Read(buf)
		if n > 0 {
			p.publish(Event{Stream: out.stream, Data: bytes.Clone(buf[:n])})
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			return p.drain(out, buf)
		default:
			return true
		}
	}
}

// drain publishes what lies in the pipe, without waiting for more.
func (p *Process) drain(out source, buf []byte) bool {
	out.file.SetReadDeadline(time.Time{})
	for left := drainBytes; left > 0; {
		n, err := readNow(out.file, buf)
		if n <= 0 {
			return n == 0 && err == nil
		}
		p.publish(Event{Stream: out.stream, Data: bytes.Clone(buf[:n])})
		left -= n
	}
	return false
}
