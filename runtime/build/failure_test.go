package build

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestStepFailure(t *testing.T) {
	tests := map[string]struct{ output, want string }{
		"apt": {
			"Reading package lists...\nBuilding dependency tree...\nE: Unable to locate package nosuch\n",
			"Package not found: nosuch: E: Unable to locate package nosuch",
		},
		"apt beside what it was at": {"Reading state information...E: Unable to locate package nosuch\n", "Package not found: nosuch: E: Unable to locate package nosuch"},
		"apt without a candidate":   {"E: Package 'python2' has no installation candidate\n", "Package not found: python2: E: Package 'python2' has no installation candidate"},
		"apt without the version":   {"E: Version '9' for 'curl' was not found\n", "Package not found: curl: E: Version '9' for 'curl' was not found"},
		"apk":                       {"ERROR: unable to select packages:\n  nosuch (no such package):\n    required by: world[nosuch]\n", "Package not found: nosuch: nosuch (no such package):"},
		"pip": {
			"ERROR: Could not find a version that satisfies the requirement nosuch (from versions: none)\nERROR: No matching distribution found for nosuch\n\n[notice] A new release of pip is available\n",
			"Package not found: nosuch: ERROR: No matching distribution found for nosuch",
		},
		"pip in colours": {"\x1b[31mERROR: No matching distribution found for x==9\x1b[0m\x1b[31m\n", "Package not found: x==9: ERROR: No matching distribution found for x==9"},
		"npm": {
			"npm error code E404\nnpm error 404 Not Found - GET https://registry.example/@a%2fb\nnpm error 404\nnpm error 404  '@a/b@*' is not in this registry.\nnpm error 404\nnpm error A complete log of this run can be found in: /root/.npm/_logs/x.log\n",
			"Package not found: @a/b: npm error 404  '@a/b@*' is not in this registry.",
		},
		"npm of today": {
			"npm error 404  The requested resource '@a/b@*' could not be found or you do not have permission to access it.\nnpm error 404\n",
			"Package not found: @a/b: npm error 404  The requested resource '@a/b@*' could not be found or you do not have permission to access it.",
		},
		"pip without a network": {
			"WARNING: Retrying (Retry(total=0, connect=None)) after connection broken\nERROR: No matching distribution found for x\n",
			"Build failed at step 3/7: ERROR: No matching distribution found for x",
		},
		"older npm":           {"npm ERR! 404  'nosuch@latest' is not in this registry.\n", "Package not found: nosuch: npm ERR! 404  'nosuch@latest' is not in this registry."},
		"npm without version": {"npm error notarget No matching version found for tsx@99.\n", "Package not found: tsx@99: npm error notarget No matching version found for tsx@99."},
		"another tool":        {"compiling\nmake: *** [all] Error 2\n\n", "Build failed at step 3/7: make: *** [all] Error 2"},
		"a progress bar":      {"  1%\r 50%\rcurl: (22) 404\r\n", "Build failed at step 3/7: curl: (22) 404"},
		"nothing":             {"\n \n", "Build failed at step 3/7: the step said nothing"},
		"long ago":            {"E: Unable to locate package x\n" + strings.Repeat("going on\n", lastLines), "Build failed at step 3/7: going on"},
		"not text":            {"\xff\x00\a\n", "Build failed at step 3/7: ?"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := StepFailure(3, 7, tt.output); got != tt.want {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestTimeout(t *testing.T) {
	if got := Timeout(90 * time.Second); got != "Build timeout after 90 s" {
		t.Error(got)
	}
}

func FuzzStepFailure(f *testing.F) {
	f.Add("E: Unable to locate package x\x1b[0m\n")
	f.Fuzz(func(t *testing.T, output string) {
		got := StepFailure(1, 2, output)
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\n\r\x1b\x00") || len(got) > 3*maxLineBytes {
			t.Errorf("%q", got)
		}
	})
}
