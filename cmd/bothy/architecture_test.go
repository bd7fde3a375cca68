package main

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/bothy-computer/bothy/"

// pack is a package of this module, as `go list` tells it.
type pack struct {
	ImportPath string
	Dir        string
	Doc        string
	GoFiles    []string
	Imports    []string
	Deps       []string
}

// short is the package's path below the module.
func (p pack) short() string { return strings.TrimPrefix(p.ImportPath, module) }

// packages lists every package of the module.
func packages(t *testing.T) []pack {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,GoFiles,Imports,Deps", module+"...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pack
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pack
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// below reports whether a path is root or under it.
func below(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }

// layers says what each part of the house must never reach, even through
// another package, and why. A part's own parts may be narrower.
var layers = map[string]map[string]string{
	"cluster/fault": {
		module + "cluster/state": "kinds of failure stand below everything",
		module + "actors":        "it is a leaf", module + "runtime": "it is a leaf", module + "httpapi": "it is a leaf",
	},
	"cluster/state": {
		module + "actors": "records know nothing of who acts on them", module + "runtime": "records know no machines",
		module + "httpapi": "records know no doors", "github.com/hashicorp/raft": "commands are pure; the adaptor knows raft",
		"github.com/cockroachdb/pebble": "records are kept by whoever holds the store", "net/http": "commands do no I/O",
		"os/exec": "commands do no I/O",
	},
	"cluster": {
		module + "actors": "imports run one way", module + "runtime": "what is agreed and what runs never meet",
		module + "httpapi": "imports run one way", "github.com/gin-gonic/gin": "its home is httpapi",
	},
	"runtime": {
		module + "actors": "imports run one way", module + "cluster": "what runs and what is agreed never meet",
		module + "httpapi": "imports run one way", "github.com/anthdm/hollywood": "drivers are called, they are no actors",
		"github.com/hashicorp/raft": "what runs knows no consensus", "github.com/gin-gonic/gin": "its home is httpapi",
	},
	"runtime/warden": {
		"net/http": "a warden stays small", "github.com/prometheus/client_golang": "a warden stays small",
		"google.golang.org/protobuf": "a warden stays small",
	},
	"actors": {
		module + "httpapi": "imports run one way", "github.com/gin-gonic/gin": "its home is httpapi",
	},
	"actors/ledger": {
		"github.com/anthdm/hollywood": "money is computed by functions", "net/http": "money is computed without I/O",
		module + "cluster": "money is computed from numbers alone",
	},
	"actors/timetable": {
		"github.com/anthdm/hollywood": "times are computed by functions", "net/http": "times are computed without I/O",
		module + "cluster/state": "times are computed from expressions alone",
	},
	"actors/agent": {
		"github.com/anthdm/hollywood": "the loop is a function that an actor turns", "github.com/gin-gonic/gin": "the loop knows no doors",
	},
	"httpapi/wire": {
		module + "actors": "a client needs nothing of the server", module + "cluster": "a client needs nothing of the server",
		module + "runtime": "a client needs nothing of the server", "github.com/gin-gonic/gin": "a client needs nothing of the server",
	},
	"httpapi/client": {
		module + "actors": "a client needs nothing of the server", module + "runtime": "a client needs nothing of the server",
		module + "cluster/state": "a client knows wire types only", "github.com/gin-gonic/gin": "a client needs nothing of the server",
	},
}

func TestImportDirections(t *testing.T) {
	for _, p := range packages(t) {
		for layer, never := range layers {
			if !below(p.short(), layer) {
				continue
			}
			for _, dep := range p.Deps {
				for banned, why := range never {
					if below(dep, strings.TrimSuffix(banned, "/")) {
						t.Errorf("%s reaches %s: %s", p.short(), dep, why)
					}
				}
			}
		}
		if below(p.short(), "actors/agent") || below(p.short(), "actors/ledger") {
			if slices.Contains(p.Deps, module+"actors") {
				t.Errorf("%s reaches actors, which stand on it", p.short())
			}
		}
	}
}

// homes says in which packages alone a dependency is imported, and why there.
// bench sets the bare libraries beside what is built on them.
var homes = map[string]struct {
	in  []string
	why string
}{
	"github.com/anthdm/hollywood":            {[]string{"actors", "cluster/transport"}, "actors live in actors; the Remoter carries their messages"},
	"github.com/hashicorp/raft":              {[]string{"cluster", "bench/bare", "bench/house"}, "consensus is the cluster's; bench reads logs of nodes that have ended"},
	"github.com/hashicorp/raft-wal":          {[]string{"cluster", "bench/bare", "bench/house"}, "consensus is the cluster's; bench reads logs of nodes that have ended"},
	"github.com/hashicorp/memberlist":        {[]string{"cluster"}, "gossip is the cluster's"},
	"github.com/cockroachdb/pebble/v2":       {[]string{"cluster/store"}, "one package knows the disk format"},
	"github.com/gin-gonic/gin":               {[]string{"httpapi"}, "doors translate"},
	"github.com/openai/openai-go/v3":         {[]string{"actors/agent/openai"}, "each vendor's client in its own package"},
	"github.com/anthropics/anthropic-sdk-go": {[]string{"actors/agent/anthropic"}, "each vendor's client in its own package"},
	"github.com/google/go-containerregistry": {[]string{"runtime/image"}, "images come in by one way"},
	"github.com/moby/buildkit":               {[]string{"runtime/build"}, "Dockerfiles are read in one place"},
	"github.com/opencontainers/runtime-spec": {[]string{"runtime/container", "bench/bare"}, "OCI code in its driver"},
	"github.com/minio/minio-go/v7":           {[]string{"runtime/blob"}, "S3 is spoken in one place"},
	"github.com/google/nftables":             {[]string{"runtime/network", "bench/house"}, "one package changes the machine's network; bench keeps nodes apart"},
	"github.com/vishvananda/netlink":         {[]string{"runtime/network", "bench/house"}, "one package changes the machine's network; bench keeps nodes apart"},
	"github.com/miekg/dns":                   {[]string{"runtime/network/resolver"}, "names are resolved in one place"},
	"github.com/spf13/cobra":                 {[]string{"cmd/bothy", "bench"}, "the command line"},
	"github.com/rogpeppe/go-internal":        {[]string{"runtime/workspace"}, "files are compared in one place"},
	"golang.org/x/text":                      {[]string{"cluster/search"}, "what a word is is decided in one place"},
	"golang.org/x/crypto/ssh":                {[]string{"actors", "httpapi/sshgate"}, "who may log in, and the door"},
	"github.com/pkg/sftp":                    {[]string{"runtime/guest/sftp"}, "files are served from inside"},
	"github.com/adhocore/gronx":              {[]string{"actors/timetable"}, "cron expressions are read in one place"},
	"go.opentelemetry.io/otel":               {[]string{"cluster/trace"}, "spans are made in one place"},
	"gopkg.in/yaml.v3":                       {[]string{"cmd/bothy", "httpapi"}, "configuration, and the OpenAPI document"},
}

func TestEachDependencyHasOneHome(t *testing.T) {
	for _, p := range packages(t) {
		for _, dep := range p.Imports {
			for name, home := range homes {
				at := func(root string) bool { return below(p.short(), root) }
				if below(dep, name) && !slices.ContainsFunc(home.in, at) {
					t.Errorf("%s imports %s, whose home is %s: %s", p.short(), dep, strings.Join(home.in, ", "), home.why)
				}
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	banned := []string{"util", "utils", "common", "helper", "helpers", "types", "models", "base", "shared", "misc"}
	for _, p := range packages(t) {
		if p.Doc == "" && len(p.GoFiles) > 0 {
			t.Errorf("%s has no package comment", p.short())
		}
		if slices.Contains(banned, filepath.Base(p.ImportPath)) {
			t.Errorf("%s is named for no noun", p.short())
		}
	}
}

// Bounds of what is comfortable to read.
const (
	maxFileLines     = 500
	maxTestFileLines = 800
	maxFuncLines     = 60
	maxTestFuncLines = 100 // tables are long
)

// source is one file of Go.
type source struct {
	path   string // below the root
	lines  int
	test   bool
	made   bool // by a generator
	syntax *ast.File
	set    *token.FileSet
}

// sources parses every Go file of the repository.
func sources(t *testing.T) []source {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var all []source
	err = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", "data", "bin"}, d.Name()):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		short, err := filepath.Rel(root, path)
		all = append(all, source{short, set.File(file.Pos()).LineCount(), strings.HasSuffix(path, "_test.go"), ast.IsGenerated(file), file, set})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestNoFileOrFunctionIsLong(t *testing.T) {
	for _, s := range sources(t) {
		if s.made {
			continue
		}
		most, mostFunc := maxFileLines, maxFuncLines
		if s.test {
			most, mostFunc = maxTestFileLines, maxTestFuncLines
		}
		if s.lines > most {
			t.Errorf("%s has %d lines; split it by noun below %d", s.path, s.lines, most)
		}
		for _, d := range s.syntax.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			lines := s.set.Position(f.End()).Line - s.set.Position(f.Pos()).Line + 1
			if lines > mostFunc {
				t.Errorf("%s: %s has %d lines; the most is %d", s.path, f.Name.Name, lines, mostFunc)
			}
		}
	}
}

// TestMetricsAreMadeForEachNode keeps collectors out of package variables, so
// that one process can hold several nodes, and all in files of one name.
func TestMetricsAreMadeForEachNode(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || s.made {
			continue
		}
		for _, d := range s.syntax.Decls {
			if v, ok := d.(*ast.GenDecl); ok && v.Tok == token.VAR {
				for _, name := range uses(v, "prometheus", "promauto") {
					if collector(name) {
						t.Errorf("%s: a package variable holds a collector (%s)", s.path, name)
					}
				}
			}
		}
		if filepath.Base(s.path) == "metrics.go" {
			continue
		}
		for _, name := range uses(s.syntax, "prometheus", "promauto") {
			if collector(name) {
				t.Errorf("%s makes a collector (%s), whose home is metrics.go", s.path, name)
			}
		}
	}
}

// collector reports whether a function of the library makes something that
// counts. Buckets and descriptions hold no counts.
func collector(name string) bool {
	return strings.Contains(name, ".New") && !strings.HasSuffix(name, "Registry") && !strings.HasSuffix(name, ".NewDesc") ||
		strings.HasPrefix(name, "promauto.")
}

// uses lists what a piece of syntax takes from packages.
func uses(node ast.Node, packages ...string) (found []string) {
	ast.Inspect(node, func(n ast.Node) bool {
		if x, ok := n.(*ast.SelectorExpr); ok {
			if from, ok := x.X.(*ast.Ident); ok && slices.Contains(packages, from.Name) {
				found = append(found, from.Name+"."+x.Sel.Name)
			}
		}
		return true
	})
	return found
}
