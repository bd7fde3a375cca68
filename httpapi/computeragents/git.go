package computeragents

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Git runs git in environments' computers.
type Git interface {
	Run(context.Context, actors.Caller, state.EnvironmentID, actors.GitCommand) (string, error)
}

// maxGitCommits is how many commits one reply tells.
const maxGitCommits = 50

func (a *API) gitRoutes() []door.Route {
	read, write := []string{"environments:read"}, []string{"environments:write"}
	const at = "/environments/:id/git"
	return []door.Route{
		{Method: "GET", Path: at + "/status", Scopes: read, Long: true, Serve: a.Handle(a.gitStatus)},
		{Method: "POST", Path: at + "/stage", Scopes: write, Long: true, Serve: a.gitDoes(a.gitStage)},
		{Method: "POST", Path: at + "/unstage", Scopes: write, Long: true, Serve: a.gitDoes(a.gitUnstage)},
		{Method: "POST", Path: at + "/commit", Scopes: write, Long: true, Serve: a.gitDoes(a.gitCommit)},
		{Method: "POST", Path: at + "/push", Scopes: write, Long: true, Serve: a.gitDoes(a.gitPush)},
		{Method: "POST", Path: at + "/branch", Scopes: write, Long: true, Serve: a.gitDoes(a.gitBranch)},
		{Method: "PUT", Path: at + "/branch", Scopes: write, Long: true, Serve: a.gitDoes(a.gitSwitch)},
		{Method: "GET", Path: at + "/branches", Scopes: read, Long: true, Serve: a.Handle(a.gitBranches)},
		{Method: "GET", Path: at + "/commits", Scopes: read, Long: true, Serve: a.Handle(a.gitCommits)},
		{Method: "POST", Path: at + "/clone", Scopes: write, Long: true, Serve: a.gitDoes(a.gitClone)},
		{Method: "POST", Path: "/environments/:id/github/prepare", Scopes: write, Long: true, Serve: a.Handle(a.githubPrepare)},
		{Method: "GET", Path: "/git/:id/diff", Scopes: read, Long: true, Serve: a.Handle(a.gitDiff)},
		{Method: "POST", Path: "/git/:id/commit", Scopes: write, Long: true, Serve: a.gitDoes(a.gitCommitAll)},
		{Method: "POST", Path: "/git/:id/push", Scopes: write, Long: true, Serve: a.gitDoes(a.gitPush)},
		{Method: "GET", Path: "/git/:id/commits/:sha/diff", Scopes: read, Long: true, Serve: a.Handle(a.gitCommitDiff)},
	}
}

// repository runs git for one request.
type repository struct {
	a      *API
	c      *gin.Context
	id     state.EnvironmentID
	dir    string
	remote string // that the next command talks to
	own    *actors.GitCredential
}

func (a *API) repository(c *gin.Context) (*repository, error) {
	id, err := door.ID(c, "id", "Environment")
	return &repository{a: a, c: c, id: state.EnvironmentID(id), dir: c.Query("path")}, err
}

func (r *repository) git(args ...string) (string, error) {
	return r.a.Git.Run(r.c.Request.Context(), door.CallerOf(r.c), r.id, actors.GitCommand{Dir: r.dir, Args: args, Remote: r.remote, Own: r.own})
}

// line is git's output without the line break at its end.
func (r *repository) line(args ...string) (string, error) {
	out, err := r.git(args...)
	return strings.TrimRight(out, "\n"), err
}

// gitDoes reads a body and answers what was done.
func (a *API) gitDoes(do func(*repository, wire.GitRequest) (wire.GitDone, error)) gin.HandlerFunc {
	return a.Handle(func(c *gin.Context) error {
		var req wire.GitRequest
		if err := a.ReadAny(c, &req); err != nil {
			return err
		}
		r, err := a.repository(c)
		if err != nil {
			return err
		}
		if req.Path != "" {
			r.dir = req.Path
		}
		if err := gitRequest(req); err != nil {
			return err
		}
		done, err := do(r, req)
		if err != nil {
			return err
		}
		done.Success = true
		a.ok(c, done)
		return nil
	})
}

