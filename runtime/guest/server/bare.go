package server

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"connectrpc.com/connect"

	"github.com/bothy-computer/bothy/runtime/guest/process/processconnect"
)

const (
	// envelopeBytes is the prefix of each message of a Connect stream: one
	// byte of flags, four of length.
	envelopeBytes = 5
	// flagEnd marks the last message of a stream, which holds its outcome.
	flagEnd = 2
)

// bare lets the two calls that stream be made as curl makes them: plain
// application/json in, one JSON event on each line out. It only moves
// messages in and out of Connect's envelopes.
func bare(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isBare(r) {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessageBytes))
		if err != nil {
			failBare(w, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("read the body: %w", err)))
			return
		}
		// Closing the old body is the server's business; it has been read.
		r = r.Clone(r.Context())
		takeUser(r, body)
		r.Body = io.NopCloser(bytes.NewReader(envelope(body)))
		r.ContentLength = int64(envelopeBytes + len(body))
		r.Header.Set("Content-Type", "application/connect+json")
		r.Header.Del("Connect-Accept-Encoding")
		r.Header.Del("Connect-Content-Encoding")
		out := &lines{to: w, control: http.NewResponseController(w)}
		next.ServeHTTP(out, r)
		out.finish()
	})
}

func isBare(r *http.Request) bool {
	switch r.URL.Path {
	case processconnect.ProcessStartProcedure, processconnect.ProcessConnectProcedure:
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		return r.Method == http.MethodPost && err == nil && kind == "application/json"
	}
	return false
}

// takeUser lets the body name the user, as Basic credentials would.
func takeUser(r *http.Request, body []byte) {
	var named struct {
		User string `json:"user"`
	}
	if _, _, ok := r.BasicAuth(); ok || json.Unmarshal(body, &named) != nil || named.User == "" {
		return
	}
	r.SetBasicAuth(named.User, "")
}

func envelope(message []byte) []byte {
	framed := make([]byte, envelopeBytes, envelopeBytes+len(message))
	binary.BigEndian.PutUint32(framed[1:], uint32(len(message)))
	return append(framed, message...)
}

// lines is a ResponseWriter that turns envelopes into lines.
type lines struct {
	to      http.ResponseWriter
	control *http.ResponseController
	held    []byte // of an envelope that is not complete
	begun   bool
	failed  error
}

// Header implements http.ResponseWriter.
func (l *lines) Header() http.Header { return l.to.Header() }

// WriteHeader implements http.ResponseWriter. A stream's status is always
// 200, so it is decided by the first message instead; any other status is
// an answer without envelopes.
func (l *lines) WriteHeader(status int) {
	if status != http.StatusOK {
		l.begun, l.failed = true, errors.New("the answer is no stream")
		l.to.WriteHeader(status)
	}
}

// Write implements http.ResponseWriter.
func (l *lines) Write(data []byte) (int, error) {
	if l.failed != nil {
		return l.to.Write(data)
	}
	l.held = append(l.held, data...)
	for len(l.held) >= envelopeBytes {
		size := int(binary.BigEndian.Uint32(l.held[1:envelopeBytes]))
		if len(l.held)-envelopeBytes < size {
			break
		}
		if err := l.message(l.held[0], l.held[envelopeBytes:envelopeBytes+size]); err != nil {
			return 0, err
		}
		l.held = l.held[envelopeBytes+size:]
	}
	return len(data), nil
}

func (l *lines) message(flags byte, text []byte) error {
	if flags&flagEnd != 0 {
		return l.outcome(text)
	}
	return l.line(text)
}

// outcome writes what a stream's end says: nothing for success, and for a
// failure a status when no event was sent, else a last line.
func (l *lines) outcome(text []byte) error {
	var end struct {
		Error json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(text, &end); err != nil {
		return fmt.Errorf("read the end of a stream: %w", err)
	}
	if end.Error == nil {
		return nil
	}
	if l.begun {
		return l.line(append(append([]byte(`{"error":`), end.Error...), '}'))
	}
	var failure struct {
		Code string `json:"code"`
	}
	if err := json.Unmarshal(end.Error, &failure); err != nil {
		return fmt.Errorf("read the failure of a stream: %w", err)
	}
	l.begun = true
	l.to.Header().Set("Content-Type", "application/json")
	l.to.WriteHeader(statusOf(failure.Code))
	_, err := l.to.Write(append(end.Error, '\n'))
	return err
}

func (l *lines) line(text []byte) error {
	if !l.begun {
		l.begun = true
		l.to.Header().Set("Content-Type", "application/x-ndjson")
		l.to.WriteHeader(http.StatusOK)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return fmt.Errorf("write an event: %w", err)
	}
	compact.WriteByte('\n')
	_, err := l.to.Write(compact.Bytes())
	return err
}

// Flush implements http.Flusher, which Connect asks for.
func (l *lines) Flush() {
	if l.begun {
		l.control.Flush() // a client that is gone is noticed by the next write
	}
}

func (l *lines) finish() {
	if !l.begun {
		failBare(l.to, connect.NewError(connect.CodeInternal, errors.New("the stream ended without an event")))
	}
}

// failBare answers as Connect does to a request that is no stream.
func failBare(w http.ResponseWriter, err *connect.Error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(statusOf(err.Code().String()))
	json.NewEncoder(w).Encode(map[string]string{"code": err.Code().String(), "message": err.Message()}) // a client that is gone cannot be told
}

// statuses are Connect's own for its codes.
var statuses = map[connect.Code]int{
	connect.CodeCanceled:           499,
	connect.CodeInvalidArgument:    http.StatusBadRequest,
	connect.CodeDeadlineExceeded:   http.StatusGatewayTimeout,
	connect.CodeNotFound:           http.StatusNotFound,
	connect.CodeAlreadyExists:      http.StatusConflict,
	connect.CodePermissionDenied:   http.StatusForbidden,
	connect.CodeResourceExhausted:  http.StatusTooManyRequests,
	connect.CodeFailedPrecondition: http.StatusBadRequest,
	connect.CodeAborted:            http.StatusConflict,
	connect.CodeOutOfRange:         http.StatusBadRequest,
	connect.CodeUnimplemented:      http.StatusNotImplemented,
	connect.CodeUnavailable:        http.StatusServiceUnavailable,
	connect.CodeUnauthenticated:    http.StatusUnauthorized,
}

func statusOf(code string) int {
	var c connect.Code
	if c.UnmarshalText([]byte(strings.ToLower(code))) == nil {
		if status, ok := statuses[c]; ok {
			return status
		}
	}
	return http.StatusInternalServerError
}
