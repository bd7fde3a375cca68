package catalog

import "github.com/bothy-computer/bothy/actors/ledger"

// Protocol is how a vendor's server is spoken to.
type Protocol string

const (
	OpenAI     Protocol = "openai"      // the Responses API
	OpenAIChat Protocol = "openai-chat" // Chat Completions
	Anthropic  Protocol = "anthropic"   // Messages
	Google     Protocol = "google"      // generateContent, of the Gemini API
	Embedded   Protocol = "embedded"    // package script
)

// Config adds to, or replaces, what the environment gives. Vendors and models
// with a name that is known replace the one known, in its place.
type Config struct {
	// Default is the model of an account that names none; "" is the first
	// model whose vendor is configured, else script.
	Default string   `yaml:"default"`
	Vendors []Vendor `yaml:"vendors"` // beside openai, anthropic, google and script
	Models  []Model  `yaml:"models"`  // beside the usual ones of vendors that are configured
	// Executors are the models that a coding CLI offers, by its name, its default
	// first. One that is not named offers all that it can use.
	Executors map[string][]string `yaml:"executors"`
}

// Vendor is a server that has models.
type Vendor struct {
	Name     string   `yaml:"name"`     // by which models name it
	Protocol Protocol `yaml:"protocol"` // openai (Responses), openai-chat (Chat Completions), anthropic (Messages) or google (Gemini)
	BaseURL  string   `yaml:"baseURL"`  // "" is the protocol's own vendor
	// KeyVariable names the environment variable that holds the API key. ""
	// means that the server wants none.
	KeyVariable string `yaml:"keyVariable"`
	// Summaries asks OpenAI for readable reasoning, which it refuses to
	// organisations that it has not verified.
	Summaries bool `yaml:"reasoningSummaries"`

	key      string
	keyless  bool // its own server, so a missing key is no obstacle
	embedded bool
}

// Model is a model that may be named in requests. A model without a price is
// refused unless it is declared free.
type Model struct {
	Name   string `yaml:"name"`   // in requests
	Vendor string `yaml:"vendor"` // the name of its vendor
	// VendorName is what the vendor calls it; "" is Name.
	VendorName string            `yaml:"vendorName"`
	Price      ledger.ModelPrice `yaml:"price"` // micro-dollars for a million tokens
	Free       bool              `yaml:"free"`  // it costs nothing, which a model without a price must say
	// WindowTokens is all that it can be shown and answer together; 0 is 128000.
	WindowTokens    int64 `yaml:"windowTokens"`
	MaxOutputTokens int64 `yaml:"maxOutputTokens"` // of one reply; 0 is 32768
	Reasoning       bool  `yaml:"reasoning"`       // it thinks, and takes an effort
	Pictures        bool  `yaml:"pictures"`        // it can be shown pictures
}

// Bounds of a model that names none.
const (
	DefaultWindowTokens    = 128_000
	DefaultMaxOutputTokens = 32_768
)

// The variables that configure vendors without a file.
const (
	openaiKey, openaiURL       = "OPENAI_API_KEY", "OPENAI_BASE_URL"
	anthropicKey, anthropicURL = "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"
	googleKey, googleURL       = "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL"
)

// builtinVendors are the vendors known without configuration.
func builtinVendors(getenv func(string) string) []Vendor {
	return []Vendor{
		{Name: "openai", Protocol: OpenAI, BaseURL: getenv(openaiURL), KeyVariable: openaiKey, keyless: getenv(openaiURL) != ""},
		{Name: "anthropic", Protocol: Anthropic, BaseURL: getenv(anthropicURL), KeyVariable: anthropicKey},
		{Name: "google", Protocol: Google, BaseURL: getenv(googleURL), KeyVariable: googleKey},
		{Name: "script", Protocol: Embedded, embedded: true},
	}
}

// price is list prices in thousandths of a dollar for a million tokens.
func price(input, cached, written, output int64) ledger.ModelPrice {
	const milli = ledger.USD / 1000
	return ledger.ModelPrice{
		Input: ledger.MicroUSD(input) * milli, CachedInput: ledger.MicroUSD(cached) * milli,
		CacheWrite: ledger.MicroUSD(written) * milli, Output: ledger.MicroUSD(output) * milli,
	}
}

// builtinModels are the models known without configuration, at their vendors'
// list prices when this was written. Prices change: configuration replaces
// them.
func builtinModels(getenv func(string) string) []Model {
	gpt := func(name string, p ledger.ModelPrice) Model {
		return Model{Name: name, Vendor: "openai", Price: p, WindowTokens: 400_000, Reasoning: true, Pictures: true}
	}
	list := []Model{
		gpt("gpt-5.2", price(1750, 175, 0, 14_000)),
		gpt("gpt-5.1", price(1250, 125, 0, 10_000)),
		gpt("gpt-5.1-codex", price(1250, 125, 0, 10_000)),
		gpt("gpt-5-codex", price(1250, 125, 0, 10_000)),
		gpt("gpt-5", price(1250, 125, 0, 10_000)),
		gpt("gpt-5-mini", price(250, 25, 0, 2_000)),
		gpt("gpt-5-nano", price(50, 5, 0, 400)),
	}
	if getenv(anthropicKey) != "" {
		claude := func(name string, p ledger.ModelPrice) Model {
			p.CacheWriteHour = 2 * p.Input // the vendor's rule, whatever the model
			return Model{Name: name, Vendor: "anthropic", Price: p, WindowTokens: 200_000, Reasoning: true, Pictures: true}
		}
		list = append(list,
			claude("claude-sonnet-4-6", price(3000, 300, 3750, 15_000)),
			claude("claude-opus-4-6", price(5000, 500, 6250, 25_000)),
			claude("claude-haiku-4-5", price(1000, 100, 1250, 5_000)),
		)
	}
	if getenv(googleKey) != "" {
		gemini := func(name string, p ledger.ModelPrice) Model {
			return Model{Name: name, Vendor: "google", Price: p, WindowTokens: 1_048_576, Reasoning: true, Pictures: true}
		}
		list = append(list,
			gemini("gemini-2.5-pro", long(price(1250, 125, 0, 10_000), price(2500, 250, 0, 15_000))),
			gemini("gemini-2.5-flash", price(300, 30, 0, 2_500)),
			gemini("gemini-2.5-flash-lite", price(100, 10, 0, 400)),
			gemini("gemini-3.1-pro-preview", long(price(2000, 200, 0, 12_000), price(4000, 400, 0, 18_000))),
			gemini("gemini-3-flash-preview", price(500, 50, 0, 3_000)),
		)
	}
	return list
}

// long is a price with another one for calls whose input is above 200,000
// tokens.
func long(short, above ledger.ModelPrice) ledger.ModelPrice {
	short.Long = &ledger.LongPrice{Above: 200_000, Input: above.Input, CachedInput: above.CachedInput, CacheWrite: above.CacheWrite, Output: above.Output}
	return short
}
