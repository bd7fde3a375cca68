package build

import (
	"regexp"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// syntaxes are the frontends whose language this one is.
var syntaxes = regexp.MustCompile(`^(?:docker\.io/)?docker/dockerfile(?::1(?:\.\d+){0,2}(?:-labs)?|:latest|:labs)?(?:@sha256:[0-9a-f]{64})?$`)

// refuseSyntax refuses a frontend that is not this one: it would be a program
// of somebody's to run instead.
func refuseSyntax(text string) []*SyntaxError {
	if name, _, at, ok := parser.DetectSyntax([]byte(text)); ok && !syntaxes.MatchString(name) {
		return []*SyntaxError{wrong(lineOf(at), "# syntax=%.80s names a frontend that is not here; leave it out, or name docker/dockerfile:1", name)}
	}
	return nil
}

// refuse tells why an instruction is not done by a builder that many share.
func refuse(c instructions.Command, node *parser.Node) *SyntaxError {
	reason := ""
	switch c := c.(type) {
	case *instructions.RunCommand:
		reason = refuseRun(c, node.Flags)
	case *instructions.ArgCommand:
		reason = refuseArg(c)
	case *instructions.AddCommand:
		reason = refuseAdd(c)
	case *instructions.CopyCommand:
		reason = refuseCopy(c)
	case *instructions.OnbuildCommand:
		reason = "ONBUILD is not supported: nothing is built from an environment's image but the environment"
	}
	if reason == "" {
		return nil
	}
	return wrong(node.StartLine, "%s", reason)
}

// mountType is in what a flag of RUN says, as its user wrote it.
var mountType = regexp.MustCompile(`^--mount=(?:.*,)?type=(\w+)`)

func refuseRun(c *instructions.RunCommand, flags []string) string {
	for _, flag := range flags {
		if strings.HasPrefix(flag, "--mount") {
			kind := "bind" // what BuildKit takes it for
			if found := mountType.FindStringSubmatch(flag); found != nil {
				kind = found[1]
			}
			return "RUN --mount=type=" + kind + " is not supported, nor is any other mount: what a step needs must be in the image"
		}
	}
	switch {
	case len(instructions.GetDevices(c)) > 0:
		return "RUN --device is not allowed: steps have no devices of this machine"
	case instructions.GetSecurity(c) != instructions.SecuritySandbox:
		return "RUN --security=" + instructions.GetSecurity(c) + " is not allowed: steps run isolated"
	case instructions.GetNetwork(c) == instructions.NetworkHost:
		return "RUN --network=host is not allowed: steps have a network of their own"
	case strings.TrimSpace(strings.Join(c.CmdLine, "")) == "":
		return "RUN requires a command"
	}
	return ""
}

var (
	secretName = regexp.MustCompile(`(?i)(?:_|^)(?:pass|passwd|password|passphrase|pword|secrets?|tokens?|credentials?|api_?key|access_?key|private_?key)(?:_|$)`)
	// plainName tells what a name with such a word says of a secret only.
	plainName = regexp.MustCompile(`(?i)(?:_|^)(?:public|file|path|dir|url|version|name|type|length|size|ttl)(?:_|$)`)
)

// isSecret reports whether what has such a name looks like a secret.
func isSecret(name string) bool { return secretName.MatchString(name) && !plainName.MatchString(name) }

// refuseArg refuses secrets as defaults: they stay in the image's history and
// in the text that everybody sees who sees the environment.
func refuseArg(c *instructions.ArgCommand) string {
	for _, arg := range c.Args {
		if arg.Value != nil && *arg.Value != "" && isSecret(arg.Key) {
			return "ARG " + arg.Key + " looks like a secret, and its value would be seen by all who see this Dockerfile; use the environment's secrets"
		}
	}
	return ""
}

const noContext = "there is no build context here: use a heredoc, --from=<stage or image>, or RUN curl"

func refuseAdd(c *instructions.AddCommand) string {
	for _, source := range c.SourcePaths {
		if strings.Contains(source, "://") || strings.HasPrefix(source, "git@") {
			return "ADD of a URL or a git repository is not supported: use RUN curl or RUN git clone"
		}
		return "ADD " + source + ": " + noContext
	}
	if c.Unpack != nil && *c.Unpack {
		return "ADD --unpack is not supported: use RUN tar"
	}
	return ""
}

func refuseCopy(c *instructions.CopyCommand) string {
	switch {
	case c.Parents:
		return "COPY --parents is not supported"
	case len(c.ExcludePatterns) > 0:
		return "COPY --exclude is not supported"
	case c.From == "" && len(c.SourcePaths) > 0:
		return "COPY " + c.SourcePaths[0] + ": " + noContext
	case c.From != "" && len(c.SourceContents) > 0:
		return "COPY takes heredocs or --from, not both"
	}
	return ""
}
