package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDeployedConfigurationIsValid reads each configuration that deploy/ brings
// as a node would.
func TestDeployedConfigurationIsValid(t *testing.T) {
	read := func(path string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join("../../deploy", path))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	_, block, found := strings.Cut(read("kubernetes/bothy.yaml"), "  bothy.yaml: |\n")
	block, _, ended := strings.Cut(block, "---")
	if !found || !ended {
		t.Fatal("the manifests hold no bothy.yaml")
	}
	for name, text := range map[string]string{"kubernetes": strings.ReplaceAll(block, "\n    ", "\n"), "systemd": read("systemd/bothy.yaml"), "reference": read("reference.yaml")} {
		if _, err := load(t, strings.TrimPrefix(text, "    "), nil); err != nil {
			t.Errorf("%s: %v in:\n%s", name, err, text)
		}
	}
	// A variable that no node reads would be a setting that is not made.
	for _, path := range []string{"kubernetes/bothy.yaml", "compose.yaml", "Dockerfile", "systemd/bothy.service", "CONTAINERS.md"} {
		for _, name := range regexp.MustCompile(`BOTHY_[A-Z_]+`).FindAllString(read(path), -1) {
			if !isSetting(name) && name != "BOTHY_IMAGE" {
				t.Errorf("%s sets %s, which nothing reads", path, name)
			}
		}
	}
}
