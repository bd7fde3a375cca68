package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// Bounds of calls.
const (
	// attempts is how often a call is made before it fails: a lost leader is
	// replaced within them.
	attempts = 6
	// firstPause doubles with each attempt, up to maxPause.
	firstPause = 150 * time.Millisecond
	maxPause   = 2 * time.Second
	// maxReplyBytes bounds a reply that is not a stream.
	maxReplyBytes = 64 << 20
	// callPatience bounds a call that is not a stream, with all its attempts.
	callPatience = 90 * time.Second
)

// Client calls one cluster. It is safe for use by several goroutines.
type Client struct {
	// HTTP makes the requests; replace it before the first call.
	HTTP *http.Client
	urls []string
	key  string
	at   atomic.Uint32 // which of urls answered last
}

// New makes a client for a cluster whose nodes are at urls, such as
// http://host:7070, with or without /v1.
func New(urls []string, key string) (*Client, error) {
	if len(urls) == 0 {
		return nil, fault.New(fault.Invalid, "no URL of a node; set BOTHY_URL")
	}
	c := &Client{HTTP: &http.Client{}, key: key}
	for _, text := range urls {
		u, err := url.Parse(strings.TrimSpace(text))
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return nil, fault.New(fault.Invalid, "%q is not the http or https URL of a node", text)
		}
		base := u.Scheme + "://" + u.Host + strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), "/v1")
		c.urls = append(c.urls, base)
	}
	return c, nil
}

// request is one call, made as often as needed.
type request struct {
	method string
	path   string // from /v1 on
	body   any    // nil is none
	once   bool   // doing it twice would be wrong, and no key guards it
	accept string
}

// call makes a request and reads the reply into out, which may be nil. A reply
// that breaks off is asked for again.
func (c *Client) call(ctx context.Context, r request, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callPatience)
	defer cancel()
	key := idempotencyKey()
	for try := 1; ; try++ {
		resp, err := c.send(ctx, r, key)
		if try > 1 && r.method == http.MethodDelete && fault.Is(err, fault.NotFound) {
			return nil // the attempt before had done it
		}
		if err != nil || resp == nil {
			return err
		}
		b, err := io.ReadAll(io.LimitReader(resp.Body, maxReplyBytes))
		resp.Body.Close()
		if err != nil && !r.once && try < attempts && ctx.Err() == nil {
			c.at.Add(1)
			continue
		}
		if err != nil {
			return unreachable(err)
		}
		if out == nil {
			return nil
		}
		if err := json.Unmarshal(b, out); err != nil {
			return fault.New(fault.Internal, "%s %s: the reply cannot be read: %w", r.method, r.path, err)
		}
		return nil
	}
}

// send makes a request until a node answers it. The reply's status is 2xx; it
// is nil when an attempt before had done what was asked, unheard.
func (c *Client) send(ctx context.Context, r request, key string) (*http.Response, error) {
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return nil, fault.New(fault.Invalid, "%s %s: %w", r.method, r.path, err)
		}
	}
	var last error
	unheard := false
	for try := range attempts {
		if try > 0 {
			if err := pause(ctx, last, try); err != nil {
				return nil, errors.Join(last, err)
			}
		}
		resp, sent, err := c.try(ctx, r, body, key)
		switch {
		case err == nil:
			return resp, nil
		case unheard && r.method == http.MethodDelete && fault.Is(err, fault.NotFound):
			return nil, nil
		case !again(err) || sent && r.once || ctx.Err() != nil:
			return nil, err
		}
		last, unheard = err, unheard || sent
		c.at.Add(1)
	}
	return nil, last
}

// try makes a request at one node. sent says that the node may have done it.
func (c *Client) try(ctx context.Context, r request, body []byte, key string) (resp *http.Response, sent bool, err error) {
	req, err := http.NewRequestWithContext(ctx, r.method, c.base()+r.path, bytes.NewReader(body))
	if err != nil {
		return nil, false, fault.New(fault.Invalid, "%s %s: %w", r.method, r.path, err)
	}
	c.dress(req, r, body != nil)
	if r.method == http.MethodPost && !r.once {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err = c.HTTP.Do(req)
	if err != nil {
		return nil, !neverSent(err), unreachable(err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, true, nil
	}
	defer resp.Body.Close()
	// What the cluster could not confirm may have been done all the same.
	return nil, resp.StatusCode == http.StatusServiceUnavailable, refusal(resp)
}

func (c *Client) dress(req *http.Request, r request, hasBody bool) {
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	if hasBody {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.accept != "" {
		req.Header.Set("Accept", r.accept)
	}
}

func (c *Client) base() string { return c.urls[int(c.at.Load())%len(c.urls)] }

// again reports whether another node, or the same one later, may answer.
func again(err error) bool {
	var f *fault.Error
	return errors.As(err, &f) && f.Kind == fault.Unavailable && f.Code != "MODEL_NOT_CONFIGURED"
}

// pause waits before the next attempt, as long as the server asked for within
// bounds.
func pause(ctx context.Context, last error, try int) error {
	wait := min(firstPause<<(try-1), maxPause)
	var f *fault.Error
	if errors.As(last, &f) && f.RetryAfter > 0 {
		wait = min(f.RetryAfter, maxPause)
	}
	wait = wait/2 + mathrand.N(wait/2+1)
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func idempotencyKey() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// path joins the parts of a path, each escaped.
func path(parts ...string) string {
	var b strings.Builder
	b.WriteString("/v1")
	for _, p := range parts {
		b.WriteString("/" + url.PathEscape(p))
	}
	return b.String()
}

// query adds parameters that are not empty.
func query(path string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// Page asks for part of a list; zero fields are the server's defaults.
type Page struct{ Limit, Offset int }

func (p Page) limit() string  { return positive(p.Limit) }
func (p Page) offset() string { return positive(p.Offset) }

func positive(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprint(n)
}