// gitRequest refuses what git would take for an option.
func gitRequest(req wire.GitRequest) error {
	for _, f := range []struct{ field, text string }{{"name", req.Name}, {"branch", req.Branch}, {"remote", req.Remote}, {"author", req.Author}} {
		if err := name(f.field, f.text); err != nil {
			return err
		}
		if strings.HasPrefix(f.text, "-") {
			return invalid(f.field, "%s must not begin with a hyphen", f.field)
		}
	}
	if err := long("message", req.Message); err != nil {
		return err
	}
	return names("files", req.Files)
}

// gitStatus serves GET /environments/:id/git/status.
func (a *API) gitStatus(c *gin.Context) error {
	r, err := a.repository(c)
	if err != nil {
		return err
	}
	reply := wire.GitStatus{Path: r.dir, ChangedFiles: []wire.GitFile{}, StagedFiles: []wire.GitFile{}, UnstagedFiles: []wire.GitFile{}}
	out, err := r.git("status", "--porcelain=v1", "-z", "-b", "-uall", "--no-renames")
	var f *fault.Error
	if errors.As(err, &f) && f.Code == actors.CodeGit && strings.Contains(f.Message, "not a git repository") {
		reply.Message = &f.Message
		a.ok(c, reply)
		return nil
	}
	if err != nil {
		return err
	}
	reply.IsGitRepo = true
	readGitStatus(&reply, out)
	if remote, err := r.line("remote", "get-url", "origin"); err == nil {
		plain, _ := actors.SplitGitURL(remote)
		reply.RemoteURL = &plain
	} else if !fault.Is(err, fault.Invalid) {
		return err
	}
	a.ok(c, reply)
	return nil
}

func readGitStatus(reply *wire.GitStatus, out string) {
	for record := range strings.SplitSeq(out, "\x00") {
		if head, ok := strings.CutPrefix(record, "## "); ok {
			head = strings.TrimPrefix(head, "No commits yet on ")
			branch, _, _ := strings.Cut(head, "...")
			branch, _, _ = strings.Cut(branch, " ")
			reply.Branch, reply.HasUnpushedCommits = &branch, strings.Contains(head, "[ahead ")
			continue
		}
		if len(record) < 4 {
			continue
		}
		x, y, at := record[0:1], record[1:2], record[3:]
		reply.ChangedFiles = append(reply.ChangedFiles, wire.GitFile{Status: strings.TrimSpace(record[:2]), Path: at})
		if x != " " && x != "?" {
			reply.StagedFiles = append(reply.StagedFiles, wire.GitFile{Status: x, Path: at})
		}
		if y != " " {
			reply.UnstagedFiles = append(reply.UnstagedFiles, wire.GitFile{Status: y, Path: at})
		}
	}
	reply.HasChanges, reply.HasStagedChanges, reply.HasUnstagedChanges = len(reply.ChangedFiles) > 0, len(reply.StagedFiles) > 0, len(reply.UnstagedFiles) > 0
}

func (a *API) gitStage(r *repository, req wire.GitRequest) (wire.GitDone, error) {
	return r.those(req, "add", "-A")
}

func (a *API) gitUnstage(r *repository, req wire.GitRequest) (wire.GitDone, error) {
	return r.those(req, "reset", "-q")
}

// those does something with the files that a request names, or with all.
func (r *repository) those(req wire.GitRequest, args ...string) (wire.GitDone, error) {
	if len(req.Files) == 0 && !req.All {
		return wire.GitDone{}, invalid("files", "files must name files, or all be true")
	}
	if !req.All {
		args = append(append(args, "--"), req.Files...)
	}
	_, err := r.git(args...)
	return wire.GitDone{Path: &r.dir}, err
}

