// Package google calls Gemini models by the generateContent protocol.
//
//	google.go   the client, its wire and its errors
//	request.go  the transcript as contents
//	reply.go    the stream as entries
//
// The protocol is described at https://ai.google.dev/api/generate-content.
package google

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/upstream"
)

const (
	// DefaultBaseURL is Google itself.
	DefaultBaseURL = "https://generativelanguage.googleapis.com"
	// KeyHeader is where the vendor looks for its key.
	KeyHeader = "X-Goog-Api-Key"
)

// vendor marks this client's state in entries.
const vendor = "google"

// maxEventBytes bounds one event of a stream.
const maxEventBytes = 16 << 20

// Options say where and how to call.
type Options struct {
	BaseURL string // "" is DefaultBaseURL
	APIKey  string // "" sends none
	Client  *http.Client
}

// Model is a client. It is safe for use from several goroutines.
type Model struct{ opts Options }

// New makes a client. It reads nothing from the environment and never retries
// by itself.
func New(opts Options) *Model {
	if opts.BaseURL == "" {
		opts.BaseURL = DefaultBaseURL
	}
	if opts.Client == nil {
		opts.Client = upstream.NewClient()
	}
	return &Model{opts}
}

// Path is where the vendor has a method of a model, below the base URL.
func Path(model, method string) string {
	return "/v1beta/models/" + url.PathEscape(model) + ":" + method
}

// Vendor implements agent.Model.
func (m *Model) Vendor() string { return vendor }

// Call implements agent.Model.
func (m *Model) Call(ctx context.Context, req agent.Request, emit func(agent.Delta)) (agent.Reply, error) {
	ctx = upstream.WithAlive(ctx, func() { emit(agent.Delta{Kind: agent.AliveDelta}) })
	body, err := json.Marshal(params(req))
	if err != nil {
		return agent.Reply{}, agent.Errorf(agent.BadRequest, "write the request: %w", err)
	}
	out, err := http.NewRequestWithContext(ctx, http.MethodPost,
		strings.TrimSuffix(m.opts.BaseURL, "/")+Path(req.Model, "streamGenerateContent")+"?alt=sse", bytes.NewReader(body))
	if err != nil {
		return agent.Reply{}, agent.Errorf(agent.BadRequest, "make the request: %w", err)
	}
	out.Header.Set("Content-Type", "application/json")
	if m.opts.APIKey != "" {
		out.Header.Set(KeyHeader, m.opts.APIKey)
	}
	res, err := upstream.Check(out, m.opts.Client.Do)
	if err != nil {
		return agent.Reply{}, agent.AsError(err)
	}
	defer res.Body.Close()
	reply := writing{emit: emit}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxEventBytes)
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data:"))
		if !ok {
			continue
		}
		if err := reply.take(data); err != nil {
			return agent.Reply{}, err
		}
	}
	if err := streamError(ctx, lines.Err(), reply.finish != ""); err != nil {
		return agent.Reply{}, err
	}
	return reply.whole()
}

// streamError says why a stream stopped before its end; nil is that it did
// not.
func streamError(ctx context.Context, err error, ended bool) error {
	var own *agent.Error
	switch {
	case ctx.Err() != nil:
		return agent.AsError(ctx.Err())
	case errors.As(err, &own):
		return own
	case errors.Is(err, bufio.ErrTooLong):
		return agent.Errorf(agent.BadRequest, "an event of the model's reply is longer than %d bytes", maxEventBytes)
	case err != nil:
		return agent.Errorf(agent.Cut, "the model's reply ended in the middle: %w", err)
	case !ended:
		return agent.Errorf(agent.Cut, "the model's reply ended in the middle")
	}
	return nil
}
