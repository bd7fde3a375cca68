package modelgateway

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/agenttest"
	"github.com/bothy-computer/bothy/actors/agent/catalog"
)

// vendorsError reads an error in the words of OpenAI, Anthropic or Google.
func vendorsError(t *testing.T, body string) (kind, code, message string) {
	t.Helper()
	var e struct {
		Error struct {
			Type, Status, Message string
			Code                  any
		} `json:"error"`
	}
	if err := json.Unmarshal([]byte(body), &e); err != nil || e.Error.Message == "" {
		t.Fatalf("%q is no error of a vendor's: %v", body, err)
	}
	code, _ = e.Error.Code.(string) // Google's is the status
	return e.Error.Type + e.Error.Status, code, e.Error.Message
}

func TestWhatIsRefusedBeforeTheVendorIsAsked(t *testing.T) {
	google := func(model, method string) string { return "/v1beta/models/" + model + ":" + method }
	responses := func(more string) string { return `{"model":"model","input":"hi"` + more + `}` }
	for name, tt := range map[string]struct {
		protocol   catalog.Protocol
		path, body string
		status     int
		named      string // in the message
	}{
		"a model not allowed":   {catalog.OpenAI, "/v1/responses", `{"model":"gpt-4o","input":"hi"}`, 404, "gpt-4o"},
		"no model":              {catalog.OpenAI, "/v1/responses", `{"input":"hi"}`, 400, "model"},
		"no JSON":               {catalog.OpenAI, "/v1/responses", `{"model":`, 400, "JSON"},
		"a list":                {catalog.OpenAI, "/v1/responses", `[1]`, 400, "JSON"},
		"another's reply":       {catalog.OpenAI, "/v1/responses", responses(`,"previous_response_id":"resp_1"`), 400, "previous_response_id"},
		"work in the back":      {catalog.OpenAI, "/v1/responses", responses(`,"background":true`), 400, "background"},
		"another's file":        {catalog.OpenAI, "/v1/responses", `{"model":"model","input":[{"role":"user","content":[{"type":"input_file","file_id":"file-1"}]}]}`, 400, "file_id"},
		"a stored item":         {catalog.OpenAI, "/v1/responses", `{"model":"model","input":[{"type":"item_reference","id":"rs_1"}]}`, 400, "item_reference"},
		"a tool of the vendor":  {catalog.OpenAI, "/v1/responses", responses(`,"tools":[{"type":"web_search"}]`), 400, "tools[0].type"},
		"a code interpreter":    {catalog.OpenAI, "/v1/responses", responses(`,"tools":[{"type":"code_interpreter","container":{"type":"auto"}}]`), 400, "code_interpreter"},
		"several answers":       {catalog.OpenAI, "/v1/chat/completions", `{"model":"model","n":100,"messages":[]}`, 400, "n must be 1"},
		"no bound":              {catalog.OpenAI, "/v1/responses", responses(`,"max_output_tokens":-5`), 400, "max_output_tokens"},
		"too deep":              {catalog.OpenAI, "/v1/responses", `{"model":"model","input":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}`, 400, "nested"},
		"another route":         {catalog.OpenAI, "/v1/files", `{}`, 404, "/v1/files"},
		"another format":        {catalog.OpenAI, "/v1/messages", `{"model":"model"}`, 404, "format"},
		"messages: model":       {catalog.Anthropic, "/v1/messages", `{"model":"opus","messages":[]}`, 404, "opus"},
		"messages: web search":  {catalog.Anthropic, "/v1/messages", `{"model":"model","messages":[],"tools":[{"type":"web_search_20250305","name":"web_search"}]}`, 400, "web_search"},
		"messages: MCP servers": {catalog.Anthropic, "/v1/messages", `{"model":"model","messages":[],"mcp_servers":[{"url":"http://10.0.0.1"}]}`, 400, "mcp_servers"},
		"messages: a file":      {catalog.Anthropic, "/v1/messages", `{"model":"model","messages":[{"role":"user","content":[{"type":"document","source":{"type":"file","file_id":"file_1"}}]}]}`, 400, "file_id"},
		"google: model":         {catalog.Google, google("gemini-9", "generateContent"), `{}`, 404, "gemini-9"},
		"google: no stream":     {catalog.Google, google("model", "streamGenerateContent"), `{}`, 400, "alt=sse"},
		"google: method":        {catalog.Google, google("model", "batchGenerateContent"), `{}`, 404, "batchGenerateContent"},
		"google: files":         {catalog.Google, "/v1beta/files", `{}`, 404, "/v1beta/files"},
		"google: a search":      {catalog.Google, google("model", "generateContent"), `{"tools":[{"functionDeclarations":[]},{"google_search":{}}]}`, 400, "tools[1].google_search"},
		"google: code":          {catalog.Google, google("model", "generateContent"), `{"tools":[{"codeExecution":{}}]}`, 400, "codeExecution"},
		"google: a cache":       {catalog.Google, google("model", "generateContent"), `{"cachedContent":"cachedContents/1"}`, 400, "cachedContent"},
		"google: another name":  {catalog.Google, google("model", "generateContent"), `{"generationConfig":{},"generation_config":{"max_output_tokens":99999}}`, 400, "generation_config"},
		"google: many answers":  {catalog.Google, google("model", "generateContent"), `{"generationConfig":{"candidateCount":8}}`, 400, "candidateCount"},
		"google: named again":   {catalog.Google, google("model", "generateContent"), `{"generationConfig":{"max_output_tokens":99999}}`, 400, "max_output_tokens"},
		"google: pictures":      {catalog.Google, google("model", "generateContent"), `{"generationConfig":{"responseModalities":["IMAGE"]}}`, 400, "responseModalities"},
		"google: no bound":      {catalog.Google, google("model", "generateContent"), `{"generationConfig":{"maxOutputTokens":0}}`, 400, "maxOutputTokens"},
		"google: another file":  {catalog.Google, google("model", "generateContent"), `{"contents":[{"parts":[{"fileData":{"fileUri":"https://generativelanguage.googleapis.com/v1beta/files/x"}}]}]}`, 400, "fileUri"},
		"google: a format":      {catalog.Google, "/v1/messages", `{"model":"model"}`, 404, "format"},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, tt.protocol)
			status, kind, body := r.post(t, tt.path, tt.body)
			_, _, message := vendorsError(t, body)
			if status != tt.status || kind != "application/json" || !strings.Contains(message, tt.named) {
				t.Errorf("%d %s: %s", status, kind, body)
			}
			if len(r.wallet.held) > 0 || len(r.vendor.Requests()) > 0 {
				t.Errorf("held %v, %d requests", r.wallet.held, len(r.vendor.Requests()))
			}
		})
	}
}

