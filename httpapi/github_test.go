package httpapi_test

import (
	"os"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/httpapi/doortest"
)

// A repository of GitHub's, which git is told is elsewhere, is brought into the
// workspace, and a second time up to date; nobody's work is lost.
func TestGitHubRepositoriesArePrepared(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("GIT_CONFIG_GLOBAL", home+"/.gitconfig") // of the computer too, which is a directory here
	url := gitServer(t)
	elsewhere := strings.TrimSuffix(strings.Replace(url, "://", "://bot:"+gitToken+"@", 1), "project.git")
	if err := os.WriteFile(home+"/.gitconfig", []byte("[user]\n\tname = a\n\temail = a@example.org\n[url \""+elsewhere+"\"]\n\tinsteadOf = https://github.com/acme/\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	push := func(script string) { command(t, work, "sh", "-ec", script) }
	push("git clone -q https://github.com/acme/project.git .; git switch -q -c main; echo one > a; git add a; git commit -qm one; git push -q -u origin main; git switch -q -c topic; git push -q -u origin topic; git switch -q main")
	h := doortest.Open(t)
	c := as(t, h, h.FullKey())
	_, path := c.env(`{"name":"e"}`)
	prepare := func(body string) *reply { return c.do("POST", path+"/github/prepare", body) }
	prepare(`{"repoFullName":"acme/project"}`).is(200).like(`{"success":true,"repoFullName":"acme/project","repoName":"project","branch":"main","path":"project"}`)
	push("echo two > a; git commit -qam two; git push -q")
	prepare(`{"repoFullName":"acme/project","branch":"main"}`).is(200).like(`{"branch":"main"}`)
	if got := string(c.do("GET", path+"/files/project/a", nil).is(200).body); got != "two\n" {
		t.Errorf("it has %q", got)
	}
	prepare(`{"repoFullName":"acme/project","branch":"topic"}`).is(200).like(`{"branch":"topic"}`)
	prepare(`{"repoFullName":"acme/project","branch":"none"}`).refused(400, "none")
	c.uploads(path+"/files/upload", file("a", "mine"), at("project")).is(200)
	prepare(`{"repoFullName":"acme/project","branch":"main"}`).refused(409, "not brought up to date")
	if got := string(c.do("GET", path+"/files/project/a", nil).is(200).body); got != "mine" {
		t.Errorf("the work is lost: %q", got)
	}
	prepare(`{"repoFullName":"rival/project"}`).refused(409, "another repository")
	for _, name := range []string{"", "project", "a/b/c", "-x/y", "a/..", "../a", "a/.git", "https://github.com/a/b"} {
		prepare(`{"repoFullName":"`+name+`"}`).refused(400, "repoFullName")
	}
	prepare(`{"repoFullName":"acme/project","branch":"--upload-pack=x"}`).refused(400, "branch")
	_, stranger := h.NewAccount("other", 1_000_000)
	as(t, h, stranger).do("POST", path+"/github/prepare", `{"repoFullName":"acme/project"}`).refused(404, "not found")
}
