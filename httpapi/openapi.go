package httpapi

import (
	_ "embed"
	"encoding/json"
	"fmt"

	"gopkg.in/yaml.v3"
)

//go:embed openapi.yaml
var document []byte

// Document is the OpenAPI document as JSON, with the cluster's URL, if it has
// one, before the relative ones.
func Document(publicURL string) ([]byte, error) {
	var doc map[string]any
	if err := yaml.Unmarshal(document, &doc); err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	delete(doc, "x-types") // only there to write the others shorter
	if servers, ok := doc["servers"].([]any); ok && publicURL != "" {
		doc["servers"] = append([]any{map[string]any{"url": publicURL}, map[string]any{"url": publicURL + "/v1"}}, servers...)
	}
	b, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("write the OpenAPI document: %w", err)
	}
	return b, nil
}
