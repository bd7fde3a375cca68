package modelgateway

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/bothy-computer/bothy/actors/agent/catalog"
)

// request is a call as it goes to the vendor.
type request struct {
	body []byte
	// input and maxOutput bound its tokens.
	input, maxOutput int64
}

// fields are a request's own, of which only those that matter here are read;
// the others go on as they came.
type fields map[string]json.RawMessage

// read makes of a program's request one whose cost is bounded.
func (g *Gateway) read(d dialect, raw []byte, u catalog.Upstream) (request, *problem) {
	var f fields
	if err := json.Unmarshal(raw, &f); err != nil || f == nil {
		return request{}, badRequest.with("the request is no JSON object")
	}
	if p := f.model(d, u.Model); p != nil {
		return request{}, p
	}
	for _, name := range d.refused {
		if f.has(name) {
			return request{}, badRequest.with(fmt.Sprintf("%s is not allowed through this gateway", name))
		}
	}
	for _, name := range d.dropped {
		delete(f, name)
	}
	if p := f.only(d.allowed, ""); p != nil {
		return request{}, p
	}
	if p := f.tools(d); p != nil {
		return request{}, p
	}
	req := request{maxOutput: u.Model.MaxOutputTokens}
	if p := f.bound(d, u, &req); p != nil {
		return request{}, p
	}
	var p *problem
	if req.input, p = g.count(d, raw, u.Model.WindowTokens); p != nil {
		return request{}, p
	}
	var err error
	if req.body, err = json.Marshal(f); err != nil {
		return request{}, badRequest.with("the request is no JSON object")
	}
	return req, nil
}

func (f fields) has(name string) bool {
	value := string(f[name])
	return value != "" && value != "null" && value != "false"
}

// only checks that there are no other fields than those allowed, of which nil
// is all.
func (f fields) only(allowed []string, within string) *problem {
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if allowed != nil && !slices.Contains(allowed, name) {
			return badRequest.with(fmt.Sprintf("%s%.50s is not allowed through this gateway", within, name))
		}
	}
	return nil
}

// model checks that the request is for the run's model, and says it as the
// vendor does.
func (f fields) model(d dialect, m catalog.Model) *problem {
	name := d.model
	if name == "" && (json.Unmarshal(f["model"], &name) != nil || name == "") {
		return badRequest.with("model is missing")
	}
	if name != m.Name && name != m.VendorName {
		return noModel.with(fmt.Sprintf("The model `%.100s` does not exist here: this run may call `%s` only", name, m.Name))
	}
	if d.model == "" {
		f["model"] = quoted(m.VendorName)
	}
	return nil
}

// tools checks that all tools are the program's own: those of a vendor cost
// what no count of tokens tells, and some reach out of the computer's network.
func (f fields) tools(d dialect) *problem {
	if d.vendor == "google" {
		return f.functions()
	}
	var list []struct {
		Type string `json:"type"`
	}
	if !f.has("tools") {
		return nil
	}
	if json.Unmarshal(f["tools"], &list) != nil {
		return badRequest.with("tools is no list of objects")
	}
	for i, t := range list {
		if !slices.ContainsFunc(d.tools, func(kind string) bool {
			return t.Type == kind || strings.HasSuffix(kind, "_") && strings.HasPrefix(t.Type, kind)
		}) {
			return badRequest.with(fmt.Sprintf("tools[%d].type: %.50q is a tool of the vendor's, which is not allowed through this gateway", i, t.Type))
		}
	}
	return nil
}

// bound has the request say how long the reply may be, and where its tokens
// are told.
func (f fields) bound(d dialect, u catalog.Upstream, req *request) *problem {
	if d.vendor == "google" {
		return f.generation(d, u.Model.MaxOutputTokens, req)
	}
	given := false
	for _, name := range d.bounds {
		if !f.has(name) {
			continue
		}
		n, err := strconv.ParseInt(string(f[name]), 10, 64)
		if err != nil || n < 1 {
			return badRequest.with(name + " must be a whole number above 0")
		}
		given = true
		f[name] = number(min(n, u.Model.MaxOutputTokens))
		req.maxOutput = min(req.maxOutput, n)
	}
	if !given && len(d.bounds) > 0 {
		f[d.bounds[0]] = number(req.maxOutput)
		if u.Protocol == catalog.OpenAIChat {
			f["max_tokens"] = number(req.maxOutput) // some servers know the older name only
		}
	}
	switch d.path {
	case responses.path:
		f["store"] = json.RawMessage("false")
	case chat.path:
		if f.has("n") && string(f["n"]) != "1" {
			return badRequest.with("n must be 1")
		}
		if f.has("stream") {
			f["stream_options"] = json.RawMessage(`{"include_usage":true}`)
		}
	case messages.path:
		return f.think(req.maxOutput)
	}
	return nil
}

// think keeps the bound on thinking below the one on the whole reply, as the
// vendor demands.
func (f fields) think(most int64) *problem {
	var thinking map[string]json.RawMessage
	if !f.has("thinking") {
		return nil
	}
	if json.Unmarshal(f["thinking"], &thinking) != nil {
		return badRequest.with("thinking is no object")
	}
	budget, err := strconv.ParseInt(string(thinking["budget_tokens"]), 10, 64)
	if err != nil || budget < most {
		return nil // none, or one for the vendor to judge
	}
	thinking["budget_tokens"] = number(most - 1)
	changed, err := json.Marshal(thinking)
	if err != nil {
		return badRequest.with("thinking is no object")
	}
	f["thinking"] = changed
	return nil
}

func number(n int64) json.RawMessage { return json.RawMessage(strconv.FormatInt(n, 10)) }

func quoted(text string) json.RawMessage {
	q, err := json.Marshal(text)
	if err != nil { // a string always has a JSON form
		return json.RawMessage(`""`)
	}
	return q
}
