package modelgateway

import (
	"encoding/json"

	"github.com/bothy-computer/bothy/actors/agent"
)

// openaiCount is what OpenAI counts, in the words of either of its formats.
type openaiCount struct {
	Input        int64 `json:"input_tokens"`
	Output       int64 `json:"output_tokens"`
	InputDetails struct {
		Cached int64 `json:"cached_tokens"`
	} `json:"input_tokens_details"`
	OutputDetails struct {
		Reasoning int64 `json:"reasoning_tokens"`
	} `json:"output_tokens_details"`
	Prompt        int64 `json:"prompt_tokens"`
	Completion    int64 `json:"completion_tokens"`
	PromptDetails struct {
		Cached int64 `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
	CompletionDetails struct {
		Reasoning int64 `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
}

// openaiUsage reads the count that ends a reply: in a chat's last chunk, in the
// response of a stream's last event, or in a reply that is no stream.
func openaiUsage(frame []byte) (agent.Usage, bool) {
	var said struct {
		Usage    *openaiCount `json:"usage"`
		Response struct {
			Usage *openaiCount `json:"usage"`
		} `json:"response"`
	}
	if json.Unmarshal(frame, &said) != nil {
		return agent.Usage{}, false
	}
	c := said.Usage
	if c == nil {
		c = said.Response.Usage
	}
	if c == nil {
		return agent.Usage{}, false
	}
	return agent.Usage{
		InputTokens: c.Input + c.Prompt, CachedTokens: c.InputDetails.Cached + c.PromptDetails.Cached,
		OutputTokens: c.Output + c.Completion, ReasoningTokens: c.OutputDetails.Reasoning + c.CompletionDetails.Reasoning,
	}, true
}

// anthropicCount is what Anthropic counts: cached input beside the rest.
type anthropicCount struct {
	Input   int64 `json:"input_tokens"`
	Read    int64 `json:"cache_read_input_tokens"`
	Written int64 `json:"cache_creation_input_tokens"`
	Kept    struct {
		Hour int64 `json:"ephemeral_1h_input_tokens"` // part of Written
	} `json:"cache_creation"`
	Output int64 `json:"output_tokens"`
}

// anthropicUsage reads the counts at a stream's start and end, or of a reply
// that is no stream. Of what the end does not tell again the start counts.
func anthropicUsage(frame []byte, before agent.Usage) (agent.Usage, bool) {
	var said struct {
		Usage   *anthropicCount `json:"usage"`
		Message struct {
			Usage *anthropicCount `json:"usage"`
		} `json:"message"`
	}
	if json.Unmarshal(frame, &said) != nil {
		return before, false
	}
	c := said.Usage
	if c == nil {
		c = said.Message.Usage
	}
	if c == nil {
		return before, false
	}
	if c.Input+c.Read+c.Written > 0 {
		before.InputTokens, before.CachedTokens, before.CacheWriteTokens = c.Input+c.Read+c.Written, c.Read, c.Written
		before.CacheWriteHourTokens = max(before.CacheWriteHourTokens, c.Kept.Hour) // an end may tell the sum alone
	}
	before.OutputTokens = c.Output
	return before, true
}
