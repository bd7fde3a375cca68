package modelgateway

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// googleFunctions are the names of the one kind of tool that the program runs.
var googleFunctions = []string{"functionDeclarations", "function_declarations"}

// googleConfig are the fields of a generationConfig that change no price. Each
// is read under this name only, so that no other one can say it again.
var googleConfig = []string{"stopSequences", "responseMimeType", "responseSchema", "responseJsonSchema", "candidateCount", "maxOutputTokens",
	"temperature", "topP", "topK", "seed", "presencePenalty", "frequencyPenalty", "responseLogprobs", "logprobs", "thinkingConfig", "mediaResolution"}

// functions checks that all tools are the program's own.
func (f fields) functions() *problem {
	var list []fields
	if !f.has("tools") {
		return nil
	}
	if json.Unmarshal(f["tools"], &list) != nil {
		return badRequest.with("tools is no list of objects")
	}
	for i, tool := range list {
		if p := tool.only(googleFunctions, fmt.Sprintf("tools[%d].", i)); p != nil {
			return p
		}
	}
	return nil
}

// generation has a request say how long the reply may be, where it asks for
// one.
func (f fields) generation(d dialect, most int64, req *request) *problem {
	if d.free {
		return nil
	}
	var config fields
	if f.has("generationConfig") && (json.Unmarshal(f["generationConfig"], &config) != nil || config == nil) {
		return badRequest.with("generationConfig is no object")
	}
	if config == nil {
		config = fields{}
	}
	if p := config.only(googleConfig, "generationConfig."); p != nil {
		return p
	}
	if config.has("candidateCount") && string(config["candidateCount"]) != "1" {
		return badRequest.with("generationConfig.candidateCount must be 1")
	}
	req.maxOutput = most
	if config.has("maxOutputTokens") {
		n, err := strconv.ParseInt(string(config["maxOutputTokens"]), 10, 64)
		if err != nil || n < 1 {
			return badRequest.with("generationConfig.maxOutputTokens must be a whole number above 0")
		}
		req.maxOutput = min(n, most)
	}
	config["maxOutputTokens"] = number(req.maxOutput)
	written, err := json.Marshal(config)
	if err != nil {
		return badRequest.with("generationConfig is no object")
	}
	f["generationConfig"] = written
	return nil
}