// gitCommit commits what is staged; with files, those.
func (a *API) gitCommit(r *repository, req wire.GitRequest) (wire.GitDone, error) {
	if strings.TrimSpace(req.Message) == "" {
		return wire.GitDone{}, invalid("message", "Missing required field: message")
	}
	if len(req.Files) > 0 {
		if _, err := r.git(append([]string{"add", "-A", "--"}, req.Files...)...); err != nil {
			return wire.GitDone{}, err
		}
	}
	args := []string{"-c", "user.useConfigOnly=false", "commit", "-q", "-m", req.Message}
	if email, err := r.line("config", "user.email"); err != nil || email == "" {
		args = append([]string{"-c", "user.name=Bothy", "-c", "user.email=bothy@localhost"}, args...)
	}
	if req.Author != "" {
		args = append(args, "--author="+req.Author)
	}
	if _, err := r.git(args...); err != nil {
		return wire.GitDone{}, err
	}
	commits, err := r.log("1")
	if err != nil || len(commits) == 0 {
		return wire.GitDone{}, err
	}
	one := commits[0]
	diff, err := r.diffOf("show", "--format=", one.Hash)
	one.FilesChanged = diff.Stats.FilesChanged
	return wire.GitDone{SHA: &one.Hash, Path: &r.dir, Message: &one.Message, Commit: &one}, err
}

// gitCommitAll is the older commit: without files it takes all there are.
func (a *API) gitCommitAll(r *repository, req wire.GitRequest) (wire.GitDone, error) {
	if len(req.Files) == 0 && strings.TrimSpace(req.Message) != "" {
		if _, err := r.git("add", "-A"); err != nil {
			return wire.GitDone{}, err
		}
	}
	return a.gitCommit(r, req)
}

func (a *API) gitPush(r *repository, req wire.GitRequest) (done wire.GitDone, err error) {
	remote, branch := req.Remote, req.Branch
	if remote == "" {
		remote = "origin"
	}
	if branch == "" {
		if branch, err = r.line("branch", "--show-current"); err != nil {
			return done, err
		}
	}
	if branch == "" {
		return done, invalid("branch", "branch is needed: the repository is on none")
	}
	to, err := r.line("remote", "get-url", "--push", remote)
	if err != nil {
		return done, err
	}
	ahead, err := r.line("rev-list", "--count", "refs/heads/"+branch, "--not", "--remotes="+remote)
	if err != nil {
		return done, err
	}
	commits, _ := strconv.Atoi(ahead) // git printed a number
	args := []string{"push", "-q"}
	if req.Force {
		args = append(args, "--force")
	}
	r.remote = to
	if _, err := r.git(append(args, remote, "refs/heads/"+branch+":refs/heads/"+branch)...); err != nil {
		return done, err
	}
	return wire.GitDone{Branch: &branch, Path: &r.dir, Push: &wire.GitPush{Remote: remote, Branch: branch, Commits: commits}}, nil
}

func (a *API) gitBranch(r *repository, req wire.GitRequest) (wire.GitDone, error) {
	return r.toBranch(req.Name, "switch", "-q", "-c")
}

func (a *API) gitSwitch(r *repository, req wire.GitRequest) (wire.GitDone, error) {
	return r.toBranch(req.Name, "switch", "-q")
}

func (r *repository) toBranch(branch string, args ...string) (wire.GitDone, error) {
	if branch == "" {
		return wire.GitDone{}, invalid("name", "Missing required field: name")
	}
	_, err := r.git(append(args, branch)...)
	return wire.GitDone{Branch: &branch, Path: &r.dir}, err
}

