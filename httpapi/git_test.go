package httpapi_test

import (
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const gitToken = "s3cret-token"

// gitServer serves a repository by git's own program to who knows the token.
func gitServer(t *testing.T) (url string) {
	t.Helper()
	dir := t.TempDir()
	command(t, dir, "git", "init", "-q", "--bare", "-b", "main", "project.git")
	command(t, dir, "git", "-C", "project.git", "config", "http.receivepack", "true")
	where, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	backend := &cgi.Handler{Path: filepath.Join(strings.TrimSpace(string(where)), "git-http-backend"),
		Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=x"}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, ok := r.BasicAuth(); !ok || password != gitToken {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/project.git"
}

func command(t *testing.T, dir string, argv ...string) {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v, %s", argv, err, out)
	}
}

func TestGit(t *testing.T) {
	t.Setenv("HOME", t.TempDir()) // no configuration of whoever runs the test
	url := gitServer(t)
	h := doortest.Open(t)
	c := as(t, h, h.FullKey())
	withUser := strings.Replace(url, "://", "://bot:"+gitToken+"@", 1)
	var env wire.OneEnvironment
	c.do("POST", "/environments", map[string]any{"name": "e", "secrets": []map[string]string{{"key": "GIT_CREDENTIALS", "value": withUser + "\n"}}}).is(201).into(&env)
	at, old := "/environments/"+env.Environment.ID+"/git", "/git/"+env.Environment.ID
	var status wire.GitStatus
	c.do("GET", at+"/status", nil).is(200).into(&status)
	if status.IsGitRepo || status.Message == nil {
		t.Fatalf("an empty workspace: %+v", status)
	}
	c.do("POST", at+"/clone", map[string]any{"repoUrl": url, "token": "wrong", "targetPath": "no"}).refused(400, "Authentication failed")
	var done wire.GitDone
	c.do("POST", at+"/clone", map[string]any{"repoUrl": url, "token": gitToken}).is(200).into(&done)
	if *done.Path != "project" {
		t.Fatalf("%+v", done)
	}
	dir := map[string]any{"path": "project"}
	with := func(more map[string]any) map[string]any {
		for k, v := range dir {
			more[k] = v
		}
		return more
	}
	work := func(script string) {
		t.Helper()
		var done wire.RunReply
		c.do("POST", "/threads", map[string]any{"environmentId": env.Environment.ID, "content": "```bash\ncd project\n" + script + "\n```\n", "stream": false}).is(200).into(&done)
	}
	// A hook that would tell what it sees.
	work("echo one > a.txt; echo two > b.txt; printf '#!/bin/sh\\nenv > stolen\\n' > .git/hooks/pre-push; chmod +x .git/hooks/pre-push; git config credential.helper 'store --file=kept'")
	c.do("POST", at+"/stage", with(map[string]any{"files": []string{"a.txt"}})).is(200)
	c.do("GET", at+"/status?path=project", nil).is(200).into(&status)
	if !status.IsGitRepo || *status.Branch != "main" || *status.RemoteURL != url || len(status.StagedFiles) != 1 || status.StagedFiles[0] != (wire.GitFile{Status: "A", Path: "a.txt"}) || len(status.UnstagedFiles) != 1 {
		t.Fatalf("%+v", status)
	}
	c.do("POST", at+"/commit", with(map[string]any{"message": "first"})).is(200).into(&done)
	if done.SHA == nil || done.Commit.Message != "first" || done.Commit.FilesChanged != 1 {
		t.Fatalf("%+v", done)
	}
	c.do("POST", at+"/commit", with(map[string]any{"message": "nothing staged"})).refused(400, "git")
	c.do("POST", at+"/push", dir).is(200).into(&done)
	if done.Push == nil || done.Push.Commits != 1 || done.Push.Branch != "main" {
		t.Fatalf("%+v", done)
	}
	c.do("POST", at+"/branch", with(map[string]any{"name": "topic"})).is(200)
	c.do("POST", old+"/commit?path=project", map[string]any{"message": "second", "author": "Ann <ann@example.org>"}).is(200).into(&done)
	var diff wire.GitDiff
	c.do("GET", old+"/commits/"+*done.SHA+"/diff?path=project", nil).is(200).into(&diff)
	if diff.Stats.FilesChanged != 1 || diff.Diffs[0].Path != "b.txt" || diff.Diffs[0].Additions != 1 || !strings.Contains(diff.Diffs[0].Changes, "+two") {
		t.Fatalf("%+v", diff)
	}
	work("echo three >> a.txt")
	c.do("GET", old+"/diff?path=project", nil).is(200).into(&diff)
	if diff.Stats.Insertions != 1 || diff.Diffs[0].Path != "a.txt" {
		t.Errorf("%+v", diff)
	}
	c.do("POST", at+"/stage", with(map[string]any{"all": true})).is(200)
	c.do("POST", at+"/unstage", with(map[string]any{"all": true})).is(200)
	work("git checkout -q a.txt")
	c.do("POST", old+"/push?path=project", map[string]any{}).is(200)
	c.do("PUT", at+"/branch", with(map[string]any{"name": "main"})).is(200)
	var branches wire.GitBranches
	c.do("GET", at+"/branches?path=project", nil).is(200).into(&branches)
	if *branches.CurrentBranch != "main" || strings.Join(branches.Branches, " ") != "main topic origin/main origin/topic" {
		t.Errorf("%+v", branches)
	}
	var commits wire.GitCommits
	c.do("GET", at+"/commits?path=project&limit=5", nil).is(200).into(&commits)
	if len(commits.Commits) != 1 || commits.Commits[0].Message != "first" {
		t.Errorf("%+v", commits)
	}
	nowhere(t, h, gitToken)
	for name, body := range map[string]map[string]any{"name must not begin": {"name": "-x"}, "Missing required field: name": {}} {
		c.do("POST", at+"/branch", with(body)).refused(400, name)
	}
	c.do("POST", at+"/clone", map[string]any{"repoUrl": "ext::sh -c x"}).refused(400, "repoUrl")
	c.do("GET", at+"/status?path=../x", nil).refused(400, "path")
	_, stranger := h.NewAccount("other", 1_000_000)
	as(t, h, stranger).do("GET", at+"/status", nil).refused(404, "not found")
	as(t, h, stranger).do("POST", old+"/push", map[string]any{}).refused(404, "not found")
}

// nowhere looks for a secret in every file of the house's computers.
func nowhere(t *testing.T, h *doortest.House, secret string) {
	t.Helper()
	all, err := h.Driver.List(t.Context())
	if err != nil || len(all) == 0 {
		t.Fatalf("%d computers, %v", len(all), err)
	}
	for _, one := range all {
		root, err := h.Driver.Workspace(t.Context(), one.Epoch, one.ID)
		if err != nil {
			t.Fatal(err)
		}
		err = filepath.WalkDir(root.Path, func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			if text, err := os.ReadFile(path); err != nil || strings.Contains(string(text), secret) {
				t.Errorf("%s holds the secret, or %v", path, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
