package door

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
)

// Deadlines bounds each write of a reply, so that a client that does not read
// cannot hold a handler, and the arrival of a body, which net/http waits for
// even when a request was refused unread. Streams set shorter ones of their own.
func Deadlines(p Patience) gin.HandlerFunc {
	return func(c *gin.Context) {
		w := &patientWriter{ResponseWriter: c.Writer, control: http.NewResponseController(c.Writer), patience: p.Reply}
		// A connection keeps the deadline of the request before.
		if err := w.control.SetWriteDeadline(time.Time{}); errors.Is(err, http.ErrNotSupported) {
			return // a recorder: nothing to wait for
		}
		c.Writer = w
		if c.Request.ContentLength == 0 {
			// A read deadline would end a stream: net/http reads ahead to see
			// whether the client is still there.
			return
		}
		if err := w.control.SetReadDeadline(time.Now().Add(p.Body)); err != nil {
			c.Abort() // the connection is gone
		}
	}
}

// patientWriter sets a new deadline before each write.
type patientWriter struct {
	gin.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
}

func (w *patientWriter) Write(b []byte) (int, error) {
	if err := w.control.SetWriteDeadline(time.Now().Add(w.patience)); err != nil {
		return 0, fmt.Errorf("write reply: %w", err)
	}
	return w.ResponseWriter.Write(b)
}

func (w *patientWriter) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

// FlushError sends what is buffered. gin's own Flush would lose the error.
func (w *patientWriter) FlushError() error {
	w.ResponseWriter.WriteHeaderNow()
	if inner, ok := w.ResponseWriter.(interface{ Unwrap() http.ResponseWriter }); ok {
		return http.NewResponseController(inner.Unwrap()).Flush()
	}
	w.ResponseWriter.Flush()
	return nil
}

// Unwrap lets a response controller reach the connection.
func (w *patientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