// gitBranches serves GET /environments/:id/git/branches.
func (a *API) gitBranches(c *gin.Context) error {
	r, err := a.repository(c)
	if err != nil {
		return err
	}
	out, err := r.git("for-each-ref", "--format=%(HEAD)%(refname)", "refs/heads", "refs/remotes")
	if err != nil {
		return err
	}
	reply := wire.GitBranches{Branches: []string{}, LocalBranches: []string{}, RemoteBranches: []string{}}
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\n")
		if local, ok := strings.CutPrefix(line[1:], "refs/heads/"); ok {
			reply.LocalBranches = append(reply.LocalBranches, local)
			if line[0] == '*' {
				reply.CurrentBranch = &local
			}
		} else if far, ok := strings.CutPrefix(line[1:], "refs/remotes/"); ok && !strings.HasSuffix(far, "/HEAD") {
			reply.RemoteBranches = append(reply.RemoteBranches, far)
		}
	}
	reply.Branches = append(append(reply.Branches, reply.LocalBranches...), reply.RemoteBranches...)
	a.ok(c, reply)
	return nil
}

// gitCommits serves GET /environments/:id/git/commits.
func (a *API) gitCommits(c *gin.Context) error {
	r, err := a.repository(c)
	if err != nil {
		return err
	}
	page, err := door.ParsePage(c.DefaultQuery("limit", "10"), "")
	if err == nil && page.Limit > maxGitCommits {
		err = invalid("limit", "limit must be a whole number from 1 to %d", maxGitCommits)
	}
	if err != nil {
		return err
	}
	commits, err := r.log(strconv.Itoa(page.Limit))
	if err != nil {
		return err
	}
	a.ok(c, wire.GitCommits{Commits: commits})
	return nil
}

func (r *repository) log(n string) ([]wire.GitCommit, error) {
	out, err := r.git("log", "-z", "-n", n, "--format=%H%x1f%h%x1f%an <%ae>%x1f%aI%x1f%B")
	commits := []wire.GitCommit{}
	for record := range strings.SplitSeq(out, "\x00") {
		if f := strings.SplitN(record, "\x1f", 5); len(f) == 5 {
			commits = append(commits, wire.GitCommit{Hash: f[0], SHA: f[0], ShortHash: f[1], Author: f[2], Date: f[3], Timestamp: f[3], Message: strings.TrimRight(f[4], "\n")})
		}
	}
	return commits, err
}

// gitClone clones a repository into the workspace. What the URL or the token
// says of credentials is not stored with it.
func (a *API) gitClone(r *repository, req wire.GitRequest) (wire.GitDone, error) {
	plain, own := actors.SplitGitURL(req.RepoURL)
	if len(req.RepoURL) > maxURLBytes || !strings.HasPrefix(plain, "https://") && !strings.HasPrefix(plain, "http://") {
		return wire.GitDone{}, invalid("repoUrl", "repoUrl must be an http or https URL of at most %d bytes", maxURLBytes)
	}
	target := req.TargetPath
	if target == "" {
		target = strings.TrimSuffix(path.Base(plain), ".git")
	}
	if target = strings.TrimPrefix(path.Clean("/"+target), "/"); target == "" {
		return wire.GitDone{}, invalid("targetPath", "targetPath must be a directory below the workspace")
	}
	if req.Token != nil && *req.Token != "" {
		place, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(plain, "https://"), "http://"), "/")
		scheme, _, _ := strings.Cut(plain, "://")
		own = &actors.GitCredential{For: scheme + "://" + place, User: "x-access-token", Password: *req.Token}
	}
	args := []string{"clone", "-q"}
	if req.Branch != "" {
		args = append(args, "--branch="+req.Branch)
	}
	r.dir, r.remote, r.own = "", plain, own
	if _, err := r.git(append(args, "--", plain, target)...); err != nil {
		return wire.GitDone{}, err
	}
	r.dir, r.remote, r.own = target, "", nil
	branch, err := r.line("branch", "--show-current")
	message := fmt.Sprintf("Cloned %s into %s", plain, target)
	return wire.GitDone{Path: &target, Branch: &branch, Message: &message}, err
}
