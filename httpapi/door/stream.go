package door

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
)

// MaxStreams bounds the streams open at once on a node.
const MaxStreams = 16384

const streamType = "text/event-stream"

// Streams counts the open streams of a node.
type Streams struct {
	open    atomic.Int64
	most    int64
	buffers sync.Pool // of *bytes.Buffer: only a stream that writes holds one
}

// NewStreams admits up to most streams at once.
func NewStreams(most int) *Streams { return &Streams{most: int64(most)} }

func (s *Streams) enter() error {
	if s.open.Add(1) > s.most {
		s.open.Add(-1)
		return fault.New(fault.Unavailable, "This node has %d streams open, which is its bound; try another node", s.most).
			WithCode("TOO_MANY_STREAMS").WithRetry(5 * time.Second)
	}
	return nil
}

// Open is how many streams are open now.
func (s *Streams) Open() int { return int(s.open.Load()) }

// Stream writes server-sent events. Its methods are for one goroutine.
type Stream struct {
	door    *Door
	c       *gin.Context
	control *http.ResponseController
	ctx     context.Context
	cancel  context.CancelFunc
	buf     *bytes.Buffer // nil while there is nothing to send
	wrote   time.Time
	begun   bool
	reason  string
}

// Reserve takes a place among the node's streams before anything is begun
// that would be streamed. Close must be called. Nothing is sent yet, so the
// request can still be refused with a status.
func (d *Door) Reserve(c *gin.Context) (*Stream, error) {
	if err := d.Draining(); err != nil {
		return nil, err
	}
	if err := d.Streams.enter(); err != nil {
		return nil, err
	}
	s := &Stream{door: d, c: c, control: http.NewResponseController(c.Writer), reason: "completed"}
	s.ctx, s.cancel = context.WithCancel(c.Request.Context())
	stop := context.AfterFunc(d.Drain, s.cancel)
	end := s.cancel
	s.cancel = func() { stop(); end() }
	d.Metrics.streams.WithLabelValues(d.Name).Inc()
	return s, nil
}

// Draining is a refusal when the node is draining, else nil.
func (d *Door) Draining() error {
	if d.Drain.Err() == nil {
		return nil
	}
	return fault.New(fault.Unavailable, "This node is draining; ask another").WithCode(actors.CodeDraining).WithRetry(time.Second)
}

// Context is done when the client is gone, the node drains or the stream was
// closed.
func (s *Stream) Context() context.Context { return s.ctx }

// Begin sends the status and headers at once, and the id after which the
// events follow, so that a client that is cut off at once can resume.
func (s *Stream) Begin(after uint64) error {
	s.headers()
	s.buffer().WriteString("id: " + strconv.FormatUint(after, 10) + "\n\n")
	return s.Flush()
}

// BeginUnnumbered is Begin for clients that always start over: no event has an
// id.
func (s *Stream) BeginUnnumbered() error {
	s.headers()
	return s.Ping()
}

func (s *Stream) headers() {
	h := s.c.Writer.Header()
	h.Set("Content-Type", streamType)
	h.Set("Cache-Control", "no-cache, no-transform")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	if w, ok := s.c.Writer.(*patientWriter); ok {
		w.patience = s.door.Patience.Stream
	}
	s.c.Status(http.StatusOK)
	s.begun = true
}

// Add puts an event into the buffer: one line of JSON. An id other than 0 is
// the one a client gives to resume after it.
func (s *Stream) Add(id uint64, event any) error { return s.add(numbered(id), event) }

func numbered(id uint64) string {
	if id == 0 {
		return ""
	}
	return "id: " + strconv.FormatUint(id, 10) + "\n"
}

// AppendEvent adds an event to a text, as Add does, for Send.
func AppendEvent(text []byte, id uint64, event any) ([]byte, error) {
	return appendEvent(text, numbered(id), event)
}

func appendEvent(text []byte, field string, event any) ([]byte, error) {
	b, err := json.Marshal(event)
	if err != nil {
		return text, fmt.Errorf("write event: %w", err)
	}
	text = append(append(text, field...), "data: "...)
	return append(append(text, b...), "\n\n"...), nil
}

// AddNamed puts an event with a name and no id into the buffer.
func (s *Stream) AddNamed(name string, event any) error { return s.add("event: "+name+"\n", event) }

func (s *Stream) add(field string, event any) error {
	buf := s.buffer()
	text, err := appendEvent(buf.AvailableBuffer(), field, event)
	if err != nil {
		return err
	}
	buf.Write(text)
	if buf.Len() >= flushAt {
		return s.Flush()
	}
	return nil
}

// Ping keeps the connection alive.
func (s *Stream) Ping() error {
	s.buffer().WriteString(": ping\n\n")
	return s.Flush()
}

// Quiet is how long until the next ping is due.
func (s *Stream) Quiet() time.Duration {
	return max(s.door.Patience.Ping-s.door.Now().Sub(s.wrote), time.Millisecond)
}

// Flush sends what is in the buffer, within Patience.Stream.
func (s *Stream) Flush() error {
	if s.buf == nil {
		return nil
	}
	err := s.send(s.buf.Bytes())
	if s.buf.Cap() <= maxKeptBuffer {
		s.door.Streams.buffers.Put(s.buf)
	}
	s.buf = nil
	return err
}

// Send sends a text of AppendEvent, after what is in the buffer.
func (s *Stream) Send(text []byte) error {
	if err := s.Flush(); err != nil || len(text) == 0 {
		return err
	}
	return s.send(text)
}

func (s *Stream) send(text []byte) error {
	_, err := s.c.Writer.Write(text)
	if err == nil {
		err = s.control.Flush()
	}
	s.wrote = s.door.Now()
	if err != nil {
		s.reason = "unwritable"
		return fmt.Errorf("write stream: %w", err)
	}
	return nil
}

// flushAt bounds what a stream gathers before it sends it.
const flushAt = 256 << 10

// maxKeptBuffer is how large a buffer is kept for other streams.
const maxKeptBuffer = 64 << 10

func (s *Stream) buffer() *bytes.Buffer {
	if s.buf == nil {
		s.buf, _ = s.door.Streams.buffers.Get().(*bytes.Buffer)
		if s.buf == nil {
			s.buf = new(bytes.Buffer)
		}
		s.buf.Reset()
	}
	return s.buf
}

// Close gives the stream's place back. err is why it ended, nil when all was
// sent. A stream that failed after it began is cut or ended, never answered.
func (s *Stream) Close(err error) {
	s.cancel()
	s.door.Streams.open.Add(-1)
	s.door.Metrics.streams.WithLabelValues(s.door.Name).Dec()
	if !s.begun {
		return
	}
	var f *fault.Error
	switch {
	case s.reason == "unwritable" || err == nil:
	case s.door.Drain.Err() != nil || errors.As(err, &f) && f.Code == actors.CodeDraining:
		s.reason = "drained"
	case s.c.Request.Context().Err() != nil:
		s.reason = "client_gone"
	default:
		s.reason = "failed"
		s.door.Log.WarnContext(s.c.Request.Context(), "stream failed", "route", s.c.FullPath(), "request", RequestID(s.c), "err", err)
	}
	s.door.Metrics.dropped.WithLabelValues(s.door.Name, s.reason).Inc()
}
