package actors

import (
	"bytes"
	"context"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

const (
	// CodeGit marks what git itself refused, in its own words.
	CodeGit = "GIT_FAILED"
	// gitTime bounds one git command.
	gitTime = 5 * time.Minute
	// MaxGitOutput bounds what is read of one.
	MaxGitOutput = 4 << 20
	maxGitError  = 2 << 10
)

// gitHelper gives git the one credential of its environment, and only to the
// place that it is for: what a repository's own configuration adds is told
// nothing.
const gitHelper = `!f() { [ "$1" = get ] || return 0; while read -r l; do case "$l" in protocol=*) p="${l#*=}";; host=*) h="${l#*=}";; esac; done; ` +
	`[ "$p://$h" = "$BOTHY_GIT_FOR" ] || return 0; printf 'username=%s\npassword=%s\n' "$BOTHY_GIT_USER" "$BOTHY_GIT_PASSWORD"; }; f`

// gitConfig keeps a repository from running programs of its own while git has a
// credential.
var gitConfig = []string{"core.hooksPath=/dev/null", "core.fsmonitor=false", "protocol.ext.allow=never", "safe.directory=*",
	"credential.helper=", "core.askPass=", "color.ui=false", "core.quotePath=false"}

// Git runs git in the computers of environments.
type Git struct {
	cluster   Cluster
	computers *Computers
	vault     vault
}

// GitCredential opens one server, such as https://git.example.org.
type GitCredential struct{ For, User, Password string }

// GitCommand is git's arguments, run in a directory of the workspace.
type GitCommand struct {
	Dir  string // relative to the workspace; "" is the workspace itself
	Args []string
	// Remote is the URL that the command will talk to, and Own a credential for
	// it, rather than those among the environment's secrets.
	Remote string
	Own    *GitCredential
}

// Run runs git in an environment's computer, which is started if need be, and
// returns what it printed. A failure of git's own is Invalid, with CodeGit and
// its words.
func (g *Git) Run(ctx context.Context, c Caller, id state.EnvironmentID, cmd GitCommand) (string, error) {
	env, err := view(ctx, g.cluster, func(v *state.View) (state.Environment, error) { return v.Environment(c.Account, id) })
	if err != nil {
		return "", err
	}
	dir, err := workspace.Clean(cmd.Dir)
	if cmd.Dir != "" && err != nil {
		return "", fault.New(fault.Invalid, "path: %w", err).WithField("path")
	}
	secret, err := g.credential(env, cmd)
	if err != nil {
		return "", err
	}
	argv := []string{"git"}
	for _, set := range gitConfig {
		argv = append(argv, "-c", set)
	}
	vars := []string{"GIT_TERMINAL_PROMPT=0", "LC_ALL=C.UTF-8"}
	if secret != nil {
		argv = append(argv, "-c", "credential.helper="+gitHelper)
		vars = append(vars, "BOTHY_GIT_FOR="+secret.For, "BOTHY_GIT_USER="+secret.User, "BOTHY_GIT_PASSWORD="+secret.Password)
	}
	out, errs := &head{max: MaxGitOutput}, &tail{&bytes.Buffer{}, maxGitError}
	exit, err := g.computers.Exec(ctx, c, env.Computer, Command{Argv: append(argv, cmd.Args...), Env: vars, Dir: path.Join(workspaceDir, dir),
		Stdout: out, Stderr: errs, Timeout: gitTime})
	if err != nil {
		return "", err
	}
	if exit.Code != 0 {
		text := strings.TrimSpace(errs.buf.String())
		if secret != nil && secret.Password != "" {
			text = strings.ReplaceAll(text, secret.Password, "***")
		}
		if text == "" {
			text = strings.TrimSpace(clip(out.buf.String()))
		}
		if exit.TimedOut {
			text = "it did not end within " + gitTime.String()
		}
		return "", fault.New(fault.Invalid, "git %s: %s", cmd.Args[0], text).WithCode(CodeGit)
	}
	if out.cut {
		return "", fault.New(fault.TooLarge, "git %s printed more than %d bytes", cmd.Args[0], MaxGitOutput).WithCode(CodeGit)
	}
	return out.buf.String(), nil
}

// head keeps the first bytes written to it.
type head struct {
	buf bytes.Buffer
	max int
	cut bool
}

func (h *head) Write(p []byte) (int, error) {
	if left := h.max - h.buf.Len(); left < len(p) {
		h.buf.Write(p[:left])
		h.cut = true
		return len(p), nil
	}
	return h.buf.Write(p)
}

// credential is what opens the remote of a command: the command's own, else a
// line of the secret GIT_CREDENTIALS, as git-credential-store writes them, or
// GITHUB_TOKEN for github.com.
func (g *Git) credential(env state.Environment, cmd GitCommand) (*GitCredential, error) {
	if cmd.Own != nil || cmd.Remote == "" {
		return cmd.Own, nil
	}
	place, ok := gitPlace(cmd.Remote)
	if !ok {
		return nil, nil
	}
	for _, sealed := range [][]state.Sealed{env.Secrets, env.Variables} {
		pairs, err := g.vault.openPairs(env.Account, sealed)
		if err != nil {
			return nil, err
		}
		for _, p := range pairs {
			if p.Key == "GITHUB_TOKEN" && place == "https://github.com" {
				return &GitCredential{place, "x-access-token", p.Value}, nil
			}
			if p.Key != "GIT_CREDENTIALS" {
				continue
			}
			for line := range strings.Lines(p.Value) {
				if _, own := SplitGitURL(strings.TrimSpace(line)); own != nil && own.For == place {
					return own, nil
				}
			}
		}
	}
	return nil, nil
}

func gitPlace(remote string) (string, bool) {
	u, err := url.Parse(remote)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return "", false
	}
	return u.Scheme + "://" + u.Host, true
}

// SplitGitURL takes user and password out of a URL, so that they are not stored
// with a repository.
func SplitGitURL(remote string) (plain string, own *GitCredential) {
	place, ok := gitPlace(remote)
	if !ok {
		return remote, nil
	}
	u, err := url.Parse(remote)
	if err != nil || u.User == nil {
		return remote, nil
	}
	password, _ := u.User.Password()
	own = &GitCredential{For: place, User: u.User.Username(), Password: password}
	u.User = nil
	return u.String(), own
}
