package agent

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrorKind is why a model could not be used, as the caller may act on it.
type ErrorKind string

const (
	RateLimited    ErrorKind = "rate_limited"     // asked too often; wait
	Overloaded     ErrorKind = "overloaded"       // the vendor failed or is too busy; wait
	Unreachable    ErrorKind = "unreachable"      // no connection to the vendor
	Cut            ErrorKind = "cut"              // the reply ended in the middle
	Timeout        ErrorKind = "timeout"          // no reply, or none to its end, in time
	Refused        ErrorKind = "refused"          // the vendor declined the content
	ContextTooLong ErrorKind = "context_too_long" // the transcript does not fit the model's window
	BadRequest     ErrorKind = "bad_request"      // the vendor does not understand the request, or has no such model
	Auth           ErrorKind = "auth"             // the vendor does not accept the key
	Quota          ErrorKind = "quota"            // the vendor's account has no money left
	Cancelled      ErrorKind = "cancelled"        // the caller gave up
	UnknownModel   ErrorKind = "unknown_model"    // not in the list of models
	NotConfigured  ErrorKind = "not_configured"   // the model's vendor has no key here
	Vetoed         ErrorKind = "vetoed"           // whoever drives the loop forbade another attempt
)

// ErrorKinds lists every kind, so that a translation can prove it is whole.
func ErrorKinds() []ErrorKind {
	return []ErrorKind{RateLimited, Overloaded, Unreachable, Cut, Timeout, Refused, ContextTooLong,
		BadRequest, Auth, Quota, Cancelled, UnknownModel, NotConfigured, Vetoed}
}

// Retryable reports whether the same call may succeed later.
func (k ErrorKind) Retryable() bool {
	switch k {
	case RateLimited, Overloaded, Unreachable, Cut, Timeout:
		return true
	}
	return false
}

// Error is a failed model call. Message is fit for a user: it holds no key,
// no header and no body that was sent.
type Error struct {
	Kind       ErrorKind
	Message    string
	RetryAfter time.Duration // as the vendor asked; 0 when it did not
	cause      error
}

// Errorf makes an error of a kind; %w keeps the cause reachable.
func Errorf(kind ErrorKind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Message: err.Error(), cause: errors.Unwrap(err)}
}

// WithRetryAfter returns the error with the wait that the vendor asked for.
func (e *Error) WithRetryAfter(d time.Duration) *Error { e.RetryAfter = d; return e }

func (e *Error) Error() string { return e.Message }
func (e *Error) Unwrap() error { return e.cause }

// AsError returns err as an *Error. A context's end becomes Cancelled or
// Timeout; anything that nobody classified becomes Overloaded when it came
// from the way to the vendor, which is the only place such errors arise.
func AsError(err error) *Error {
	var e *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.DeadlineExceeded):
		return Errorf(Timeout, "the model did not answer in time: %w", err)
	case errors.Is(err, context.Canceled):
		return Errorf(Cancelled, "the call was cancelled: %w", err)
	}
	return Errorf(Unreachable, "cannot reach the model's vendor: %w", err)
}
