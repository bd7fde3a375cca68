package main

import (
	"encoding/json"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/actors/agent/catalog"
)

// examined runs doctor as a user would, with more in its environment.
func examined(t *testing.T, env []string, args ...string) (all map[string][]finding, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, append([]string{"doctor", "-o", "json"}, args...)...)
	cmd.Env = append(childEnv(os.Environ(), ""), env...)
	out, _ := cmd.Output()
	var list []finding
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	all = map[string][]finding{}
	for _, f := range list {
		all[f.Check] = append(all[f.Check], f)
		if f.Verdict == verdictFailed && f.Remedy == "" {
			t.Errorf("nothing is said about what to do: %+v", f)
		}
	}
	return all, cmd.ProcessState.ExitCode()
}

func says(all []finding, verdict, text string) bool {
	for _, f := range all {
		if f.Verdict == verdict && strings.Contains(f.Detail, text) {
			return true
		}
	}
	return false
}

// TestDoctorAndTop look at a node that runs, then at its machine without it,
// then at a machine that lacks something.
func TestDoctorAndTop(t *testing.T) {
	t.Parallel()
	vendor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/models" || r.Header.Get("Authorization") != "Bearer good" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer vendor.Close()
	p := launch(t, "hut")[0]
	flags := p.args[1:]
	env := []string{urlVariable + "=" + p.url, keyVariable + "=" + p.key(), "OPENAI_API_KEY=good", "OPENAI_BASE_URL=" + vendor.URL + "/v1"}
	all, code := examined(t, env, flags...)
	if code != 0 {
		t.Errorf("exit %d of a node that runs: %+v", code, all)
	}
	for check, text := range map[string]string{"root": "root", "kernel": "overlay", "cgroups": "control groups", "programs": "runc", "data": p.dir,
		"disk": "free", "ports": "in use while the node runs", "cluster": "hut is ready", "models": "openai answers at " + vendor.URL} {
		if !says(all[check], verdictGood, text) {
			t.Errorf("%s: %+v; want %q", check, all[check], text)
		}
	}
	p.top()
	p.stop()

	taken, err := net.Listen("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	env[2] = "OPENAI_API_KEY=bad"
	all, code = examined(t, append(env, "PATH=/nowhere"), flags...)
	if code == 0 {
		t.Error("exit 0 without runc, with a port that another has and a key that is refused")
	}
	for check, text := range map[string]string{"ports": "another program listens", "programs": "no runc", "models": "refuses the key"} {
		if !says(all[check], verdictFailed, text) {
			t.Errorf("%s: %+v; want %q", check, all[check], text)
		}
	}
	if !says(all["ports"], verdictGood, "is free") || !says(all["cluster"], verdictWarning, "no node answers") {
		t.Errorf("%+v %+v", all["ports"], all["cluster"])
	}
}

// TestDoctorMends has it make what is missing, and look again.
func TestDoctorMends(t *testing.T) {
	dir := filepath.Join(scratchDir(t), "new")
	flags := []string{"--data-dir", dir, "--http", "127.0.0.1:0"}
	if all, _ := examined(t, nil, flags...); !says(all["data"], verdictWarning, "not there yet") {
		t.Errorf("%+v", all["data"])
	}
	all, _ := examined(t, nil, append(flags, "--fix")...)
	if !says(all["data"], verdictGood, dir) || !all["data"][0].Fixed {
		t.Errorf("%+v", all["data"])
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o711 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestStoresAreTried has one that works, one that cannot be written, and none.
func TestStoresAreTried(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for place, verdict := range map[string]string{"": verdictWarning, filepath.Join(dir, "store"): verdictGood, filepath.Join(file, "store"): verdictFailed, filepath.Join(dir, "no", "store"): verdictFailed} {
		found := lookBlobs(t.Context(), &doctor{config: Config{Blob: BlobConfig{Directory: place}}})
		if len(found) != 1 || found[0].Verdict != verdict {
			t.Errorf("%q: %+v", place, found)
		}
	}
	err := fs.WalkDir(os.DirFS(filepath.Join(dir, "store")), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			t.Errorf("%s was left behind", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestKernelReleases(t *testing.T) {
	for release, is := range map[string]bool{"5.18.0-3-amd64": true, "4.19": true, "5.19": false, "5.19.0-rc1": false, "6.1.0-49-amd64": false, "6.18.44-fc": false, "unknown": false} {
		if older(release, wantedKernel) != is {
			t.Errorf("%s: %v", release, !is)
		}
	}
}

func TestCertificatesThatEnd(t *testing.T) {
	for left, verdict := range map[time.Duration]string{-time.Hour: verdictFailed, time.Hour: verdictWarning, expiresSoon + time.Hour: verdictGood} {
		if f := lasting("it", time.Now().Add(left), "renew it"); f.Verdict != verdict {
			t.Errorf("%s: %+v", left, f)
		}
	}
}

// TestVendorsAreAsked tells each kind of answer, and never the key.
func TestVendorsAreAsked(t *testing.T) {
	t.Setenv("LAB_KEY", "a-secret-key")
	for status, verdict := range map[int]string{200: verdictGood, 404: verdictGood, 401: verdictFailed, 403: verdictFailed, 503: verdictFailed, 0: verdictFailed} {
		lab := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		base := lab.URL
		if status == 0 {
			lab.Close()
			base += "/a-secret-key"
		}
		d := &doctor{config: Config{Models: catalog.Config{Vendors: []catalog.Vendor{{Name: "lab", Protocol: catalog.OpenAIChat, BaseURL: base, KeyVariable: "LAB_KEY"}},
			Models: []catalog.Model{{Name: "m", Vendor: "lab", Free: true}}}}}
		found := lookModels(t.Context(), d)
		if len(found) != 1 || found[0].Verdict != verdict || strings.Contains(found[0].Detail+found[0].Remedy, "a-secret-key") {
			t.Errorf("%d: %+v", status, found)
		}
		lab.Close()
	}
}
