package build

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/runtime"
)

func TestCheckPackage(t *testing.T) {
	tests := map[Kind]struct{ legal, illegal []string }{
		System: {
			legal: []string{"ffmpeg", "g++", "libstdc++6", "python3.11", "libc6:i386", "ffmpeg=7:5.1.4-0+deb12u1", "r-base", "0ad"},
			illegal: []string{
				"", "a", "-y", "--allow-downgrades", "Ffmpeg", "ffmpeg imagemagick", "ffmpeg;reboot", "ffmpeg\nRUN x", "$(id)", "`id`", "a'b", "ffmpeg/stable",
				"./x.deb", "passwd-", "ffmpeg=", "ffmpeg=1 2", "lib*", "ffmpeg\\", "ffmpeg\x00", "fümpeg", strings.Repeat("a", maxPackageBytes+1),
			},
		},
		Python: {
			legal: []string{
				"pandas", "A", "beautifulsoup4", "zope.interface", "ruamel_yaml", "requests[socks]", "pandas[excel,aws]", "numpy>=1.26", "numpy ~= 1.26",
				"numpy>=1,<2", "numpy>=1, !=1.5.*, <2", "torch==2.1.0+cu118", "x===1!2.0", "pip [a, b] >= 2",
			},
			illegal: []string{
				"", "-r", "--index-url=http://x", "git+https://x/y", "https://x/y.whl", "./here", "../x", "/abs", "x.whl", "x.tar.gz", "x.zip", "pandas @ https://x",
				"pandas; python_version<'3'", "pandas>=", "pandas>=1,", "pandas[", "pandas[]", "pandas>=1'", "pandas>=$X", "pandas\n", "-e", "pandas-", "pandas>=1.tar.gz",
			},
		},
		Node: {
			legal: []string{
				"typescript", "tsx", "@types/node", "@types/node@22", "lodash@^4.17.0", "a@latest", "x@>=1 <2", "x@1 || 2", "x@1.x", "x@*", "JSONStream", "left-pad@1.0.0-rc.1+b",
			},
			illegal: []string{
				"", "-g", "--registry=http://x", "user/repo", "github:user/repo", "git+ssh://x", "http://x/y.tgz", "./x", "file:x", "x.tgz", "x@file:y", "x@npm:y", "x@git://y",
				"x@./y", "x@y.tgz", "@types", "@types/", "@/node", "@a/b/c", "x@", "x\nRUN", "x@1'", "x@$(id)", "_x", ".x", "x y", "x@~/y",
			},
		},
	}
	for kind, tt := range tests {
		for _, name := range tt.legal {
			if err := CheckPackage(kind, name); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		}
		for _, name := range tt.illegal {
			if err := CheckPackage(kind, name); !errors.Is(err, runtime.ErrInvalid) || len(err.Error()) > 300 {
				t.Errorf("%s package %.50q: %v", kind, name, err)
			}
		}
	}
	if err := CheckPackage("perl", "x"); err == nil || !strings.Contains(err.Error(), "Invalid package type") {
		t.Error(err)
	}
	if err := CheckPackages(Node, make([]string, maxPackages+1)); !errors.Is(err, runtime.ErrInvalid) {
		t.Error(err)
	}
}

// Whatever text is let through is one word, of no shell's or Dockerfile's signs.
func TestPackageNamesAreWords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]Kind{System, Python, Node}).Draw(t, "kind")
		name := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z@/]{0,5}[ -~\n]{0,8}`)).Draw(t, "name")
		if CheckPackage(kind, name) == nil && (name[0] == '-' || strings.ContainsAny(name, "\n\r\t'\"\\`$&;(){}#\x00")) {
			t.Fatalf("%s package %q", kind, name)
		}
	})
}

func TestCheckRuntime(t *testing.T) {
	available := DefaultRuntimes()
	available["odd"] = []string{"1;2"}
	for language, version := range map[string]string{"python": "3.14", "": "", "perl": "5", "rust": "Stable", "odd": "1;2", "nodejs": "22 "} {
		if err := CheckRuntime(available, language, version); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("%s %s: %v", language, version, err)
		}
	}
	for language, versions := range DefaultRuntimes() {
		for _, version := range versions {
			if err := CheckRuntime(available, language, version); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestCheckBase(t *testing.T) {
	for _, name := range []string{"host", "testbase-base", "docker.io/library/python:3.12", "localhost:5000/x/y@sha256:" + strings.Repeat("0", 64), "env-x:0a", "gcr.io/A/b:latest"} {
		if err := CheckBase(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "a b", "a\nRUN x", "$X", "${X}", "--platform=x", "a\tb", "#x", "a\\", "ä", strings.Repeat("a", maxBaseBytes+1)} {
		if err := CheckBase(name); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestInstallersValidate(t *testing.T) {
	for template, legal := range map[string]bool{
		"https://mirror.example/{version}/{arch}.tar.gz": true, "http://127.0.0.1:8080/x.tar.gz": true,
		"": false, "file:///etc/passwd": false, "/x.tar.gz": false, "https://x/a b": false, "https://x/'": false, "https://x/\n": false, "https://": false,
	} {
		if err := (Installers{Archives: map[string]string{"go": template}}).Validate(); (err == nil) != legal {
			t.Errorf("%q: %v", template, err)
		}
	}
}

func TestAReferenceNamesARegistryATagOrADigest(t *testing.T) {
	for name, want := range map[string]bool{
		"python:3.12": true, "docker.io/library/python": true, "registry.lab:5000/team/app": true, "localhost/app": true, "library/python:3": true,
		"python@sha256:00": true, "debian": false, "host": false, "testbase-base": false, "library/python": false, "a/b/c": false, "": false,
	} {
		if IsReference(name) != want {
			t.Errorf("%s: not %v", name, want)
		}
	}
}
