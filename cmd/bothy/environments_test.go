package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
	"github.com/bothy-computer/bothy/runtime/network/networktest"
)

// index is what installers of these tests find outside: Python packages that
// are a version and nothing else, and runtimes that tell one.
type index struct{ url string }

// newIndex serves one at an address that computers can reach.
func newIndex(t *testing.T) index {
	t.Helper()
	world := networktest.NewOutside(t)
	listener := world.Listen(t)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /simple/{name}/", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		if strings.Contains(name, "unknown") {
			http.NotFound(w, r)
			return
		}
		file := wheelName(name)
		fmt.Fprintf(w, `<!DOCTYPE html><html><body><a href="/wheels/%s/%s">%s</a></body></html>`, name, file, file)
	})
	mux.HandleFunc("GET /wheels/{name}/{file}", func(w http.ResponseWriter, r *http.Request) {
		content, err := wheel(r.PathValue("name"))
		serve(w, content, err)
	})
	mux.HandleFunc("GET /runtimes/{language}/{version}", func(w http.ResponseWriter, r *http.Request) {
		content, err := runtimeArchive(r.PathValue("language"), strings.TrimSuffix(r.PathValue("version"), ".tar.gz"))
		serve(w, content, err)
	})
	server := &http.Server{Handler: mux}
	var work sync.WaitGroup
	work.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() { server.Close(); work.Wait() })
	return index{url: fmt.Sprintf("http://%s:%d", world.Hosts[0], listener.Addr().(*net.TCPAddr).Port)}
}

// serve answers with a file; one that could not be made shows in the build.
func serve(w http.ResponseWriter, content []byte, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(content) // the installer complains if it is not whole
}

func wheelName(name string) string {
	return strings.ReplaceAll(name, "-", "_") + "-1.0-py3-none-any.whl"
}

