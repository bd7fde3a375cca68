package transport

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/bothy-computer/bothy/cluster/trace"
)

const (
	// MaxBodyBytes bounds the body of one call or envelope, and of an answer.
	MaxBodyBytes = 2 << 20
	// maxFrameBytes is a body and what stands around it.
	maxFrameBytes = MaxBodyBytes + 4096
	// maxMethodBytes bounds the name of a method.
	maxMethodBytes = 64
	// frameHeadBytes is the length in front of a frame.
	frameHeadBytes = 4
)

// frameKind says what a frame is. A frame is: length of the rest (4 bytes, big
// endian), kind (1 byte), payload.
type frameKind byte

const (
	frameCall   frameKind = 1 // id, deadline, method, body
	frameAnswer frameKind = 2 // id, body
	frameFault  frameKind = 3 // id, fault
	frameCancel frameKind = 4 // id: the caller no longer waits
	framePing   frameKind = 5 // asks for a pong
	framePong   frameKind = 6
	frameLetter frameKind = 7 // an envelope and its addresses
	frameCallBy frameKind = 8 // cause, and then as frameCall
)

var (
	errFrame      = errors.New("malformed frame")
	errFrameBytes = fmt.Errorf("a frame has 1 to %d bytes", maxFrameBytes)
)

// newFrame begins a frame with room for n bytes of payload.
func newFrame(kind frameKind, n int) []byte {
	return append(make([]byte, frameHeadBytes, frameHeadBytes+1+n), byte(kind))
}

// finish writes the frame's length into its head.
func finish(frame []byte) []byte {
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-frameHeadBytes))
	return frame
}

// readFrame reads the next frame. The payload is the caller's to keep.
func readFrame(r *bufio.Reader) (frameKind, []byte, error) {
	var head [frameHeadBytes]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > maxFrameBytes {
		return 0, nil, errFrameBytes
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return 0, nil, err
	}
	return frameKind(b[0]), b[1:], nil
}

// fields reads the parts of a payload in order. After the first that is
// malformed all are zero, and bad says so.
type fields struct {
	rest []byte
	bad  bool
}

func (f *fields) uint() uint64 {
	v, n := binary.Uvarint(f.rest)
	if f.bad || n <= 0 {
		f.bad = true
		return 0
	}
	f.rest = f.rest[n:]
	return v
}

func (f *fields) text(maxBytes int) string {
	n := f.uint()
	if f.bad || n > uint64(maxBytes) || n > uint64(len(f.rest)) {
		f.bad = true
		return ""
	}
	s := string(f.rest[:n])
	f.rest = f.rest[n:]
	return s
}

// left is how long is left until a deadline; times travel between nodes only
// so, since their clocks are never compared.
func (f *fields) left() time.Duration {
	us := f.uint()
	if us > uint64(maxLeft/time.Microsecond) {
		f.bad = true
		return 0
	}
	return time.Duration(us) * time.Microsecond
}

// maxLeft bounds a deadline on the wire.
const maxLeft = 24 * time.Hour

// appendLeft writes the time left, at least a microsecond.
func appendLeft(b []byte, left time.Duration) []byte {
	left = min(max(left, time.Microsecond), maxLeft)
	return binary.AppendUvarint(b, uint64(left/time.Microsecond))
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// callFrame is one call as it travels.
type callFrame struct {
	cause  []byte // as trace.Encode has it; nil is none
	id     uint64
	left   time.Duration
	method string
	body   []byte
}

func (c callFrame) encode() []byte {
	kind := frameCall
	if c.cause != nil {
		kind = frameCallBy
	}
	b := newFrame(kind, 32+len(c.cause)+len(c.method)+len(c.body))
	if c.cause != nil {
		b = appendText(b, string(c.cause))
	}
	b = binary.AppendUvarint(b, c.id)
	b = appendLeft(b, c.left)
	b = appendText(b, c.method)
	return finish(append(b, c.body...))
}

func decodeCall(kind frameKind, payload []byte) (callFrame, error) {
	f := fields{rest: payload}
	var c callFrame
	if kind == frameCallBy {
		c.cause = []byte(f.text(trace.MaxCauseBytes))
	}
	c.id, c.left, c.method = f.uint(), f.left(), f.text(maxMethodBytes)
	if f.bad || len(f.rest) > MaxBodyBytes {
		return callFrame{}, errFrame
	}
	c.body = f.rest
	return c, nil
}

// numbered makes a frame that is an id and a body.
func numbered(kind frameKind, id uint64, body []byte) []byte {
	b := newFrame(kind, binary.MaxVarintLen64+len(body))
	return finish(append(binary.AppendUvarint(b, id), body...))
}

func decodeNumbered(payload []byte) (id uint64, body []byte, err error) {
	f := fields{rest: payload}
	id = f.uint()
	if f.bad || len(f.rest) > MaxBodyBytes {
		return 0, nil, errFrame
	}
	return id, f.rest, nil
}
