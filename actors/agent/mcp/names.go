package mcp

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

const (
	// namePrefix keeps servers' tools apart from the built-in ones.
	namePrefix = "mcp__"
	// nameSeparator stands between the server's name and the tool's.
	nameSeparator = "__"
	// maxNameBytes is what every vendor accepts.
	maxNameBytes = 64
	// nameSumBytes is how much of a hash makes a shortened name its own.
	nameSumBytes = 5
)

var illegal = regexp.MustCompile(`[^A-Za-z0-9_-]`)

// toolName is what a model calls a tool of a server: letters that every vendor
// accepts, at most 64 of them, and the same whatever other servers there are.
// A name that has to be changed, or that could be read in two ways, gets a
// piece of a hash, so that no two tools share one.
func toolName(server, tool string) string {
	plain := namePrefix + server + nameSeparator + tool
	if !illegal.MatchString(plain) && len(plain) <= maxNameBytes &&
		!strings.Contains(server, nameSeparator) && !strings.HasSuffix(server, "_") {
		return plain
	}
	sum := sha256.Sum256([]byte(server + "\x00" + tool))
	tail := "_" + hex.EncodeToString(sum[:nameSumBytes])
	legal := illegal.ReplaceAllString(plain, "_")
	return legal[:min(len(legal), maxNameBytes-len(tail))] + tail
}