// wheel is a package of one module of its name.
func wheel(name string) ([]byte, error) {
	module := strings.ReplaceAll(name, "-", "_")
	info := module + "-1.0.dist-info/"
	files := [][2]string{
		{module + ".py", "__version__ = '1.0'\n"},
		{info + "METADATA", "Metadata-Version: 2.1\nName: " + name + "\nVersion: 1.0\n"},
		{info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
	}
	record := ""
	for _, f := range files {
		record += f[0] + ",,\n"
	}
	files = append(files, [2]string{info + "RECORD", record + info + "RECORD,,\n"})
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, f := range files {
		w, err := z.Create(f[0])
		if err == nil {
			_, err = io.WriteString(w, f[1])
		}
		if err != nil {
			return nil, err
		}
	}
	err := z.Close()
	return out.Bytes(), err
}

// runtimeArchive is a language that says it has a version, and runs the one of
// the base image.
func runtimeArchive(language, version string) ([]byte, error) {
	program, says, runs := "python3", "Python "+version+".7", "/usr/bin/python3"
	if language == "nodejs" {
		program, says, runs = "node", "v"+version+".1.0", "/usr/bin/node"
	}
	script := fmt.Sprintf("#!/bin/sh\nif [ \"$1\" = --version ]; then echo '%s'; else exec %s \"$@\"; fi\n", says, runs)
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	err := w.WriteHeader(&tar.Header{Name: path.Join(language, "bin", program), Mode: 0o755, Size: int64(len(script)), Typeflag: tar.TypeReg, ModTime: time.Unix(0, 0)})
	if err == nil {
		_, err = io.WriteString(w, script)
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = z.Close()
	}
	return out.Bytes(), err
}

// config makes nodes install from the index.
func (i index) config() string {
	host := strings.TrimPrefix(i.url, "http://")
	host, _, _ = strings.Cut(host, ":")
	return fmt.Sprintf(`build:
  memory: 1GiB
  disk: 4GiB
  env: {PIP_INDEX_URL: "%s/simple", PIP_TRUSTED_HOST: "%s"}
  archives: {python: "%s/runtimes/python/{version}.tar.gz", nodejs: "%s/runtimes/nodejs/{version}.tar.gz"}
`, i.url, host, i.url, i.url)
}

// page is the environments' page as its reader follows it, at one node.
type page struct {
	t *testing.T
	p *process
	c *client.Client
}

// environment makes a request that answers with an environment.
func (g page) environment(method, path string, body any, want int) wire.Environment {
	g.t.Helper()
	var reply wire.OneEnvironment
	g.p.api(method, path, body, want, &reply)
	return reply.Environment
}

// ready waits until an environment's image is there.
func (g page) ready(id string) wire.BuildStatus {
	g.t.Helper()
	s := built(g.t, g.c, id)
	if s.BuildStatus != "ready" || s.ImageTag == nil || s.LastBuildAt == nil || s.BuildError != nil {
		var logs wire.BuildLogs
		g.p.api("GET", "/environments/"+id+"/build/logs", nil, http.StatusOK, &logs)
		g.t.Fatalf("%+v %s\n%s", s, or(s.BuildError), logs.BuildLogs)
	}
	return s
}

// The page of environments, request by request, with builds that really build:
// every one ends ready, and what was installed runs in the computer.
func TestThePageOfEnvironments(t *testing.T) {
	t.Parallel()
	nodes := launchWith(t, newIndex(t).config(), "n1", "n2")
	g := page{t, nodes[1], clientOf(t, nodes[1])}
	g.quickStart()
	e := g.create()
	g.lists(e)
	g.runtimes(e)
	g.packages(e)
	g.dockerfile(e)
	g.builds(e)
	g.runs(e)
	g.ends(e)
}

// quickStart is the page's first example: three requests in a row.
func (g page) quickStart() {
	var e wire.Environment
	g.p.api("GET", "/environments/default", nil, http.StatusOK, &e)
	at := "/environments/" + e.ID
	g.p.api("PUT", at+"/runtimes", map[string]any{"runtimes": map[string]string{"python": "3.12", "nodejs": "22"}}, http.StatusOK, nil)
	g.p.api("POST", at+"/packages", map[string]any{"type": "python", "packages": []string{"pandas", "numpy"}}, http.StatusOK, nil)
	var started wire.StartedBuild
	g.p.api("POST", at+"/build", nil, http.StatusOK, &started)
	if started.Message != "Build started" || started.EnvironmentID != e.ID || started.BuildStatus != "building" {
		g.t.Fatalf("%+v", started)
	}
	g.ready(e.ID)
}

func (g page) create() wire.Environment {
	g.t.Helper()
	e := g.environment("POST", "/environments", map[string]any{"name": "data-science", "description": "Environment for data science tasks",
		"runtimes": map[string]string{"python": "3.12"},
		"packages": map[string]any{"system": []string{"cowsay"}, "python": []string{"pandas", "numpy", "matplotlib"}}}, http.StatusCreated)
	if e.BuildStatus != "pending" || e.IsDefault || !e.IsActive || len(e.Packages.Python) != 3 || e.Runtimes["python"] != "3.12" {
		g.t.Fatalf("%+v", e)
	}
	g.ready(e.ID)
	return e
}

func (g page) lists(e wire.Environment) {
	g.t.Helper()
	var list wire.List[wire.Environment]
	g.p.api("GET", "/environments", nil, http.StatusOK, &list)
	if list.Object != "list" || list.TotalCount != 2 || list.HasMore || list.Data[1].ID != e.ID || list.Data[1].BuildStatus != "ready" {
		g.t.Fatalf("%+v", list)
	}
	if got := g.environment("GET", "/environments/"+e.ID, nil, http.StatusOK); got.ImageTag == nil || got.BuildHash == nil {
		g.t.Fatalf("%+v", got)
	}
	if got := g.environment("PATCH", "/environments/"+e.ID, map[string]any{"description": "New"}, http.StatusOK); got.BuildStatus != "ready" {
		g.t.Fatalf("what builds nothing made it %s", got.BuildStatus)
	}
	if got := g.environment("POST", "/environments/"+e.ID+"/set-default", nil, http.StatusOK); !got.IsDefault {
		g.t.Fatalf("%+v", got)
	}
}

func (g page) runtimes(e wire.Environment) {
	g.t.Helper()
	var all wire.AvailableRuntimes
	g.p.api("GET", "/environments/runtimes/available", nil, http.StatusOK, &all)
	if fmt.Sprint(all.Runtimes["nodejs"], all.Runtimes["rust"]) != "[18 20 22] [stable 1.75 1.76 1.77]" {
		g.t.Fatalf("%v", all)
	}
	at := "/environments/" + e.ID + "/runtimes"
	if got := g.environment("PUT", at, map[string]any{"runtimes": map[string]string{"python": "3.12", "nodejs": "20"}}, http.StatusOK); got.BuildStatus != "pending" {
		g.t.Fatalf("it is %s", got.BuildStatus)
	}
	var have wire.Runtimes
	g.p.api("GET", at, nil, http.StatusOK, &have)
	if have.Runtimes["nodejs"] != "20" || have.Runtimes["python"] != "3.12" {
		g.t.Fatalf("%v", have)
	}
}

func (g page) packages(e wire.Environment) {
	g.t.Helper()
	at := "/environments/" + e.ID + "/packages"
	var changed wire.ChangedPackages
	g.p.api("POST", at, map[string]any{"type": "python", "packages": []string{"requests", "beautifulsoup4"}}, http.StatusOK, &changed)
	if fmt.Sprint(changed.Installed) != "[requests beautifulsoup4]" {
		g.t.Fatalf("%+v", changed)
	}
	g.p.api("DELETE", at+"/python/requests", nil, http.StatusOK, &changed)
	var have wire.EnvironmentPackages
	g.p.api("GET", at, nil, http.StatusOK, &have)
	if fmt.Sprint(have.Packages) != "{[cowsay] [pandas numpy matplotlib beautifulsoup4] []}" {
		g.t.Fatalf("%v", have)
	}
}

func (g page) dockerfile(e wire.Environment) {
	g.t.Helper()
	at := "/environments/" + e.ID + "/dockerfile"
	g.p.api("PUT", at, map[string]any{"dockerfileExtensions": "RUN pip install custom-package"}, http.StatusOK, nil)
	var d wire.Dockerfile
	g.p.api("GET", at, nil, http.StatusOK, &d)
	if d.BaseImage != "testbase-base" || !strings.HasPrefix(d.EffectiveDockerfile, "FROM testbase-base\nWORKDIR /workspace\n") ||
		!strings.HasSuffix(d.EffectiveDockerfile, "RUN pip install custom-package\n") {
		g.t.Fatalf("%+v", d)
	}
	var checked wire.CheckedDockerfile
	g.p.api("POST", at+"/validate", map[string]any{"dockerfileExtensions": "RUN pip install package"}, http.StatusOK, &checked)
	if !checked.Valid || len(checked.Warnings) != 0 {
		g.t.Fatalf("%+v", checked)
	}
}

func (g page) builds(e wire.Environment) {
	g.t.Helper()
	at := "/environments/" + e.ID + "/build"
	var started wire.StartedBuild
	g.p.api("POST", at, nil, http.StatusOK, &started)
	if started.BuildStatus != "building" {
		g.t.Fatalf("%+v", started)
	}
	g.p.api("POST", at, nil, http.StatusConflict, nil)
	status := g.ready(e.ID)
	if !strings.HasPrefix(*status.ImageTag, "env-") || !strings.HasSuffix(*status.ImageTag, ":"+(*status.BuildHash)[:12]) {
		g.t.Fatalf("%+v", status)
	}
	g.p.api("POST", at, nil, http.StatusOK, &started)
	if started.Message != "Environment is up to date" || started.BuildStatus != "ready" {
		g.t.Fatalf("%+v", started)
	}
	var logs wire.BuildLogs
	g.p.api("GET", at+"/logs", nil, http.StatusOK, &logs)
	if !strings.HasPrefix(logs.BuildLogs, "STEP 1/") || logs.BuildStatus != "ready" {
		g.t.Fatalf("%+v", logs)
	}
	var tested wire.TestedBuild
	g.p.api("POST", at+"/test", nil, http.StatusOK, &tested)
	if !tested.Success || *tested.Message != "Build test completed successfully" || *tested.ImageTag != *status.ImageTag || strings.Contains(tested.Logs, "Using cache") {
		g.t.Fatalf("%+v", tested)
	}
}

// runs tries what was installed.
func (g page) runs(e wire.Environment) {
	g.t.Helper()
	started, err := g.c.Environments().Start(g.t.Context(), e.ID)
	if err != nil {
		g.t.Fatal(err)
	}
	out, code := g.p.bothy("exec", started.ContainerID, "--", "sh", "-c",
		"python3 --version; node --version; /usr/games/cowsay hi | head -2 | tail -1; python3 -c 'import pandas, numpy, matplotlib, beautifulsoup4, custom_package; print(pandas.__version__)'; env | grep -c PIP_INDEX_URL")
	if want := "Python 3.12.7\nv20"; code != 1 || !strings.HasPrefix(out, want) || !strings.HasSuffix(out, "< hi >\n1.0\n0\n") {
		g.t.Fatalf("the computer says %q, %d", out, code)
	}
}

func (g page) ends(e wire.Environment) {
	g.t.Helper()
	at := "/environments/" + e.ID
	g.p.api("DELETE", at, nil, http.StatusOK, nil)
	if got := g.environment("GET", at, nil, http.StatusOK); got.IsActive || got.IsDefault {
		g.t.Fatalf("%+v", got)
	}
	g.p.api("POST", at+"/build", nil, http.StatusConflict, nil)
	if got := g.environment("PATCH", at, map[string]any{"isActive": true}, http.StatusOK); got.BuildStatus != "ready" {
		g.t.Fatalf("restored it is %s", got.BuildStatus)
	}
	g.p.api("DELETE", at+"?hard=true", nil, http.StatusOK, nil)
	g.p.api("GET", at, nil, http.StatusNotFound, nil)
}
