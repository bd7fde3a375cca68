// Package openai calls models by OpenAI's two protocols, Responses and Chat
// Completions, at OpenAI or at any server that speaks them.
//
//	openai.go     the client, and what both protocols share
//	responses.go  Responses: streams items, replays encrypted reasoning
//	chat.go       Chat Completions: what vLLM, Ollama and others speak
package openai

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/responses"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/upstream"
)

// DefaultBaseURL is OpenAI itself.
const DefaultBaseURL = "https://api.openai.com/v1"

// API is one of the two protocols.
type API string

const (
	Responses       API = "responses" // the default
	ChatCompletions API = "chat"
)

// Options say where and how to call.
type Options struct {
	BaseURL string // "" is DefaultBaseURL
	APIKey  string // "" sends none, as local servers like it
	API     API    // "" is Responses
	// Summaries asks for readable summaries of the model's reasoning, which
	// OpenAI gives to verified organisations only and refuses to others.
	Summaries bool
	Client    option.HTTPClient // nil is a new one
}

// Model is a client. It is safe for use from several goroutines.
type Model struct {
	opts      Options
	responses responses.ResponseService
	chat      sdk.ChatCompletionService
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
	request := []option.RequestOption{
		option.WithBaseURL(opts.BaseURL), option.WithHTTPClient(opts.Client),
		option.WithMaxRetries(0), option.WithMiddleware(upstream.Check),
	}
	if opts.APIKey != "" {
		request = append(request, option.WithAPIKey(opts.APIKey))
	}
	return &Model{opts: opts, responses: responses.NewResponseService(request...), chat: sdk.NewChatCompletionService(request...)}
}

// Vendor implements agent.Model.
func (m *Model) Vendor() string { return "openai" }

// Call implements agent.Model.
func (m *Model) Call(ctx context.Context, req agent.Request, emit func(agent.Delta)) (agent.Reply, error) {
	ctx = upstream.WithAlive(ctx, func() { emit(agent.Delta{Kind: agent.AliveDelta}) })
	if m.opts.API == ChatCompletions {
		return m.callChat(ctx, req, emit)
	}
	return m.callResponses(ctx, req, emit)
}

// streamError says why a stream stopped before its end.
func streamError(ctx context.Context, err error) error {
	var event *ssestream.StreamError
	var bad *json.SyntaxError
	var own *agent.Error
	switch {
	case ctx.Err() != nil:
		return agent.AsError(ctx.Err())
	case err == nil:
		return agent.Errorf(agent.Cut, "the model's reply ended in the middle")
	case errors.As(err, &own):
		return own
	case errors.As(err, &event):
		return upstream.Failure(0, event.Event.Data)
	case errors.As(err, &bad), strings.Contains(err.Error(), "EOF"), strings.Contains(err.Error(), "reset"):
		return agent.Errorf(agent.Cut, "the model's reply ended in the middle: %w", err)
	}
	return agent.AsError(err)
}
