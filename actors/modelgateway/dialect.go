package modelgateway

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/catalog"
	"github.com/bothy-computer/bothy/actors/agent/google"
)

// dialect is one wire format of a vendor.
type dialect struct {
	vendor string // as tokens are counted for
	// path is where the vendor has it, below the base URL; of Google's, whose
	// paths name the model, it is the method.
	path string
	// model is what the request's path names, "" where its body does.
	model string
	// stream says that the path asks for a stream of events.
	stream bool
	// spoken lists the protocols whose servers have it.
	spoken []catalog.Protocol
	// bounds are the fields that bound the output; the first is set when a
	// request has none.
	bounds []string
	// refused are fields that reach what other tenants of the vendor's account
	// have, go on after the call, or cost what no count of tokens tells.
	refused []string
	// dropped are fields that choose another price.
	dropped []string
	// allowed are the only fields there may be; nil is all that are not refused.
	// It is for a vendor that reads each field under two names.
	allowed []string
	// tools are the kinds of tools that the program runs itself, the only ones
	// allowed; "" is a tool without a kind.
	tools []string
	// free calls answer without a model, and are not paid for.
	free bool
	fail func(problem) any
}

var (
	responses = dialect{
		vendor: "openai", path: "/responses", spoken: []catalog.Protocol{catalog.OpenAI}, bounds: []string{"max_output_tokens"},
		refused: []string{"previous_response_id", "conversation", "background", "prompt"}, dropped: []string{"service_tier"},
		tools: []string{"function", "custom", "namespace", "local_shell", "apply_patch", "tool_search"}, fail: openaiError,
	}
	chat = dialect{
		vendor: "openai", path: "/chat/completions", spoken: []catalog.Protocol{catalog.OpenAI, catalog.OpenAIChat},
		bounds: []string{"max_completion_tokens", "max_tokens"}, refused: []string{"web_search_options", "audio"},
		dropped: []string{"service_tier", "store"}, tools: []string{"function", "custom"}, fail: openaiError,
	}
	messages = dialect{
		vendor: "anthropic", path: "/v1/messages", spoken: []catalog.Protocol{catalog.Anthropic}, bounds: []string{"max_tokens"},
		refused: []string{"container", "mcp_servers"}, dropped: []string{"service_tier", "speed", "inference_geo"},
		tools: []string{"", "custom", "bash_", "text_editor_", "memory_"}, fail: anthropicError,
	}
	countTokens = dialect{
		vendor: "anthropic", path: "/v1/messages/count_tokens", spoken: []catalog.Protocol{catalog.Anthropic},
		refused: messages.refused, dropped: messages.dropped, tools: messages.tools, free: true, fail: anthropicError,
	}
	generate = dialect{
		vendor: "google", spoken: []catalog.Protocol{catalog.Google}, dropped: []string{"serviceTier", "service_tier", "store", "model"},
		allowed: []string{"contents", "systemInstruction", "tools", "toolConfig", "safetySettings", "generationConfig"}, fail: googleError,
	}
	// countContents counts what is in contents only: it bounds no output.
	countContents = dialect{
		vendor: "google", spoken: generate.spoken, dropped: generate.dropped, allowed: []string{"contents"}, free: true, fail: googleError,
	}
)

// googleMethods are the methods of Google's models that are passed on.
var googleMethods = map[string]dialect{"generateContent": generate, "streamGenerateContent": generate, "countTokens": countContents}

// googleRoot begins all of Google's paths, and googleModels those of methods.
const googleRoot, googleModels = "/v1beta/", "/v1beta/models/"

// googleDialect is the wire format of a path such as
// /v1beta/models/NAME:METHOD.
func googleDialect(path string) (d dialect, known bool) {
	rest, ok := strings.CutPrefix(path, googleModels)
	named, method, _ := strings.Cut(rest, ":")
	if d, known = googleMethods[method]; !known || !ok {
		return generate, false
	}
	d.path, d.model, d.stream = method, named, strings.HasPrefix(method, "stream")
	return d, named != ""
}

// dialectOf finds the wire format of a request by its path. A path that is
// none is answered in the words of whoever is likely to read them.
func dialectOf(path string) (d dialect, known bool) {
	if strings.HasPrefix(path, googleRoot) {
		return googleDialect(path)
	}
	switch path {
	case "/v1/responses", "/responses":
		return responses, true
	case "/v1/chat/completions", "/chat/completions":
		return chat, true
	case "/v1/messages":
		return messages, true
	case "/v1/messages/count_tokens":
		return countTokens, true
	}
	if strings.HasPrefix(path, "/v1/messages") {
		return messages, false
	}
	return responses, false
}

