package catalog

import (
	"errors"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/ledger"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func kindOf(t *testing.T, err error) agent.ErrorKind {
	t.Helper()
	var e *agent.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no *agent.Error", err)
	}
	return e.Kind
}

func TestUnknownModelIsRefusedInTheKnownWords(t *testing.T) {
	c, err := FromEnv(env())
	if err != nil {
		t.Fatal(err)
	}
	err = c.Validate("invalid-model")
	want := "Invalid model 'invalid-model'. Supported models: gpt-5.2, gpt-5.1, gpt-5.1-codex, gpt-5-codex, gpt-5, gpt-5-mini, gpt-5-nano, script"
	if err == nil || err.Error() != want || kindOf(t, err) != agent.UnknownModel {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if err := c.Validate("gpt-5.1"); err != nil {
		t.Errorf("a listed model without a vendor: %v", err)
	}
}

func TestDefaultModel(t *testing.T) {
	for name, tt := range map[string]struct {
		env  []string
		want string
	}{
		"nothing is configured": {nil, "script"},
		"OpenAI is":             {[]string{"OPENAI_API_KEY", "k"}, "gpt-5.2"},
		"a server without keys": {[]string{"OPENAI_BASE_URL", "http://127.0.0.1:1/v1"}, "gpt-5.2"},
		"only Anthropic is":     {[]string{"ANTHROPIC_API_KEY", "k"}, "claude-sonnet-4-6"},
		"only Google is":        {[]string{"GEMINI_API_KEY", "k"}, "gemini-2.5-pro"},
		"both are":              {[]string{"ANTHROPIC_API_KEY", "k", "OPENAI_API_KEY", "k"}, "gpt-5.2"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := FromEnv(env(tt.env...))
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Default(); got != tt.want {
				t.Errorf("the default is %s, want %s", got, tt.want)
			}
			if _, _, err := c.Open(c.Default()); err != nil {
				t.Errorf("the default cannot be called: %v", err)
			}
		})
	}
}

func TestUnconfiguredVendorNamesItsVariable(t *testing.T) {
	c, err := FromEnv(env())
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = c.Open("gpt-5")
	if kindOf(t, err) != agent.NotConfigured || !strings.Contains(err.Error(), "OPENAI_API_KEY") {
		t.Errorf("got %v", err)
	}
	if got := strings.Join(c.Missing(), " "); got != "ANTHROPIC_API_KEY GEMINI_API_KEY OPENAI_API_KEY" {
		t.Errorf("missing: %s", got)
	}
}

func TestConfiguredModelsComeBetweenTheSevenAndScript(t *testing.T) {
	var cfg Config
	err := yaml.Unmarshal([]byte(`
default: qwen
vendors:
- {name: local, protocol: openai-chat, baseURL: "http://127.0.0.1:1/v1"}
models:
- {name: qwen, vendor: local, vendorName: "qwen3:32b", free: true, windowTokens: 32000}
- {name: gpt-5.1, vendor: openai, price: {input: 2000000, output: 3000000}}
`), &cfg)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(cfg, env())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range c.Models() {
		names = append(names, m.Name)
	}
	if got := strings.Join(names, " "); got != "gpt-5.2 gpt-5.1 gpt-5.1-codex gpt-5-codex gpt-5 gpt-5-mini gpt-5-nano qwen script" {
		t.Errorf("the list is %s", got)
	}
	_, qwen, err := c.Open(c.Default())
	if err != nil || qwen.VendorName != "qwen3:32b" || qwen.MaxOutputTokens != 8000 {
		t.Errorf("%+v, %v", qwen, err)
	}
	if m, _ := c.Model("gpt-5.1"); m.Price.Output != 3*ledger.USD {
		t.Errorf("the configured price is not used: %+v", m.Price)
	}
}

func TestEveryMistakeIsReportedAtOnce(t *testing.T) {
	_, err := New(Config{
		Default: "none",
		Vendors: []Vendor{{Name: "x", Protocol: "gopher"}},
		Models: []Model{
			{Name: "unpriced", Vendor: "openai"},
			{Name: "homeless", Vendor: "nobody", Free: true},
			{Name: "script", Vendor: "openai", Free: true},
			{Name: "owing", Vendor: "openai", Price: ledger.ModelPrice{Input: 1, Long: &ledger.LongPrice{Above: 1, Input: -1}}},
			{Name: "both", Vendor: "openai", Free: true, Price: ledger.ModelPrice{Input: 1}},
		},
	}, env())
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"models.default", "vendors[0].protocol", "models[0]", "models[1].vendor", "models[2].name", "models[3].price", "models[4]"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named in:\n%v", want, err)
		}
	}
}

func TestEveryBuiltinModelHasAPrice(t *testing.T) {
	c, err := FromEnv(env("ANTHROPIC_API_KEY", "k", "GEMINI_API_KEY", "k"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range c.Models() {
		if m.Price.Zero() != m.Free {
			t.Errorf("%s: price %+v, free %v", m.Name, m.Price, m.Free)
		}
	}
}
