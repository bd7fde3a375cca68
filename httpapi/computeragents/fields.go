package computeragents

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Bounds of fields.
const (
	maxNameBytes     = 256       // names, titles, paths, urls' hosts
	maxTextBytes     = 64 << 10  // instructions, descriptions
	maxObjectBytes   = 16 << 10  // metadata
	maxPairs         = 256       // variables or secrets
	maxPairBytes     = 64 << 10  // one value
	maxScripts       = 64        // setup scripts
	maxScriptBytes   = 256 << 10 // one of them
	maxListed        = 256       // other lists of names
	maxDockerfile    = 128 << 10
	maxURLBytes      = 2048
	maxServers       = 32
	maxServerEntries = 128 // arguments, headers, variables of one
)

// name refuses what cannot be a name: too long, or with control characters.
func name(field, text string) error {
	if len(text) > maxNameBytes {
		return invalid(field, "%s must be at most %d bytes", field, maxNameBytes)
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return invalid(field, "%s must not hold control characters", field)
	}
	return nil
}

// long refuses text beyond what a record should hold.
func long(field, text string) error {
	if len(text) > maxTextBytes {
		return invalid(field, "%s must be at most %d bytes", field, maxTextBytes)
	}
	return nil
}

// identifier refuses what cannot be an id; empty is no id.
func identifier(field, id string) error {
	if id != "" && !door.LooksLikeID(id) {
		return invalid(field, "%s is not an id", field)
	}
	return nil
}

// object takes a JSON object as it is; null and absent are none.
func object(field string, raw json.RawMessage) ([]byte, error) {
	text := strings.TrimSpace(string(raw))
	if text == "" || text == "null" {
		return nil, nil
	}
	if text[0] != '{' {
		return nil, invalid(field, "%s must be an object", field)
	}
	if len(text) > maxObjectBytes {
		return nil, invalid(field, "%s must be at most %d bytes", field, maxObjectBytes)
	}
	return []byte(text), nil
}

func effort(field, text string) error {
	switch text {
	case "", "minimal", "low", "medium", "high":
		return nil
	}
	return invalid(field, "%s must be minimal, low, medium or high", field)
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// placing says how an item of a list is named in an error.
type placing func(field string, i int, kv wire.KeyValue) string

func byIndex(field string, i int, _ wire.KeyValue) string { return fmt.Sprintf("%s[%d].key", field, i) }
func byName(field string, _ int, kv wire.KeyValue) string { return field + "." + kv.Key }

// pairs checks variables: names that a shell takes, each once.
func pairs(field string, list []wire.KeyValue, place placing) error {
	if len(list) > maxPairs {
		return invalid(field, "%s must have at most %d entries", field, maxPairs)
	}
	seen := map[string]bool{}
	for i, kv := range list {
		at := place(field, i, kv)
		switch {
		case kv.Key == "":
			return invalid(at, "Missing required field: %s", at)
		case len(kv.Key) > maxNameBytes || !variableName.MatchString(kv.Key):
			return invalid(at, "%s must be letters, digits and _, not beginning with a digit", at)
		case len(kv.Value) > maxPairBytes:
			return invalid(at, "the value of %s must be at most %d bytes", at, maxPairBytes)
		case seen[kv.Key]:
			return invalid(at, "%s is there twice", at)
		}
		seen[kv.Key] = true
	}
	return nil
}

func scripts(field string, list []string) error {
	if len(list) > maxScripts {
		return invalid(field, "%s must have at most %d items", field, maxScripts)
	}
	for i, s := range list {
		if len(s) > maxScriptBytes {
			return invalid(field, "%s[%d] must be at most %d bytes", field, i, maxScriptBytes)
		}
	}
	return nil
}

// names checks a list of names.
func names(field string, list []string) error {
	if len(list) > maxListed {
		return invalid(field, "%s must have at most %d items", field, maxListed)
	}
	for i, s := range list {
		at := fmt.Sprintf("%s[%d]", field, i)
		if s == "" {
			return invalid(at, "%s must not be empty", at)
		}
		if err := name(at, s); err != nil {
			return err
		}
	}
	return nil
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
