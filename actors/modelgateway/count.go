package modelgateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/bothy-computer/bothy/actors/agent/tokens"
)

const (
	// imageTokens is more than any vendor counts for one picture.
	imageTokens = 5000
	// stateBytesPerToken turns opaque state, such as encrypted reasoning, into
	// tokens.
	stateBytesPerToken = 3
	// perString and perRequest stand for what vendors put around words.
	perString  = 2
	perRequest = 64
	// maxDepth bounds how deep a request is nested.
	maxDepth = 200
)

// count is the most that a request's input can be. What cannot be counted,
// such as a document that the vendor unpacks, counts as the model's whole
// window: more than that no vendor takes.
func (g *Gateway) count(d dialect, raw []byte, window int64) (int64, *problem) {
	c := counting{dialect: d, text: g.counter.Text, decoder: json.NewDecoder(bytes.NewReader(raw))}
	c.decoder.UseNumber()
	for {
		token, err := c.decoder.Token()
		if err != nil {
			break // its end: it was read whole before
		}
		if p := c.take(token); p != nil {
			return 0, p
		}
	}
	total := tokens.For(d.vendor, c.total+perRequest)
	if window > 0 && (c.uncountable || total > window) {
		return window, nil
	}
	return total, nil
}

// counting is a walk through a request.
type counting struct {
	dialect
	text        func(string) int64
	decoder     *json.Decoder
	stack       []level
	total       int64
	uncountable bool
}

// level is an object or array that the walk is in.
type level struct {
	object bool
	key    string // whose value is next, in an object
	named  bool   // a key was read
	// foreign is set below what a tool is given or takes: its names are the
	// program's own.
	foreign bool
}

// foreignKeys begin what is a program's own.
var foreignKeys = map[string]bool{"input_schema": true, "parameters": true, "arguments": true}

// googleKeys do so in Google's format.
var googleKeys = map[string]bool{"args": true, "response": true, "parametersJsonSchema": true, "responseSchema": true, "responseJsonSchema": true}

func (c *counting) take(token json.Token) *problem {
	top := len(c.stack) - 1
	if delim, ok := token.(json.Delim); ok {
		switch delim {
		case '{', '[':
			if len(c.stack) >= maxDepth {
				return badRequest.with(fmt.Sprintf("the request is nested deeper than %d", maxDepth))
			}
			next := level{object: delim == '{'}
			if top >= 0 {
				key := c.stack[top].key
				next.foreign = c.stack[top].foreign || foreignKeys[key] || key == "input" && c.vendor == "anthropic" || googleKeys[key] && c.vendor == "google"
				if !next.object {
					next.key = key
				}
				c.stack[top].named = false
			}
			c.stack = append(c.stack, next)
		default:
			c.stack = c.stack[:top]
		}
		return nil
	}
	if top < 0 {
		return nil
	}
	at := &c.stack[top]
	if at.object && !at.named {
		at.key, at.named = token.(string), true
		c.total += c.text(at.key)
		return nil
	}
	at.named = false
	value, ok := token.(string)
	if !ok {
		c.total += perString
		return nil
	}
	return c.value(*at, value)
}

// value counts one string.
func (c *counting) value(at level, value string) *problem {
	c.total += perString
	if !at.foreign {
		switch {
		case at.key == "file_id" && value != "", at.key == "type" && value == "item_reference",
			c.vendor == "google" && (at.key == "fileUri" || at.key == "file_uri"):
			return badRequest.with(fmt.Sprintf("%s %.50q: what was stored at the vendor is not to be had through this gateway", at.key, value))
		case at.key == "type" && (value == "document" || value == "input_audio"), at.key == "file_url",
			(at.key == "media_type" || at.key == "mimeType" || at.key == "mime_type") && !strings.HasPrefix(value, "image/"):
			c.uncountable = true
		case at.key == "data":
			c.total += imageTokens
			return nil
		case at.key == "encrypted_content", at.key == "signature", at.key == "thoughtSignature", at.key == "thought_signature":
			c.total += int64(len(value)) / stateBytesPerToken
			return nil
		case strings.HasPrefix(value, "data:image/"):
			c.total += imageTokens
			return nil
		case strings.HasPrefix(value, "data:") && at.key == "file_data":
			c.uncountable = true
			return nil
		}
		if strings.HasSuffix(at.key, "url") {
			c.total += imageTokens // it leads to a picture
		}
	}
	c.total += c.text(value)
	return nil
}
