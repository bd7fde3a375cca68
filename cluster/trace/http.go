package trace

import (
	"context"
	"encoding/base64"
	"net/http"

	"github.com/bothy-computer/bothy/cluster/state"
)

// headerCause carries a cause between nodes: base64 of its record.
const headerCause = "Bothy-Cause"

// MaxCauseBytes bounds an encoded cause.
const MaxCauseBytes = 1024

// Encode is ctx's cause as it goes to another node; nil where there is none.
func Encode(ctx context.Context) []byte {
	c := Cause(ctx)
	if c == (state.Cause{}) {
		return nil
	}
	b, err := state.Encode(c)
	if err != nil || len(b) > MaxCauseBytes {
		return nil // ids are short, so this is no cause of ours
	}
	return b
}

// Decode is ctx with a cause that another node sent, the empty one included.
// What cannot be read is none: nothing is decided on it.
func Decode(ctx context.Context, b []byte) context.Context {
	var c state.Cause
	if len(b) == 0 || len(b) > MaxCauseBytes || state.Decode(b, &c) != nil {
		return ctx
	}
	return state.WithCause(ctx, c)
}

// Transport sends the cause of each request with it.
type Transport struct{ http.RoundTripper }

// RoundTrip is http.RoundTripper's.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if b := Encode(r.Context()); b != nil {
		r = r.WithContext(r.Context()) // its trailers are the caller's own map, which is filled in later
		r.Header = r.Header.Clone()
		r.Header.Set(headerCause, base64.RawURLEncoding.EncodeToString(b))
	}
	return t.RoundTripper.RoundTrip(r)
}

// CloseIdleConnections closes those of the transport below.
func (t Transport) CloseIdleConnections() {
	if c, ok := t.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// Received is a request of another node, with the cause that came with it.
func Received(r *http.Request) *http.Request {
	b, err := base64.RawURLEncoding.DecodeString(r.Header.Get(headerCause))
	if err != nil || len(b) == 0 {
		return r
	}
	return r.WithContext(Decode(r.Context(), b))
}
