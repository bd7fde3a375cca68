package guest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"connectrpc.com/connect"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/guest/process/processconnect"
)

const (
	// maxIdleConnections bounds what a client keeps open to a computer at rest.
	maxIdleConnections = 4
	// idleLimit closes an unused connection, before the guest would.
	idleLimit = 90 * time.Second
	// maxAnswerBytes bounds one message of a guest: a piece of output or the
	// state of a process.
	maxAnswerBytes = 1 << 20
	// maxHeaderBytes bounds the headers of a guest's answer.
	maxHeaderBytes = 64 << 10
	// maxErrorBytes bounds what is read of an error's body.
	maxErrorBytes = 64 << 10
)

// Client talks to one guest over its unix socket. It may be used by many
// goroutines; connections are made when needed and used again.
type Client struct {
	transport *http.Transport // HTTP/1.1: one connection for each stream, so that none waits for another
	two       *http.Transport // HTTP/2, for gRPC that is passed on
	http      *http.Client
	processes processconnect.ProcessClient
}

// Dial makes a client for the guest that listens at socketPath. It connects
// at the first call, so it cannot fail; see Health.
func Dial(socketPath string) *Client {
	transport, two := transportTo(socketPath), transportTo(socketPath)
	two.Protocols = new(http.Protocols)
	two.Protocols.SetUnencryptedHTTP2(true)
	return &Client{transport: transport, two: two, http: clientBy(transport), processes: Processes(transport)}
}

// Processes makes a client of the processes of the guest that way leads to.
// What runs in a computer may stand in its guest's place, so no answer may be
// longer than a guest's is, be compressed, or lead elsewhere.
func Processes(way http.RoundTripper) processconnect.ProcessClient {
	return processconnect.NewProcessClient(clientBy(way), baseURL,
		connect.WithReadMaxBytes(maxAnswerBytes), connect.WithAcceptCompression("gzip", nil, nil))
}

func clientBy(way http.RoundTripper) *http.Client {
	return &http.Client{Transport: way, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func transportTo(socketPath string) *http.Transport {
	dialer := &net.Dialer{}
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socketPath)
		},
		MaxIdleConns: maxIdleConnections, MaxIdleConnsPerHost: maxIdleConnections,
		IdleConnTimeout: idleLimit, DisableCompression: true, MaxResponseHeaderBytes: maxHeaderBytes,
	}
}

// baseURL names no host that is ever looked up: every dial goes to the socket.
const baseURL = "http://guest"

// Close closes idle connections. Calls in progress go on.
func (c *Client) Close() error {
	c.transport.CloseIdleConnections()
	c.two.CloseIdleConnections()
	return nil
}

// RoundTrip sends any request to the guest, whatever host it names, so that a
// Client can be the transport of a reverse proxy. gRPC goes over HTTP/2. A
// guest that is not there is runtime.ErrNotRunning.
func (c *Client) RoundTrip(req *http.Request) (*http.Response, error) {
	out, way := req.Clone(req.Context()), c.transport
	out.URL.Scheme, out.URL.Host = "http", "guest"
	if isGRPC(req.Header.Get("Content-Type")) {
		way = c.two
	}
	res, err := way.RoundTrip(out)
	if err != nil && req.Context().Err() == nil {
		err = fmt.Errorf("pass a request on to the guest: %w", unreached(err))
	}
	return res, err
}

func isGRPC(kind string) bool {
	return kind == "application/grpc" || strings.HasPrefix(kind, "application/grpc+")
}

// Health returns when the guest answers. A socket that listens already, as
// one that the guest inherits does, makes it wait for the guest until ctx is
// done; one that does not exist, and a guest that ends, is runtime.ErrNotRunning
// at once.
func (c *Client) Health(ctx context.Context) error {
	return c.plain(ctx, http.MethodGet, "/health", nil)
}

// Init is what a computer is told after it started. Empty fields change
// nothing.
type Init struct {
	Hostname       string            `json:"hostname,omitempty"`
	EnvVars        map[string]string `json:"envVars,omitempty"` // of every process from now on
	DefaultUser    string            `json:"defaultUser,omitempty"`
	DefaultWorkdir string            `json:"defaultWorkdir,omitempty"`
}

// Init gives the guest its defaults. Doing it twice is success.
func (c *Client) Init(ctx context.Context, init Init) error {
	body, err := json.Marshal(init)
	if err != nil {
		return fmt.Errorf("write the guest's settings: %w", err)
	}
	return c.plain(ctx, http.MethodPost, "/init", body)
}

func (c *Client) plain(ctx context.Context, method, path string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, method, baseURL+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask the guest for %s: %w", path, err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the guest for %s: %w", path, unreached(err))
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNoContent {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxErrorBytes))
	if err != nil {
		return fmt.Errorf("ask the guest for %s: %w", path, err)
	}
	failure := fmt.Errorf("the guest answers %s with %s: %s", path, res.Status, bytes.TrimSpace(text))
	switch res.StatusCode {
	case http.StatusBadRequest:
		return fmt.Errorf("%w: %w", runtime.ErrInvalid, failure)
	case http.StatusServiceUnavailable:
		return fmt.Errorf("%w: %w", runtime.ErrNotRunning, failure)
	}
	return failure
}

// unreached marks failures that mean no guest is there.
func unreached(err error) error {
	for _, gone := range []error{syscall.ENOENT, syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, io.EOF} {
		if errors.Is(err, gone) {
			return fmt.Errorf("%w: %w", runtime.ErrNotRunning, err)
		}
	}
	return err
}
