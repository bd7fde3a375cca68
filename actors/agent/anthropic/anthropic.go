// Package anthropic calls Claude models by the Messages protocol.
//
//	anthropic.go  the client and its errors
//	request.go    the transcript as messages
//	reply.go      the stream as entries
package anthropic

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	sdk "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/upstream"
)

// DefaultBaseURL is Anthropic itself.
const DefaultBaseURL = "https://api.anthropic.com"

// vendor marks this client's state in entries.
const vendor = "anthropic"

// Options say where and how to call.
type Options struct {
	BaseURL string // "" is DefaultBaseURL
	APIKey  string
	Client  option.HTTPClient // nil is a new one
}

// Model is a client. It is safe for use from several goroutines.
type Model struct {
	opts     Options
	messages sdk.MessageService
}

// New makes a client. It reads nothing from the environment and never retries
// by itself.
func New(opts Options) *Model {
	if opts.BaseURL == "" {
		opts.BaseURL = DefaultBaseURL
	}
	if opts.Client == nil {
		opts.Client = upstream.NewClient()
	}
	return &Model{opts: opts, messages: sdk.NewMessageService(
		option.WithBaseURL(opts.BaseURL), option.WithHTTPClient(opts.Client),
		option.WithAPIKey(opts.APIKey), option.WithMaxRetries(0), option.WithMiddleware(upstream.Check),
	)}
}

// Vendor implements agent.Model.
func (m *Model) Vendor() string { return vendor }

// Call implements agent.Model.
func (m *Model) Call(ctx context.Context, req agent.Request, emit func(agent.Delta)) (agent.Reply, error) {
	ctx = upstream.WithAlive(ctx, func() { emit(agent.Delta{Kind: agent.AliveDelta}) })
	params, err := m.params(req)
	if err != nil {
		return agent.Reply{}, err
	}
	stream := m.messages.NewStreaming(ctx, params)
	defer stream.Close()
	reply := writing{emit: emit, blocks: map[int64]*block{}}
	for stream.Next() {
		if reply.take(stream.Current()) {
			return reply.whole()
		}
	}
	return agent.Reply{}, streamError(ctx, stream.Err())
}

// streamError says why a stream stopped before its end.
func streamError(ctx context.Context, err error) error {
	var own *agent.Error
	var event *sdk.Error
	var bad *json.SyntaxError
	switch {
	case ctx.Err() != nil:
		return agent.AsError(ctx.Err())
	case err == nil:
		return agent.Errorf(agent.Cut, "the model's reply ended in the middle")
	case errors.As(err, &own):
		return own
	case errors.As(err, &event):
		return upstream.Failure(0, []byte(event.RawJSON()))
	case errors.As(err, &bad), strings.Contains(err.Error(), "EOF"), strings.Contains(err.Error(), "reset"):
		return agent.Errorf(agent.Cut, "the model's reply ended in the middle: %w", err)
	}
	return agent.AsError(err)
}
