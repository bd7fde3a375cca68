package catalog

import (
	"bytes"
	"net/http"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/anthropic"
	"github.com/bothy-computer/bothy/actors/agent/google"
	"github.com/bothy-computer/bothy/actors/agent/openai"
)

// Upstream is a model's vendor as HTTP reaches it, for whoever passes requests
// on in the vendor's own words. The vendor's key never leaves it but into the
// header of a request.
type Upstream struct {
	Model    Model
	Protocol Protocol
	BaseURL  string // what the protocol's paths are below
	key      string
}

// Upstream finds the vendor of a model. It fails as Open does, and with
// NotConfigured for a model that no server has.
func (c *Catalog) Upstream(name string) (Upstream, error) {
	_, model, err := c.Open(name)
	if err != nil {
		return Upstream{}, err
	}
	v := c.vendors[model.Vendor]
	if v.Protocol == Embedded {
		return Upstream{}, agent.Errorf(agent.NotConfigured, "Model '%s' is part of Bothy and has no server.", name)
	}
	u := Upstream{Model: model, Protocol: v.Protocol, BaseURL: v.BaseURL, key: v.key}
	switch {
	case u.BaseURL != "":
	case v.Protocol == Anthropic:
		u.BaseURL = anthropic.DefaultBaseURL
	case v.Protocol == Google:
		u.BaseURL = google.DefaultBaseURL
	default:
		u.BaseURL = openai.DefaultBaseURL
	}
	return u, nil
}

// ProtocolOf is how a listed model's vendor is spoken to, "" for an unknown
// model.
func (c *Catalog) ProtocolOf(name string) Protocol {
	m, _ := c.Model(name)
	return c.vendors[m.Vendor].Protocol
}

// Authorize puts the vendor's key into a request's headers.
func (u Upstream) Authorize(h http.Header) {
	switch {
	case u.key == "":
	case u.Protocol == Anthropic:
		h.Set("X-Api-Key", u.key)
	case u.Protocol == Google:
		h.Set(google.KeyHeader, u.key)
	default:
		h.Set("Authorization", "Bearer "+u.key)
	}
}

// Redact takes the vendor's key out of a text, such as an error that quotes it.
func (u Upstream) Redact(text []byte) []byte {
	if u.key == "" {
		return text
	}
	return bytes.ReplaceAll(text, []byte(u.key), []byte("***"))
}
