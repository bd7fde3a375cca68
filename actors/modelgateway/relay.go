package modelgateway

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/tokens"
)

const (
	// pieceBytes is how much of a reply is passed on at once.
	pieceBytes = 32 << 10
	// maxFrameBytes bounds a piece of a reply that is looked into: a longer one
	// is passed on, and what it says was used is counted instead.
	maxFrameBytes = 4 << 20
	// frameBytes is about how much stands around one token of a stream, and
	// bytesPerToken what a token's own text takes.
	frameBytes    = 200
	bytesPerToken = 4
)

// pieces are buffers that one reply after the other is read into.
var pieces = sync.Pool{New: func() any { return new([pieceBytes]byte) }}

// relay passes a reply on as it comes, and reads beside it what was used. It
// reports the first failure of either side.
func relay(w http.ResponseWriter, from io.Reader, m *meter) error {
	buf := pieces.Get().(*[pieceBytes]byte)
	defer pieces.Put(buf)
	to := http.NewResponseController(w)
	for {
		n, err := from.Read(buf[:])
		if n > 0 {
			m.see(buf[:n])
			if dead := to.SetWriteDeadline(time.Now().Add(writeTime)); dead != nil && !errors.Is(dead, http.ErrNotSupported) {
				return dead
			}
			if _, gone := w.Write(buf[:n]); gone != nil {
				return gone
			}
			if gone := to.Flush(); gone != nil {
				return gone
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// meter reads what a reply says was used, out of the bytes that pass.
type meter struct {
	dialect dialect
	stream  bool // lines of events; else one JSON object
	line    []byte
	skipped bool // the present line is too long to look into
	usage   agent.Usage
	told    bool  // the vendor told the whole usage
	output  int64 // tokens, as counted here
}

func newMeter(d dialect, contentType string) *meter {
	return &meter{dialect: d, stream: strings.HasPrefix(contentType, "text/event-stream")}
}

// see looks at the next bytes.
func (m *meter) see(p []byte) {
	for m.stream {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			break
		}
		if len(m.line) == 0 && !m.skipped {
			m.frame(p[:end])
		} else {
			m.keep(p[:end])
			m.close()
		}
		p = p[end+1:]
	}
	m.keep(p)
}

// keep adds to a line that has not ended yet.
func (m *meter) keep(p []byte) {
	if m.skipped = m.skipped || len(m.line)+len(p) > maxFrameBytes; m.skipped {
		m.line = m.line[:0]
		m.output += int64(len(p)) / bytesPerToken
		return
	}
	m.line = append(m.line, p...)
}

// close looks at what was kept.
func (m *meter) close() {
	if !m.skipped {
		m.frame(m.line)
	}
	m.line, m.skipped = m.line[:0], false
}

var (
	dataField  = []byte("data:")
	usageField = []byte(`"usage`) // usage, or Google's usageMetadata
)

// frame looks at one event, or at a reply that is none. The words can only be
// a name or a whole value there: within a text their quotes are escaped.
func (m *meter) frame(line []byte) {
	if m.stream {
		var ok bool
		if line, ok = bytes.CutPrefix(line, dataField); !ok {
			return
		}
		m.output += max(1, int64(len(line)-frameBytes)/bytesPerToken)
	}
	if !bytes.Contains(line, usageField) {
		return
	}
	usage, told := m.dialect.usageOf(line, m.usage)
	if told {
		m.usage = usage
		m.told = m.told || m.dialect.last(line)
	}
}

// used is what the reply cost: what the vendor told or, of one that was cut,
// the input as it was counted before and the output as far as it came.
func (m *meter) used(input int64) agent.Usage {
	m.close()
	if m.told {
		return m.usage
	}
	u := m.usage
	if u.InputTokens == 0 {
		u.InputTokens = input
	}
	u.OutputTokens = max(u.OutputTokens, tokens.For(m.dialect.vendor, m.output))
	return u
}
