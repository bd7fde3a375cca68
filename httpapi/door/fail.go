package door

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// codeNotConfigured marks a model whose vendor has no key.
const codeNotConfigured = "MODEL_NOT_CONFIGURED"

// defaultRetry is what a client is told to wait when a failure that passes
// does not say.
const defaultRetry = time.Second

// Statuses maps each kind of failure to a status. Dialects share it; where one
// differs it has a table of codes beside it.
var Statuses = map[fault.Kind]int{
	fault.Invalid:      http.StatusBadRequest,
	fault.Unauthorized: http.StatusUnauthorized,
	fault.Forbidden:    http.StatusForbidden,
	fault.NotFound:     http.StatusNotFound,
	fault.Conflict:     http.StatusConflict,
	fault.Moved:        http.StatusServiceUnavailable,
	fault.Payment:      http.StatusPaymentRequired,
	fault.Exhausted:    http.StatusTooManyRequests,
	fault.TooLarge:     http.StatusRequestEntityTooLarge,
	fault.Full:         http.StatusInsufficientStorage,
	fault.Unavailable:  http.StatusServiceUnavailable,
	fault.Unsupported:  http.StatusNotImplemented,
	fault.Internal:     http.StatusInternalServerError,
}

// classify finds the failure in err. What nobody classified is Internal,
// unless it only says that the request's own time was over.
func classify(c *gin.Context, err error) *fault.Error {
	var f *fault.Error
	if errors.As(err, &f) {
		return f
	}
	if errors.Is(err, context.DeadlineExceeded) || c.Request.Context().Err() != nil {
		return fault.New(fault.Unavailable, "The request took too long; try again").WithCode("TIMEOUT")
	}
	return fault.New(fault.Internal, "%w", err)
}

// retryAfter is how long a client should wait, or 0 when waiting does not help.
func retryAfter(f *fault.Error) time.Duration {
	if f.Code == codeNotConfigured {
		return 0 // somebody has to set a variable first
	}
	switch f.Kind {
	case fault.Exhausted, fault.Unavailable, fault.Moved:
		return max(f.RetryAfter, defaultRetry)
	}
	return f.RetryAfter
}

// seconds writes a duration in whole seconds, rounded up.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
