package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

// maxAgentFileBytes bounds a file that describes an agent; the nodes' own bound
// is no higher.
const maxAgentFileBytes = 1 << 20

// agentFlags describe an agent: a file, and flags that win over it.
type agentFlags struct {
	file                                 string
	name, model, workspace, instructions string
	description                          string
	mcp, handoffs, skills                []string
}

func (f *agentFlags) add(flags *pflag.FlagSet) {
	flags.StringVarP(&f.file, "file", "f", "", "YAML or JSON file of the agent's fields, as the API has them; - is standard input")
	flags.StringVar(&f.name, "name", "", "its name")
	flags.StringVar(&f.description, "description", "", "what it is for; agents that hand off to it are told")
	flags.StringVar(&f.model, "model", "", "its model")
	flags.StringVar(&f.workspace, "workspace", "", "the directory it works in, which makes it a computer agent")
	flags.StringVar(&f.instructions, "instructions", "", "what it is told before each message")
	flags.StringArrayVar(&f.mcp, "mcp", nil, "NAME=COMMAND ARG... or NAME=https://... of an MCP server; again for more (a file can say more of them)")
	flags.StringArrayVar(&f.handoffs, "handoff", nil, "id of an agent that it may hand tasks to; again for more")
	flags.StringArrayVar(&f.skills, "skill", nil, "name of a skill that it has; again for more")
}

// read is the agent as file and flags describe it; what neither has is absent.
func (f *agentFlags) read(t *terminal, flags *pflag.FlagSet) (wire.WriteAgent, error) {
	var w wire.WriteAgent
	if f.file != "" {
		if err := t.readFields(f.file, &w); err != nil {
			return w, err
		}
	}
	for _, field := range []struct {
		flag, value string
		into        *wire.Optional[string]
	}{
		{"name", f.name, &w.Name}, {"description", f.description, &w.Description}, {"model", f.model, &w.Model},
		{"workspace", f.workspace, &w.Workspace}, {"instructions", f.instructions, &w.Instructions},
	} {
		if flags.Changed(field.flag) {
			*field.into = wire.Some(field.value)
		}
	}
	if flags.Changed("skill") {
		w.EnabledSkills = wire.Some(f.skills)
	}
	if flags.Changed("handoff") {
		w.Handoffs = wire.Some(f.handoffs)
	}
	if !flags.Changed("mcp") {
		return w, nil
	}
	servers := []wire.MCPServer{}
	for _, text := range f.mcp {
		s, err := parseServer(text)
		if err != nil {
			return w, err
		}
		servers = append(servers, s)
	}
	w.MCPServers = wire.Some(servers)
	return w, nil
}

// parseServer reads NAME=COMMAND ARG... or NAME=URL.
func parseServer(text string) (wire.MCPServer, error) {
	name, what, ok := strings.Cut(text, "=")
	words := strings.Fields(what)
	if !ok || name == "" || len(words) == 0 {
		return wire.MCPServer{}, usage("--mcp %q is not NAME=COMMAND or NAME=URL", text)
	}
	if strings.HasPrefix(what, "http://") || strings.HasPrefix(what, "https://") {
		return wire.MCPServer{Type: "http", Name: name, URL: what}, nil
	}
	return wire.MCPServer{Type: "stdio", Name: name, Command: words[0], Args: words[1:]}, nil
}

// readFields reads a file of fields, of which YAML is a form that holds JSON
// too. A field that is not known is refused: it would be lost.
func (t *terminal) readFields(file string, into any) error {
	from, err := t.openFile(file)
	if err != nil {
		return err
	}
	defer from.Close()
	text, err := io.ReadAll(io.LimitReader(from, maxAgentFileBytes+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	if len(text) > maxAgentFileBytes {
		return usage("%s is larger than %d bytes", file, maxAgentFileBytes)
	}
	var fields map[string]any
	if err := yaml.Unmarshal(text, &fields); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	plain, err := json.Marshal(fields)
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	d := json.NewDecoder(bytes.NewReader(plain))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	return nil
}

func (t *terminal) openFile(file string) (io.ReadCloser, error) {
	if file == "-" {
		return io.NopCloser(t.in), nil
	}
	from, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read a description: %w", err)
	}
	return from, nil
}

func newAgentCreate(t *terminal) *cobra.Command {
	var f agentFlags
	cmd := &cobra.Command{
		Use: "create", Short: "Make an agent of flags, of a file, or of both", Args: cobra.NoArgs,
		Long: `Make an agent of flags, of a file, or of both: flags win. A file may be

  name: Planner
  model: gpt-5.1
  instructions: Plan, and let others do.
  handoffs: [agent_...]
  mcpServers:
    - {type: stdio, name: files, command: npx, args: [-y, "@modelcontextprotocol/server-filesystem", /workspace]}
    - {type: http, name: wiki, url: "https://wiki.example.org/mcp", bearerToken: ...}`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := f.read(t, cmd.Flags())
			if err != nil {
				return err
			}
			c, err := t.client()
			if err != nil {
				return err
			}
			agent, err := c.Agents().Create(cmd.Context(), w)
			if err != nil {
				return err
			}
			return showOne(t, agent, agentColumns)
		},
	}
	f.add(cmd.Flags())
	return cmd
}

func newAgentUpdate(t *terminal) *cobra.Command {
	var f agentFlags
	cmd := &cobra.Command{
		Use: "update ID", Short: "Change what flags and a file say of an agent", Args: cobra.ExactArgs(1),
		Long: "Change what flags and a file say of an agent; the rest stays. Lists, such as that of\nMCP servers, are replaced as a whole.",
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := f.read(t, cmd.Flags())
			if err != nil {
				return err
			}
			c, err := t.client()
			if err != nil {
				return err
			}
			agent, err := c.Agents().Update(cmd.Context(), args[0], w)
			if err != nil {
				return err
			}
			return showOne(t, agent, agentColumns)
		},
	}
	f.add(cmd.Flags())
	return cmd
}
