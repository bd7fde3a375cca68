package httpapi

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"gopkg.in/yaml.v3"
)

// documents are the parts of the OpenAPI document: openapi.yaml is the whole's
// head and the Computer Agents dialect, each other file a dialect of its own.
//
//go:embed openapi.yaml openapi.*.yaml
var documents embed.FS

// Document is the OpenAPI document as JSON, with the cluster's URL, if it has
// one, before the relative ones.
func Document(publicURL string) ([]byte, error) {
	files, err := documents.ReadDir(".")
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	doc := map[string]any{}
	for _, f := range files {
		b, err := documents.ReadFile(f.Name())
		if err != nil {
			return nil, fmt.Errorf("read the OpenAPI document: %w", err)
		}
		var part map[string]any
		if err := yaml.Unmarshal(b, &part); err != nil {
			return nil, fmt.Errorf("read %s: %w", f.Name(), err)
		}
		delete(part, "x-types") // only there to write the others shorter
		if err := merge(doc, part, ""); err != nil {
			return nil, fmt.Errorf("read %s: %w", f.Name(), err)
		}
	}
	if servers, ok := doc["servers"].([]any); ok && publicURL != "" {
		doc["servers"] = append([]any{map[string]any{"url": publicURL}, map[string]any{"url": publicURL + "/v1"}}, servers...)
	}
	b, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("write the OpenAPI document: %w", err)
	}
	return b, nil
}

// merge adds a part to the document: maps key by key, lists one after the
// other. What is said twice is an error.
func merge(into, part map[string]any, at string) error {
	for _, key := range slices.Sorted(maps.Keys(part)) {
		have, there := into[key]
		if !there {
			into[key] = part[key]
			continue
		}
		switch have := have.(type) {
		case map[string]any:
			more, ok := part[key].(map[string]any)
			if !ok {
				return fmt.Errorf("%s/%s is a map elsewhere", at, key)
			}
			if err := merge(have, more, at+"/"+key); err != nil {
				return err
			}
		case []any:
			more, ok := part[key].([]any)
			if !ok {
				return fmt.Errorf("%s/%s is a list elsewhere", at, key)
			}
			into[key] = append(have, more...)
		default:
			return fmt.Errorf("%s/%s is said twice", at, key)
		}
	}
	return nil
}
