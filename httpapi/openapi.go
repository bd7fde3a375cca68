package httpapi

import (
	_ "embed"
	"encoding/json"
	"fmt"

	"gopkg.in/yaml.v3"
)

//go:embed openapi.yaml
var document []byte

// documentJSON is the OpenAPI document with this cluster's URL before the
// relative ones.
func documentJSON(publicURL string) ([]byte, error) {
	var doc map[string]any
	if err := yaml.Unmarshal(document, &doc); err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
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
