package mcp

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	// maxRedirects bounds how often a server may send a call elsewhere.
	maxRedirects = 5
	// maxAnswerBytes bounds one answer of a server: a result, or the stream
	// that brings it.
	maxAnswerBytes = 2 * MaxMessageBytes
)

// connection is the way to a server over HTTP. No stream is kept open between
// calls: what a server has to say comes with an answer.
func connection(way http.RoundTripper, s Server) (sdk.Transport, error) {
	home, err := url.Parse(s.URL)
	if err != nil {
		return nil, errors.New("its url cannot be read")
	}
	client := &http.Client{Transport: signed{way, home, s}, CheckRedirect: follows}
	return &sdk.StreamableClientTransport{Endpoint: s.URL, HTTPClient: client, MaxRetries: -1,
		DisableStandaloneSSE: true, MaxEventSize: MaxMessageBytes}, nil
}

func follows(next *http.Request, before []*http.Request) error {
	if len(before) > maxRedirects {
		return fmt.Errorf("it sends the call elsewhere more than %d times", maxRedirects)
	}
	if before[0].URL.Scheme == "https" && next.URL.Scheme != "https" {
		return errors.New("it sends the call to an address without TLS")
	}
	return nil
}

// signed adds a server's headers to what goes to it, and to nobody whom it
// names in a redirect.
type signed struct {
	way    http.RoundTripper
	home   *url.URL
	server Server
}

// RoundTrip implements http.RoundTripper.
func (s signed) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme == s.home.Scheme && req.URL.Host == s.home.Host {
		req = req.Clone(req.Context())
		for name, value := range s.server.Headers {
			req.Header.Set(name, value)
		}
		if s.server.Bearer != "" {
			req.Header.Set("Authorization", "Bearer "+s.server.Bearer)
		}
	}
	res, err := s.way.RoundTrip(req)
	if err == nil {
		res.Body = &boundedBody{ReadCloser: res.Body, left: maxAnswerBytes}
	}
	return res, err
}

// boundedBody fails once a server has sent more than it may.
type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("its answer is longer than %d bytes", int64(maxAnswerBytes))
	}
	return n, err
}
