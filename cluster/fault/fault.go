// Package fault says why a request failed, in the few ways a caller can act
// on. Everything at and above cluster speaks it; only the doors turn a kind
// into a status.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind is the reason a request failed, as the caller may act on it.
type Kind string

const (
	Invalid      Kind = "invalid"      // the request is wrong; do not retry it
	Unauthorized Kind = "unauthorized" // no key, or not a valid one
	Forbidden    Kind = "forbidden"    // the key may not do this
	NotFound     Kind = "not_found"    // no such thing, or not yours to see
	Conflict     Kind = "conflict"     // the thing is not in a state that allows this
	Moved        Kind = "moved"        // another node or epoch owns this; look again and retry there
	Payment      Kind = "payment"      // the budget does not cover this
	Exhausted    Kind = "exhausted"    // a limit is spent; retry later
	TooLarge     Kind = "too_large"    // the request is over a bound
	Full         Kind = "full"         // no room on disk or in the pool
	Unavailable  Kind = "unavailable"  // nobody can answer just now; retry
	Unsupported  Kind = "unsupported"  // this build or node cannot do it
	Internal     Kind = "internal"     // our mistake; the message is not shown
)

// Kinds lists every kind, so that a door can prove it has a status for each.
func Kinds() []Kind {
	return []Kind{Invalid, Unauthorized, Forbidden, NotFound, Conflict, Moved, Payment,
		Exhausted, TooLarge, Full, Unavailable, Unsupported, Internal}
}

// Error is a failure with a kind. Code, when set, is a stable word that some
// dialects send beside the message (INSUFFICIENT_BUDGET); Field names the part
// of the request at fault; RetryAfter is a hint for Exhausted and Unavailable.
type Error struct {
	Kind       Kind
	Code       string
	Field      string
	Message    string
	RetryAfter time.Duration
	cause      error
}

// CodeUnclear marks the Unavailable of a change that may have happened.
const CodeUnclear = "UNCLEAR"

// New makes a failure of a kind. %w keeps the cause reachable.
func New(kind Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Message: err.Error(), cause: errors.Unwrap(err)}
}

// WithCode returns the error with its stable word set.
func (e *Error) WithCode(code string) *Error { e.Code = code; return e }

// WithField returns the error with the name of the request's part at fault.
func (e *Error) WithField(field string) *Error { e.Field = field; return e }

// WithRetry returns the error with a hint of when to try again.
func (e *Error) WithRetry(after time.Duration) *Error { e.RetryAfter = after; return e }

func (e *Error) Error() string { return e.Message }
func (e *Error) Unwrap() error { return e.cause }

// Of returns the kind of err; an error that nobody classified is Internal, so
// that its text cannot leak.
func Of(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Is reports whether err is of the kind.
func Is(err error, kind Kind) bool { return err != nil && Of(err) == kind }
