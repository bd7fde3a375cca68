package workspace

import (
	"errors"
	"path"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/runtime"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"":                              ".",
		".":                             ".",
		"a":                             "a",
		"./a//b/":                       "a/b",
		"/workspace":                    ".",
		"/workspace/":                   ".",
		"//workspace//x":                "x",
		"/workspace/code/x":             "code/x",
		"/home/node/workspace/src/a.go": "src/a.go",
		"/code/./x":                     "x",
		"code/x":                        "code/x",
		"...":                           "...",
		"a..b":                          "a..b",
		strings.Repeat("n", 255):        strings.Repeat("n", 255),
	} {
		if got, err := Clean(in); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestCleanRefusesAndSaysWhy(t *testing.T) {
	for in, why := range map[string]string{
		"..":                              `".."`,
		"a/../b":                          `".."`,
		"/workspace/..":                   `".."`,
		"/etc/passwd":                     "/workspace",
		"/":                               "/workspace",
		"/workspacex/a":                   "/workspace",
		"a\x00b":                          "NUL",
		"a\nb":                            "line break",
		"/workspace/a\r":                  "line break",
		"a\xffb":                          "UTF-8",
		strings.Repeat("n", 256):          "255",
		strings.Repeat("nn/", 1500):       "4096",
		strings.Repeat("d/", MaxDepth+1):  "128",
		"/home/node/workspace2":           "/workspace",
		"/home/node":                      "/workspace",
		"\\..\\..":                        "",
		"/workspace/" + "a/../../etc/pas": `".."`,
	} {
		_, err := Clean(in)
		if why == "" { // a backslash is a character like any other
			if err != nil {
				t.Errorf("%q: %v", in, err)
			}
			continue
		}
		if !errors.Is(err, runtime.ErrInvalid) || !strings.Contains(err.Error(), why) {
			t.Errorf("%.40q: %v; want it to name %s", in, err, why)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, seed := range []string{"", "/", "a/b", "/workspace/x", "/code/../x", "..", "//code//a/./b", "a\x00", "/home/node/workspace/\u00e4"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := Clean(in)
		if err != nil {
			if !errors.Is(err, runtime.ErrInvalid) {
				t.Fatalf("%q: %v", in, err)
			}
			return
		}
		if path.IsAbs(got) || got != path.Clean(got) || got == ".." || strings.HasPrefix(got, "../") || strings.ContainsAny(got, "\x00\r\n") {
			t.Fatalf("%q became %q", in, got)
		}
		if again, err := Clean(got); err != nil || again != got {
			t.Fatalf("%q became %q, then %q (%v)", in, got, again, err)
		}
	})
}