// at is where the vendor has the format for a model, below the base URL.
func (d dialect) at(m catalog.Model) string {
	switch {
	case d.vendor != "google":
		return d.path
	case d.stream:
		return google.Path(m.VendorName, d.path) + "?alt=sse"
	}
	return google.Path(m.VendorName, d.path)
}

// problem is why a call is not made, or did not end well.
type problem struct {
	status  int
	kind    string // OpenAI's type of the error
	code    string // and its code
	named   string // Anthropic's type of the error
	word    string // Google's status
	message string
	retry   int // seconds
}

func (p problem) with(message string) *problem { p.message = message; return &p }

// The problems there are, in the words that each vendor has for them.
var (
	badToken    = problem{status: http.StatusUnauthorized, kind: "invalid_request_error", code: "invalid_api_key", named: "authentication_error", word: "UNAUTHENTICATED"}
	badRequest  = problem{status: http.StatusBadRequest, kind: "invalid_request_error", named: "invalid_request_error", word: "INVALID_ARGUMENT"}
	noRoute     = problem{status: http.StatusNotFound, kind: "invalid_request_error", code: "unknown_url", named: "not_found_error", word: "NOT_FOUND"}
	noModel     = problem{status: http.StatusNotFound, kind: "invalid_request_error", code: "model_not_found", named: "not_found_error", word: "NOT_FOUND"}
	tooLarge    = problem{status: http.StatusRequestEntityTooLarge, kind: "invalid_request_error", code: "request_too_large", named: "request_too_large", word: "INVALID_ARGUMENT"}
	tooMany     = problem{status: http.StatusTooManyRequests, kind: "requests", code: "rate_limit_exceeded", named: "rate_limit_error", word: "RESOURCE_EXHAUSTED", retry: 1}
	noMoney     = problem{status: http.StatusTooManyRequests, kind: "insufficient_quota", code: "insufficient_quota", named: "billing_error", word: "RESOURCE_EXHAUSTED"}
	unavailable = problem{status: http.StatusServiceUnavailable, kind: "server_error", named: "api_error", word: "UNAVAILABLE", retry: 1}
)

func openaiError(p problem) any {
	body := map[string]any{"message": p.message, "type": p.kind, "param": nil, "code": nil}
	if p.code != "" {
		body["code"] = p.code
	}
	return map[string]any{"error": body}
}

func anthropicError(p problem) any {
	return map[string]any{"type": "error", "error": map[string]any{"type": p.named, "message": p.message}}
}

// quotaDetail tells Google's clients that waiting does not help.
var quotaDetail = map[string]any{"@type": "type.googleapis.com/google.rpc.QuotaFailure",
	"violations": []map[string]any{{"quotaId": "BudgetPerDay", "description": "the account's budget"}}}

func googleError(p problem) any {
	body := map[string]any{"code": p.status, "message": p.message, "status": p.word}
	switch {
	case p.code == noMoney.code:
		body["details"] = []any{quotaDetail}
	case p.retry > 0:
		body["details"] = []any{map[string]any{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": strconv.Itoa(p.retry) + "s"}}
	}
	return map[string]any{"error": body}
}

// refuse answers with a problem in the dialect's words.
func (d dialect) refuse(w http.ResponseWriter, p *problem) {
	status := p.status
	if d.vendor == "anthropic" && p.named == noMoney.named {
		status = http.StatusPaymentRequired
	}
	w.Header().Set("Content-Type", "application/json")
	if p.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.retry))
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(d.fail(*p)) // a program that has left reads nothing
}

// usageOf reads what a piece of a reply says was used. Pieces add to one
// another: Anthropic tells the input first and the output last.
func (d dialect) usageOf(frame []byte, before agent.Usage) (agent.Usage, bool) {
	switch d.vendor {
	case "anthropic":
		return anthropicUsage(frame, before)
	case "google":
		return google.ReadUsage(frame)
	}
	return openaiUsage(frame)
}

// last reports whether a piece that tells a usage tells the whole reply's.
func (d dialect) last(frame []byte) bool {
	switch d.vendor {
	case "anthropic": // a message that only begins tells its input, and one token of output
		return !bytes.Contains(frame, []byte(`"message_start"`))
	case "google": // each piece tells what was used so far
		return bytes.Contains(frame, []byte(`"finishReason"`)) || bytes.Contains(frame, []byte(`"blockReason"`))
	}
	return true
}
