// Package upstream is what the HTTP protocols of model vendors have in
// common: how a refusal is told apart from a failure, how long to wait, and
// how much of an answer is read at most.
package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/actors/agent"
)

// Bounds of what is taken from a vendor.
const (
	maxErrorBytes   = 64 << 10
	maxReplyBytes   = 64 << 20
	maxMessageBytes = 500 // of a vendor's error text, shown to users
	dialTimeout     = 15 * time.Second
	headerTimeout   = 5 * time.Minute // some vendors answer only when they begin to write
)

// NewClient makes an HTTP client for one vendor. It has no time limit of its
// own for a whole reply; the caller's context has.
func NewClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: headerTimeout,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       90 * time.Second,
	}}
}

// Check is a middleware of a vendor's client. A status of 400 and above
// becomes an *agent.Error, and the body of a good reply is bounded.
func Check(req *http.Request, next func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	res, err := next(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode < 400 {
		alive, _ := req.Context().Value(aliveKey{}).(func())
		res.Body = &bounded{ReadCloser: res.Body, left: maxReplyBytes, alive: alive}
		return res, nil
	}
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxErrorBytes)) // half an error text is still worth showing
	if err := res.Body.Close(); err != nil {
		return nil, err
	}
	failure := Failure(res.StatusCode, body)
	if wait := retryAfter(res.Header); wait > 0 {
		failure.RetryAfter = wait
	}
	return nil, failure
}

// Failure turns a vendor's error, as a status with a body or as an event
// within a stream (status 0), into an *agent.Error.
func Failure(status int, body []byte) *agent.Error {
	var shape struct {
		Error   json.RawMessage `json:"error"`
		Code    any             `json:"code"`
		Message string          `json:"message"`
	}
	var inner struct {
		Type    string `json:"type"`
		Code    any    `json:"code"`
		Message string `json:"message"`
		// Status and Details are Google's; a wait in them tells a limit from a
		// quota that is spent, of which it speaks in the same words.
		Status  string `json:"status"`
		Details []struct {
			RetryDelay string `json:"retryDelay"`
		} `json:"details"`
	}
	if json.Unmarshal(body, &shape) == nil {
		if json.Unmarshal(shape.Error, &inner) != nil && json.Unmarshal(shape.Error, &inner.Message) != nil {
			inner.Message = shape.Message
			inner.Code = shape.Code
		}
	}
	code, _ := inner.Code.(string) // some servers send a number, which says no more than the status
	kind := kindOf(status, inner.Type+" "+code+" "+inner.Status, inner.Message)
	var wait time.Duration
	for _, d := range inner.Details {
		if asked, err := time.ParseDuration(d.RetryDelay); err == nil && asked > 0 {
			kind, wait = agent.RateLimited, clamp(asked.Seconds())
		}
	}
	return agent.Errorf(kind, "%s", wording(kind, status, inner.Message)).WithRetryAfter(wait)
}

// words that vendors use in an error's type, code or text, most telling first.
var words = []struct {
	word string
	kind agent.ErrorKind
}{
	{"insufficient_quota", agent.Quota},
	{"billing", agent.Quota},
	{"context_length_exceeded", agent.ContextTooLong},
	{"maximum context length", agent.ContextTooLong},
	{"context window", agent.ContextTooLong},
	{"prompt is too long", agent.ContextTooLong},
	{"exceeds the maximum number of tokens", agent.ContextTooLong},
	{"content_filter", agent.Refused},
	{"content_policy", agent.Refused},
	{"invalid_prompt", agent.Refused},
	{"authentication_error", agent.Auth},
	{"invalid_api_key", agent.Auth},
	{"api key not valid", agent.Auth},
	{"permission_denied", agent.Auth},
	{"permission_error", agent.Auth},
	{"rate_limit", agent.RateLimited},
	{"overloaded", agent.Overloaded},
	{"timeout_error", agent.Overloaded},
	{"server_error", agent.Overloaded},
	{"api_error", agent.Overloaded},
	{"invalid_request", agent.BadRequest},
	{"not_found", agent.BadRequest},
}

func kindOf(status int, code, message string) agent.ErrorKind {
	said := strings.ToLower(code + " " + message)
	for _, w := range words {
		if strings.Contains(said, w.word) {
			return w.kind
		}
	}
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return agent.Auth
	case status == http.StatusPaymentRequired:
		return agent.Quota
	case status == http.StatusTooManyRequests:
		return agent.RateLimited
	case status == http.StatusRequestEntityTooLarge:
		return agent.ContextTooLong
	case status == http.StatusRequestTimeout, status == http.StatusConflict, status >= 500, status == 0:
		return agent.Overloaded
	}
	return agent.BadRequest
}

// wording is a text for users. A vendor's text about keys is not repeated,
// since it may quote a part of one.
func wording(kind agent.ErrorKind, status int, message string) string {
	said := strings.TrimSpace(strings.ToValidUTF8(message, ""))
	if len(said) > maxMessageBytes {
		said = strings.ToValidUTF8(said[:maxMessageBytes], "") + "..."
	}
	from := "the model's vendor"
	if status != 0 {
		from = fmt.Sprintf("the model's vendor (HTTP %d)", status)
	}
	if kind == agent.Auth {
		return from + " does not accept the API key that this node is configured with, or the key may not use this model"
	}
	text := map[agent.ErrorKind]string{
		agent.RateLimited:    " limits how often it is asked",
		agent.Overloaded:     " failed or is overloaded",
		agent.Quota:          " says that its account has no money left",
		agent.ContextTooLong: " says that the conversation is too long for the model",
		agent.Refused:        " declined the content",
		agent.BadRequest:     " refused the request",
	}[kind]
	if said == "" {
		return from + text
	}
	return from + text + ": " + said
}

// retryAfter reads how long a vendor asks to wait. A date is compared with
// the vendor's own clock, as its Date header shows it.
func retryAfter(h http.Header) time.Duration {
	if ms, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil && ms > 0 {
		return clamp(ms / 1000)
	}
	value := h.Get("Retry-After")
	if seconds, err := strconv.ParseFloat(value, 64); err == nil && seconds > 0 {
		return clamp(seconds)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil || !at.After(now) {
		return 0
	}
	return clamp(at.Sub(now).Seconds())
}

// clamp keeps an absurd wait within what a Duration holds.
func clamp(seconds float64) time.Duration {
	return time.Duration(min(seconds, (24*time.Hour).Seconds()) * float64(time.Second))
}

type aliveKey struct{}

// WithAlive returns a context for a request, such that f is called whenever
// something of the reply arrives, also what a vendor's client hides, from the
// goroutine that reads it.
func WithAlive(ctx context.Context, f func()) context.Context {
	return context.WithValue(ctx, aliveKey{}, f)
}

// bounded fails a body that does not end.
type bounded struct {
	io.ReadCloser
	left  int64
	alive func() // nil when nobody asked
}

var errTooLong = errors.New("the reply is longer than any model's")

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, agent.Errorf(agent.BadRequest, "read the model's reply: %w", errTooLong)
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if n > 0 && b.alive != nil {
		b.alive()
	}
	return n, err
}
