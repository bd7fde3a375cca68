package workspace

import (
	"fmt"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/bothy-computer/bothy/runtime"
)

const (
	// MaxPathBytes bounds a path as a user writes it.
	MaxPathBytes = 4096
	// MaxNameBytes bounds each name in a path, as file systems do.
	MaxNameBytes = 255
	// MaxDepth bounds how many directories lie above a file.
	MaxDepth = 128
)

// Mounts are the places where a computer has its workspace. A path may begin
// with any of them.
var Mounts = [...]string{"/workspace", "/home/node/workspace", "/code"}

// Clean turns a path as users write it, relative or below one of Mounts, into
// a name relative to the workspace; "." is the workspace itself. Errors are
// runtime.ErrInvalid and say what is wrong.
func Clean(name string) (string, error) {
	switch {
	case len(name) > MaxPathBytes:
		return "", fmt.Errorf("%w: the path has %d bytes, more than %d", runtime.ErrInvalid, len(name), MaxPathBytes)
	case strings.ContainsRune(name, 0):
		return "", fmt.Errorf("%w: the path holds a NUL byte", runtime.ErrInvalid)
	case strings.ContainsAny(name, "\r\n"):
		return "", fmt.Errorf("%w: the path holds a line break", runtime.ErrInvalid)
	case !utf8.ValidString(name):
		return "", fmt.Errorf("%w: the path is not UTF-8", runtime.ErrInvalid)
	}
	depth := 0
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", fmt.Errorf("%w: the path %.200q holds \"..\"", runtime.ErrInvalid, name)
		}
		if len(part) > MaxNameBytes {
			return "", fmt.Errorf("%w: the name %.20q... has %d bytes, more than %d", runtime.ErrInvalid, part, len(part), MaxNameBytes)
		}
		if part != "" && part != "." {
			depth++
		}
	}
	if depth > MaxDepth {
		return "", fmt.Errorf("%w: the path is %d directories deep, more than %d", runtime.ErrInvalid, depth, MaxDepth)
	}
	clean := path.Clean(name)
	if !path.IsAbs(clean) {
		return clean, nil
	}
	for _, mount := range Mounts {
		if clean == mount {
			return ".", nil
		}
		if below, ok := strings.CutPrefix(clean, mount+"/"); ok {
			return below, nil
		}
	}
	return "", fmt.Errorf("%w: the path %.200q is not in the workspace: it is relative, or begins with %s", runtime.ErrInvalid, name, strings.Join(Mounts[:], ", "))
}
