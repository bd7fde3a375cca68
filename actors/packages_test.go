package actors

import (
	"slices"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/runtime/build"
)

func TestPackagesAreKeptOnce(t *testing.T) {
	tests := map[string]struct {
		kind             build.Kind
		have, add, want  string
		remove, leftover string
	}{
		"system":          {build.System, "ffmpeg jq", "ffmpeg=7:5.1 git", "jq ffmpeg=7:5.1 git", "ffmpeg", "jq git"},
		"python versions": {build.Python, "pandas==1 numpy", "pandas>=2 pandas>=3", "numpy pandas>=3", "pandas", "numpy"},
		"python names":    {build.Python, "Ruamel.Yaml", "ruamel-yaml[jinja2]==1", "ruamel-yaml[jinja2]==1", "RUAMEL__yaml", ""},
		"node scopes":     {build.Node, "@types/node@20 typescript", "@types/node@22 @types/react", "typescript @types/node@22 @types/react", "@types/node", "typescript @types/react"},
		"one version":     {build.Node, "tsx@4", "typescript@5", "tsx@4 typescript@5", "tsx@4", "typescript@5"},
		"another version": {build.Node, "tsx@4", "typescript@5", "tsx@4 typescript@5", "tsx@5", "tsx@4 typescript@5"},
		"not there":       {build.System, "jq", "git", "jq git", "gi", "jq git"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := withPackages(tt.kind, strings.Fields(tt.have), strings.Fields(tt.add))
			if !slices.Equal(got, strings.Fields(tt.want)) {
				t.Errorf("with %s: %q", tt.add, got)
			}
			if got = withoutPackage(tt.kind, got, tt.remove); !slices.Equal(got, strings.Fields(tt.leftover)) {
				t.Errorf("without %s: %q", tt.remove, got)
			}
		})
	}
}