func TestNamesOfAProgramsOwnToolsAreItsOwn(t *testing.T) {
	r := open(t, catalog.Anthropic, agenttest.Turn{Body: agenttest.Events(claudeStart, claudeEnd)})
	status, _, body := r.post(t, "/v1/messages", `{"model":"model","max_tokens":5,"tools":[{"name":"f","input_schema":{"type":"object","properties":{"file_id":{"type":"string"}}}}],
		"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{"file_id":"mine","type":"item_reference"}}]}]}`)
	if status != http.StatusOK {
		t.Fatalf("%d: %s", status, body)
	}
}

func TestNobodyElsesTokenOpens(t *testing.T) {
	one, other := open(t, catalog.OpenAI), open(t, catalog.Anthropic)
	ended := open(t, catalog.OpenAI)
	if err := ended.Close(); err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"another run's": other.Token(), "a replayed one": ended.Token(), "none": "", "the vendor's own": vendorKey, "half of it": one.Token()[:20],
	} {
		status, _, body := one.postAs(t, token, "/v1/responses", `{"model":"model","input":"hi"}`)
		if kind, code, _ := vendorsError(t, body); status != http.StatusUnauthorized || kind != "invalid_request_error" || code != "invalid_api_key" {
			t.Errorf("%s: %d %s", name, status, body)
		}
		status, _, body = other.postAs(t, token+"x", "/v1/messages", `{"model":"model"}`)
		if kind, _, _ := vendorsError(t, body); status != http.StatusUnauthorized || kind != "authentication_error" {
			t.Errorf("%s at Anthropic's: %d %s", name, status, body)
		}
	}
}

