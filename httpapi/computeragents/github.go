package computeragents

import (
	"errors"
	"regexp"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const github = "https://github.com/"

// githubName is owner/name, neither part beginning like an option or a hidden
// file.
var githubName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$`)

// githubPrepare serves POST /environments/:id/github/prepare: doing it twice
// brings the repository up to date.
func (a *API) githubPrepare(c *gin.Context) error {
	var req wire.PrepareGitHub
	if err := a.Read(c, &req); err != nil {
		return err
	}
	if !githubName.MatchString(req.RepoFullName) {
		return invalid("repoFullName", "repoFullName must be owner/name of a repository on GitHub")
	}
	if err := gitRequest(wire.GitRequest{Branch: req.Branch}); err != nil {
		return err
	}
	r, err := a.repository(c)
	if err != nil {
		return err
	}
	_, repo, _ := strings.Cut(req.RepoFullName, "/")
	done := wire.PreparedGitHub{Success: true, RepoFullName: req.RepoFullName, RepoName: repo, Path: repo}
	at := github + req.RepoFullName + ".git"
	r.dir = ""
	// It may not be there, or be a mere directory of a repository: then its
	// prefix there is not "".
	prefix, err := r.line("-C", repo, "rev-parse", "--show-prefix")
	if r.dir = repo; err == nil && prefix == "" {
		err = r.refresh(at, req.Branch)
	} else if err == nil || failedInGit(err) {
		_, err = a.gitClone(r, wire.GitRequest{RepoURL: at, Branch: req.Branch, TargetPath: repo})
	}
	if err != nil {
		return err
	}
	r.dir, r.remote = repo, ""
	if done.Branch, err = r.line("branch", "--show-current"); err == nil {
		a.ok(c, done)
	}
	return err
}

// failedInGit reports whether git ran and said no.
func failedInGit(err error) bool {
	var f *fault.Error
	return errors.As(err, &f) && f.Code == actors.CodeGit
}

// refresh brings a repository that is there up to date, on a branch if one is
// named. Work that is not committed, or that the branch does not have, is never
// thrown away.
func (r *repository) refresh(remote, branch string) error {
	have, err := r.line("config", "--get", "remote.origin.url") // as it was cloned, whatever insteadOf makes of it
	if failedInGit(err) || err == nil && have != remote {
		return fault.New(fault.Conflict, "%s in the workspace is another repository; move it away first", r.dir).WithField("repoFullName")
	}
	if err != nil {
		return err
	}
	r.remote = remote
	if _, err := r.git("fetch", "-q", "origin"); err != nil {
		return err
	}
	r.remote = ""
	if branch != "" {
		if err := r.switchTo(branch); err != nil {
			return err
		}
	}
	if upstream, err := r.line("rev-parse", "--abbrev-ref", "@{upstream}"); err == nil {
		_, err = r.git("merge", "-q", "--ff-only", upstream)
		return r.inTheWay(err)
	} else if !failedInGit(err) {
		return err
	}
	return nil // a branch of the workspace's own
}

// switchTo switches to a branch that the workspace or its remote has.
func (r *repository) switchTo(branch string) error {
	found, err := r.line("for-each-ref", "--count=1", "refs/heads/"+branch, "refs/remotes/origin/"+branch)
	if err != nil {
		return err
	}
	if found == "" {
		return invalid("branch", "%s has no branch %q", r.dir, branch)
	}
	_, err = r.git("switch", "-q", branch)
	return r.inTheWay(err)
}

// inTheWay makes a conflict of what git would not overwrite.
func (r *repository) inTheWay(err error) error {
	if failedInGit(err) {
		return fault.New(fault.Conflict, "%s is not brought up to date: %w", r.dir, err)
	}
	return err
}
