package computeragents

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// servers checks tool servers, which agents, environments and messages name in
// the same form: names are unique, and each has what its type needs.
func servers(list []wire.MCPServer) ([]actors.MCPServer, error) {
	if len(list) > maxServers {
		return nil, invalid("mcpServers", "mcpServers must have at most %d items", maxServers)
	}
	var out []actors.MCPServer
	seen := map[string]bool{}
	for i, s := range list {
		at := fmt.Sprintf("mcpServers[%d]", i)
		if err := server(at, s); err != nil {
			return nil, err
		}
		if seen[s.Name] {
			return nil, invalid(at+".name", "%s.name %q is there twice", at, s.Name)
		}
		seen[s.Name] = true
		out = append(out, actors.MCPServer{Type: s.Type, Name: s.Name, Command: s.Command, Args: s.Args, Env: s.Env, Cwd: s.Cwd,
			URL: s.URL, Bearer: s.BearerToken, Headers: s.Headers, AllowedTools: s.AllowedTools, Disabled: s.Enabled != nil && !*s.Enabled})
	}
	return out, nil
}

func server(at string, s wire.MCPServer) error {
	if s.Name == "" {
		return invalid(at+".name", "Missing required field: %s.name", at)
	}
	for _, f := range []struct{ field, text string }{{".name", s.Name}, {".command", s.Command}, {".cwd", s.Cwd}} {
		if err := name(at+f.field, f.text); err != nil {
			return err
		}
	}
	if len(s.Args) > maxServerEntries || len(s.Env) > maxServerEntries || len(s.Headers) > maxServerEntries {
		return invalid(at, "%s must have at most %d args, env and headers each", at, maxServerEntries)
	}
	if err := names(at+".allowedTools", s.AllowedTools); err != nil {
		return err
	}
	switch s.Type {
	case "stdio":
		return stdio(at, s)
	case "http":
		return remote(at, s)
	}
	return invalid(at+".type", "%s.type must be stdio or http", at)
}

func stdio(at string, s wire.MCPServer) error {
	if s.Command == "" {
		return invalid(at+".command", "Missing required field: %s.command", at)
	}
	for _, k := range sorted(s.Env) {
		if !variableName.MatchString(k) {
			return invalid(at+".env", "%s.env: %q is not a variable's name", at, k)
		}
	}
	return nil
}

func remote(at string, s wire.MCPServer) error {
	if s.URL == "" {
		return invalid(at+".url", "Missing required field: %s.url", at)
	}
	u, err := url.Parse(s.URL)
	if err != nil || len(s.URL) > maxURLBytes || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return invalid(at+".url", "%s.url must be an http or https URL", at)
	}
	for _, k := range sorted(s.Headers) {
		if k == "" || strings.ContainsAny(k, " \r\n:") || strings.ContainsAny(s.Headers[k], "\r\n") {
			return invalid(at+".headers", "%s.headers: %q is not a header", at, k)
		}
	}
	return nil
}

// serversOf is servers on the wire, for their owner.
func serversOf(list []actors.MCPServer) []wire.MCPServer {
	out := []wire.MCPServer{}
	for _, s := range list {
		enabled := !s.Disabled
		out = append(out, wire.MCPServer{Type: s.Type, Name: s.Name, Command: s.Command, Args: s.Args, Env: s.Env, Cwd: s.Cwd,
			URL: s.URL, BearerToken: s.Bearer, Headers: s.Headers, AllowedTools: s.AllowedTools, Enabled: &enabled})
	}
	return out
}