func TestASpentBudgetIsToldAsTheVendorWould(t *testing.T) {
	r := open(t, catalog.OpenAI)
	r.wallet.empty = true
	status, _, body := r.post(t, "/v1/responses", `{"model":"model","input":"hi"}`)
	if kind, code, _ := vendorsError(t, body); status != http.StatusTooManyRequests || kind != "insufficient_quota" || code != "insufficient_quota" {
		t.Errorf("%d %s", status, body)
	}
	r = open(t, catalog.Anthropic)
	r.wallet.empty = true
	status, _, body = r.post(t, "/v1/messages", `{"model":"model","messages":[]}`)
	if kind, _, _ := vendorsError(t, body); status != http.StatusPaymentRequired || kind != "billing_error" || !strings.Contains(body, `"type":"error"`) {
		t.Errorf("%d %s", status, body)
	}
	r = open(t, catalog.Google)
	r.wallet.empty = true
	status, _, body = r.post(t, "/v1beta/models/model:generateContent", `{"contents":[]}`)
	if kind, _, _ := vendorsError(t, body); status != http.StatusTooManyRequests || kind != "RESOURCE_EXHAUSTED" || !strings.Contains(body, "QuotaFailure") {
		t.Errorf("%d %s", status, body)
	}
}

func TestAHugePromptIsRefusedWithoutBeingRead(t *testing.T) {
	r := open(t, catalog.OpenAI)
	conn, err := net.Dial("tcp", r.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v1/responses HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n", r.Token(), 100<<20)
	answer := make([]byte, 1024)
	n, err := io.ReadAtLeast(conn, answer, 40)
	if err != nil || !strings.Contains(string(answer[:n]), "413") {
		t.Errorf("%q, %v", answer[:n], err)
	}
	// One that does not say how long it is, is read as far as the bound.
	pipe, fill := io.Pipe()
	go func() {
		piece := []byte(strings.Repeat("x", 1<<20))
		for range 100 {
			if _, err := fill.Write(piece); err != nil {
				return
			}
		}
	}()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL()+"/v1/responses", pipe)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.Token())
	res, err := r.client.Do(req)
	pipe.CloseWithError(io.ErrClosedPipe)
	if err != nil {
		t.Logf("the connection broke while it was sent: %v", err)
		return
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d", res.StatusCode)
	}
}

func TestMoreCallsThanARunMayHaveAreTurnedAway(t *testing.T) {
	turns := make([]agenttest.Turn, MaxCalls)
	for i := range turns {
		turns[i] = agenttest.Turn{Body: agenttest.Events(chatReply), Hang: true}
	}
	r := open(t, catalog.OpenAI, turns...)
	const ask = `{"model":"model","stream":true,"messages":[]}`
	for range MaxCalls {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL()+"/v1/chat/completions", strings.NewReader(ask))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+r.Token())
		res, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
	}
	status, _, body := r.post(t, "/v1/chat/completions", ask)
	if _, code, _ := vendorsError(t, body); status != http.StatusTooManyRequests || code != "rate_limit_exceeded" {
		t.Errorf("%d %s", status, body)
	}
}

func TestAVendorsRefusalIsPassedOnButForItsKey(t *testing.T) {
	r := open(t, catalog.OpenAI,
		agenttest.Turn{Status: 429, Header: map[string]string{"Retry-After": "7", "Openai-Organization": "the-nodes"}, Body: `{"error":{"message":"slow down, ` + vendorKey + `","type":"requests","code":"rate_limit_exceeded"}}`},
		agenttest.Turn{Status: 401, Body: `{"error":{"message":"Incorrect API key provided: sk-the-v...","type":"invalid_request_error","code":"invalid_api_key"}}`})
	const ask = `{"model":"model","input":"hi"}`
	status, _, body := r.post(t, "/v1/responses", ask)
	if _, code, message := vendorsError(t, body); status != 429 || code != "rate_limit_exceeded" || !strings.Contains(message, "***") {
		t.Errorf("%d %s", status, body)
	}
	status, _, body = r.post(t, "/v1/responses", ask)
	if kind, _, _ := vendorsError(t, body); status != http.StatusServiceUnavailable || kind != "server_error" || strings.Contains(body, "sk-the") {
		t.Errorf("%d %s", status, body)
	}
	for range 2 {
		if paid := r.wallet.last(t); paid != (agent.Usage{}) {
			t.Errorf("a refusal was paid for: %+v", paid)
		}
	}
}
