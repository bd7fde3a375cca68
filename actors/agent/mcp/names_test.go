package mcp

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestToolNames(t *testing.T) {
	for _, tt := range []struct{ server, tool, want string }{
		{"filesystem", "read_file", "mcp__filesystem__read_file"},
		{"a", "_b", "mcp__a___b"},
		{"my server", "x", "mcp__my_server__x_"},
		{"a__b", "c", "mcp__a__b__c_"},
		{"a", strings.Repeat("x", 100), "mcp__a__xxxxx"},
	} {
		if got := toolName(tt.server, tt.tool); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%q of %q is %q", tt.tool, tt.server, got)
		}
	}
}

func TestNoTwoToolsShareAName(t *testing.T) {
	legal := regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	word := rapid.StringMatching(`[ab_. -]{1,6}|[a-z]{60,90}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b, c, d := word.Draw(t, "server"), word.Draw(t, "tool"), word.Draw(t, "another"), word.Draw(t, "its")
		one, two := toolName(a, b), toolName(c, d)
		if !legal.MatchString(one) {
			t.Fatalf("%q is no name for a vendor", one)
		}
		if (one == two) != (a == c && b == d) {
			t.Fatalf("%q of %q and %q of %q are %q and %q", b, a, d, c, one, two)
		}
	})
}
