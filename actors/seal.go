package actors

import (
	"encoding/json"
	"fmt"

	"github.com/bothy-computer/bothy/cluster/state"
)

// Sealer keeps secrets shut in records: what it sealed under a name opens only
// under that name. *identity.Secrets is one.
type Sealer interface {
	Seal(aad, plaintext []byte) ([]byte, error)
	Open(aad, sealed []byte) ([]byte, error)
}

// vault seals the values that users entrust to the cluster.
type vault struct{ sealer Sealer }

// mcpSecrets is what is secret in an MCP server.
type mcpSecrets struct {
	Bearer  string            `json:"bearer,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Env     map[string]string `json:"env,omitempty"`
}

func (v vault) sealPairs(account state.AccountID, pairs []KeyValue) ([]state.Sealed, error) {
	sealed := make([]state.Sealed, 0, len(pairs))
	for _, p := range pairs {
		b, err := v.sealer.Seal(state.SealedAs(account, state.SealedVariable, p.Key), []byte(p.Value))
		if err != nil {
			return nil, fmt.Errorf("seal %s: %w", p.Key, err)
		}
		sealed = append(sealed, state.Sealed{Key: p.Key, Value: b})
	}
	return sealed, nil
}

func (v vault) openPairs(account state.AccountID, sealed []state.Sealed) ([]KeyValue, error) {
	pairs := make([]KeyValue, 0, len(sealed))
	for _, s := range sealed {
		b, err := v.sealer.Open(state.SealedAs(account, state.SealedVariable, s.Key), s.Value)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", s.Key, err)
		}
		pairs = append(pairs, KeyValue{s.Key, string(b)})
	}
	return pairs, nil
}

func (v vault) sealServers(account state.AccountID, servers []MCPServer) ([]state.MCPServer, error) {
	sealed := make([]state.MCPServer, 0, len(servers))
	for _, m := range servers {
		s := state.MCPServer{Type: m.Type, Name: m.Name, Command: m.Command, Args: m.Args, Cwd: m.Cwd,
			URL: m.URL, AllowedTools: m.AllowedTools, Disabled: m.Disabled}
		if m.Bearer != "" || len(m.Headers) > 0 || len(m.Env) > 0 {
			plain, err := json.Marshal(mcpSecrets{m.Bearer, m.Headers, m.Env})
			if err != nil {
				return nil, fmt.Errorf("seal MCP server %s: %w", m.Name, err)
			}
			if s.Sealed, err = v.sealer.Seal(state.SealedAs(account, state.SealedMCP, m.Name), plain); err != nil {
				return nil, fmt.Errorf("seal MCP server %s: %w", m.Name, err)
			}
		}
		sealed = append(sealed, s)
	}
	return sealed, nil
}

func (v vault) openServers(account state.AccountID, sealed []state.MCPServer) ([]MCPServer, error) {
	servers := make([]MCPServer, 0, len(sealed))
	for _, s := range sealed {
		m := MCPServer{Type: s.Type, Name: s.Name, Command: s.Command, Args: s.Args, Cwd: s.Cwd,
			URL: s.URL, AllowedTools: s.AllowedTools, Disabled: s.Disabled}
		if s.Sealed != nil {
			plain, err := v.sealer.Open(state.SealedAs(account, state.SealedMCP, s.Name), s.Sealed)
			if err != nil {
				return nil, fmt.Errorf("open MCP server %s: %w", s.Name, err)
			}
			var secret mcpSecrets
			if err := json.Unmarshal(plain, &secret); err != nil {
				return nil, fmt.Errorf("open MCP server %s: %w", s.Name, err)
			}
			m.Bearer, m.Headers, m.Env = secret.Bearer, secret.Headers, secret.Env
		}
		servers = append(servers, m)
	}
	return servers, nil
}
