// Package catalog is the list of models: which there are, whose they are,
// what they cost, and whether this node can call them.
//
// The list is OpenAI's seven names, then what the environment and the
// configuration add, then script, which is always there.
package catalog

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/anthropic"
	"github.com/bothy-computer/bothy/actors/agent/google"
	"github.com/bothy-computer/bothy/actors/agent/openai"
	"github.com/bothy-computer/bothy/actors/agent/script"
)

// NotConfiguredCode is the stable word for a model whose vendor has no key here.
const NotConfiguredCode = "MODEL_NOT_CONFIGURED"

// Catalog is the list. It never changes, and is safe for use from several
// goroutines.
type Catalog struct {
	preferred string
	models    []Model
	vendors   map[string]Vendor
	clients   map[string]agent.Model // by vendor, of those that are configured
	executors map[string][]string
}

// FromEnv makes the catalog of a node without a configuration file.
func FromEnv(getenv func(string) string) (*Catalog, error) { return New(Config{}, getenv) }

// New makes the catalog, or reports every mistake of the configuration at once.
func New(cfg Config, getenv func(string) string) (*Catalog, error) {
	c := &Catalog{preferred: cfg.Default, executors: cfg.Executors, vendors: map[string]Vendor{}, clients: map[string]agent.Model{}}
	for _, v := range slices.Concat(builtinVendors(getenv), cfg.Vendors) {
		if v.KeyVariable != "" {
			v.key = getenv(v.KeyVariable)
		}
		c.vendors[v.Name] = v
	}
	for _, m := range slices.Concat(builtinModels(getenv), cfg.Models) {
		at := slices.IndexFunc(c.models, func(known Model) bool { return known.Name == m.Name })
		if at >= 0 {
			c.models[at] = withDefaults(m)
			continue
		}
		c.models = append(c.models, withDefaults(m))
	}
	c.models = append(c.models, Model{Name: script.Name, Vendor: "script", VendorName: script.Name, Free: true, MaxOutputTokens: DefaultMaxOutputTokens})
	if err := c.check(cfg); err != nil {
		return nil, err
	}
	for name, v := range c.vendors {
		if v.ready() {
			c.clients[name] = v.client()
		}
	}
	return c, nil
}

func withDefaults(m Model) Model {
	if m.VendorName == "" {
		m.VendorName = m.Name
	}
	if m.WindowTokens == 0 {
		m.WindowTokens = DefaultWindowTokens
	}
	if m.MaxOutputTokens == 0 {
		m.MaxOutputTokens = min(DefaultMaxOutputTokens, m.WindowTokens/4)
	}
	return m
}

// check names each mistake as the operator wrote it.
func (c *Catalog) check(cfg Config) error {
	var errs []error
	for i, v := range cfg.Vendors {
		switch {
		case v.Name == "" || v.Name == script.Name:
			errs = append(errs, fmt.Errorf("models.vendors[%d].name: %q is not a name for a vendor", i, v.Name))
		case !slices.Contains([]Protocol{OpenAI, OpenAIChat, Anthropic, Google}, v.Protocol):
			errs = append(errs, fmt.Errorf("models.vendors[%d].protocol: %q is none of openai, openai-chat, anthropic, google", i, v.Protocol))
		}
	}
	for i, m := range cfg.Models {
		at := fmt.Sprintf("models.models[%d]", i)
		_, known := c.vendors[m.Vendor]
		full := withDefaults(m)
		switch {
		case m.Name == "" || m.Name == script.Name:
			errs = append(errs, fmt.Errorf("%s.name: %q is not a name for a model", at, m.Name))
		case slices.ContainsFunc(cfg.Models[:i], func(other Model) bool { return other.Name == m.Name }):
			errs = append(errs, fmt.Errorf("%s.name: %q is there twice", at, m.Name))
		case !known || m.Vendor == script.Name:
			errs = append(errs, fmt.Errorf("%s.vendor: there is no vendor %q", at, m.Vendor))
		case m.Price.Zero() != m.Free:
			errs = append(errs, fmt.Errorf("%s: model %q needs either a price or free: true", at, m.Name))
		case m.Price.Negative():
			errs = append(errs, fmt.Errorf("%s.price: a price cannot be negative", at))
		case full.WindowTokens < 0 || full.MaxOutputTokens < 0 || full.MaxOutputTokens*2 > full.WindowTokens:
			errs = append(errs, fmt.Errorf("%s: maxOutputTokens must be at most half of windowTokens", at))
		}
	}
	if _, known := c.Model(cfg.Default); cfg.Default != "" && !known {
		errs = append(errs, fmt.Errorf("models.default: there is no model %q", cfg.Default))
	}
	for _, executor := range slices.Sorted(maps.Keys(cfg.Executors)) {
		for i, name := range cfg.Executors[executor] {
			if _, known := c.Model(name); !known {
				errs = append(errs, fmt.Errorf("models.executors.%s[%d]: there is no model %q", executor, i, name))
			}
		}
	}
	return errors.Join(errs...)
}

