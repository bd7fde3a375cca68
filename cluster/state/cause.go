package state

import "context"

// CauseVersion is the command version since which proposals may have a cause.
const CauseVersion = 5

// Cause is the request that something is done for: who asked, and what to look
// for in logs and traces. All of it is empty for what a node does by itself.
type Cause struct {
	Request string    `cbor:"1,keyasint,omitempty"` // its id, as in the reply's X-Request-Id
	Account AccountID `cbor:"2,keyasint,omitempty"` // the caller's, not that of what is changed
	User    UserID    `cbor:"3,keyasint,omitempty"`
	Key     KeyID     `cbor:"4,keyasint,omitempty"`
	Trace   string    `cbor:"5,keyasint,omitempty"` // W3C traceparent of what led here; "" is not traced
}

type causeKey struct{}

// WithCause is ctx for what is done because of a request. Commands that are
// proposed with it say so in the log.
func WithCause(ctx context.Context, c Cause) context.Context {
	return context.WithValue(ctx, causeKey{}, c)
}

// CauseOf is the cause that ctx was given; the zero Cause where it was given none.
func CauseOf(ctx context.Context) Cause {
	c, _ := ctx.Value(causeKey{}).(Cause)
	return c
}