// Executors are the models that coding CLIs are configured to offer, by their
// names, each one's default first.
func (c *Catalog) Executors() map[string][]string { return c.executors }

// Models lists every model, in the order in which lists show them.
func (c *Catalog) Models() []Model { return slices.Clone(c.models) }

// Model finds a model by name.
func (c *Catalog) Model(name string) (Model, bool) {
	at := slices.IndexFunc(c.models, func(m Model) bool { return m.Name == name })
	if at < 0 {
		return Model{}, false
	}
	return c.models[at], true
}

// Validate reports a name that is not in the list, in the words that clients
// know. It says nothing of whether the model can be called here.
func (c *Catalog) Validate(name string) error {
	if _, known := c.Model(name); known {
		return nil
	}
	var names []string
	for _, m := range c.models {
		names = append(names, m.Name)
	}
	return agent.Errorf(agent.UnknownModel, "Invalid model '%s'. Supported models: %s", name, strings.Join(names, ", "))
}

// Default is the model for a request that names none.
func (c *Catalog) Default() string {
	if c.preferred != "" {
		return c.preferred
	}
	for _, m := range c.models {
		if c.vendors[m.Vendor].ready() {
			return m.Name
		}
	}
	return script.Name
}

// Open gives what is needed to call a model, or an *agent.Error: UnknownModel,
// or NotConfigured, which names the variable to set.
func (c *Catalog) Open(name string) (agent.Model, Model, error) {
	if err := c.Validate(name); err != nil {
		return nil, Model{}, err
	}
	m, _ := c.Model(name)
	client, ready := c.clients[m.Vendor]
	if !ready {
		return nil, m, agent.Errorf(agent.NotConfigured,
			"Model '%s' cannot run here because its vendor %s is not configured: set %s in the environment of the node and start it again.",
			name, m.Vendor, c.vendors[m.Vendor].KeyVariable)
	}
	return client, m, nil
}

// Missing lists the variables that would configure a vendor that is not, for
// a start banner.
func (c *Catalog) Missing() []string {
	var names []string
	for _, v := range c.vendors {
		if !v.ready() {
			names = append(names, v.KeyVariable)
		}
	}
	slices.Sort(names)
	return names
}

// ready reports whether the vendor can be called.
func (v Vendor) ready() bool {
	return v.embedded || v.keyless || v.KeyVariable == "" || v.key != ""
}

func (v Vendor) client() agent.Model {
	switch v.Protocol {
	case Anthropic:
		return anthropic.New(anthropic.Options{BaseURL: v.BaseURL, APIKey: v.key})
	case Google:
		return google.New(google.Options{BaseURL: v.BaseURL, APIKey: v.key})
	case OpenAI:
		return openai.New(openai.Options{BaseURL: v.BaseURL, APIKey: v.key, Summaries: v.Summaries})
	case OpenAIChat:
		return openai.New(openai.Options{BaseURL: v.BaseURL, APIKey: v.key, API: openai.ChatCompletions})
	}
	return script.Model{}
}
