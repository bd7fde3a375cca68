package agent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// The tools' names, which clients and prompts rely on.
const (
	ShellTool     = "shell"
	ReadFileTool  = "read_file"
	WriteFileTool = "write_file"
	EditFileTool  = "edit_file"
	ListFilesTool = "list_files"
	GrepTool      = "grep"
)

// ShellArgs are the arguments of shell.
type ShellArgs struct {
	Command   string `json:"command"`
	Cwd       string `json:"cwd,omitempty"`
	TimeoutMS int64  `json:"timeout_ms,omitempty"`
}

// ReadFileArgs are the arguments of read_file, and of list_files.
type ReadFileArgs struct {
	Path string `json:"path"`
}

// WriteFileArgs are the arguments of write_file.
type WriteFileArgs struct {
	Path    string `json:"path"`
	Content string `json:"content"`
}

// EditFileArgs are the arguments of edit_file.
type EditFileArgs struct {
	Path    string `json:"path"`
	Find    string `json:"find"`
	Replace string `json:"replace"`
}

// GrepArgs are the arguments of grep.
type GrepArgs struct {
	Pattern string `json:"pattern"`
	Path    string `json:"path"`
}

// Tools lists the built-in tools, as a model is told about them.
func Tools() []Tool {
	text := func(about string) map[string]any { return map[string]any{"type": "string", "description": about} }
	path := text("A path relative to the workspace, or absolute.")
	return []Tool{
		{ShellTool, "Run a command with bash in the computer, in the workspace unless cwd says otherwise. Returns stdout and stderr together and the exit code. No terminal and no input; nothing keeps running after it except what is put in the background with its output redirected.",
			object([]string{"command"}, map[string]any{
				"command": text("The command, as for bash -c."),
				"cwd":     text("The directory to run it in."),
				"timeout_ms": map[string]any{"type": "integer", "minimum": 1, "maximum": MaxToolTimeout.Milliseconds(),
					"description": fmt.Sprintf("Time limit in milliseconds; %d when left out.", DefaultToolTimeout.Milliseconds())},
			})},
		{ReadFileTool, "Read a text file, or look at a picture (PNG, JPEG, GIF or WebP).", object([]string{"path"}, map[string]any{"path": path})},
		{WriteFileTool, "Write a text file, replacing what was there; directories are made as needed.",
			object([]string{"path", "content"}, map[string]any{"path": path, "content": text("The whole new content.")})},
		{EditFileTool, "Replace one piece of a text file. find must occur in the file exactly once.",
			object([]string{"path", "find", "replace"}, map[string]any{"path": path,
				"find": text("The exact text to replace, with enough around it to be unique."), "replace": text("The text to put in its place.")})},
		{ListFilesTool, "List a directory.", object([]string{"path"}, map[string]any{"path": path})},
		{GrepTool, "Search text files for a regular expression (RE2 syntax), below a directory or in one file.",
			object([]string{"pattern", "path"}, map[string]any{"pattern": text("The regular expression."), "path": path})},
	}
}

func object(required []string, properties map[string]any) map[string]any {
	return map[string]any{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

// ParseArguments reads a built-in tool's arguments into its Args type, in the
// one way in which they are accepted: a JSON object with known fields only,
// the required ones there. Errors are worded for the model.
func ParseArguments(call Call) (any, error) {
	switch call.Name {
	case ShellTool:
		args, err := parse[ShellArgs](call, "command")
		if err == nil && strings.TrimSpace(args.Command) == "" {
			err = fmt.Errorf("command is empty")
		}
		if err == nil && (args.TimeoutMS < 0 || args.TimeoutMS > MaxToolTimeout.Milliseconds()) {
			err = fmt.Errorf("timeout_ms must be between 1 and %d", MaxToolTimeout.Milliseconds())
		}
		if err == nil && len(args.Command) > maxCommandBytes {
			err = fmt.Errorf("command has %d bytes, at most %d can be passed; write a file and run that", len(args.Command), maxCommandBytes)
		}
		return args, err
	case ReadFileTool, ListFilesTool:
		return parse[ReadFileArgs](call, "path")
	case WriteFileTool:
		return parse[WriteFileArgs](call, "path", "content")
	case EditFileTool:
		args, err := parse[EditFileArgs](call, "path", "find", "replace")
		if err == nil && args.Find == "" {
			err = fmt.Errorf("find is empty")
		}
		return args, err
	case GrepTool:
		return parse[GrepArgs](call, "pattern", "path")
	}
	var names []string
	for _, t := range Tools() {
		names = append(names, t.Name)
	}
	return nil, fmt.Errorf("there is no tool %q; the built-in tools are %s", call.Name, strings.Join(names, ", "))
}

// ObjectOf reads a call's arguments as a JSON object, for tools whose servers
// check the rest. Some models write nothing where there are none. Errors are
// worded for the model.
func ObjectOf(call Call) (json.RawMessage, error) {
	if call.Cut {
		return nil, fmt.Errorf("your reply reached its length limit within the arguments of this call, so nothing was run; make smaller calls, such as a file in several parts")
	}
	if strings.TrimSpace(call.Arguments) == "" {
		return json.RawMessage("{}"), nil
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal([]byte(call.Arguments), &given); err != nil || given == nil {
		return nil, fmt.Errorf("the arguments are not a JSON object: %s", reason(err))
	}
	return json.RawMessage(call.Arguments), nil
}

// parse decodes strictly. encoding/json alone would accept a missing field.
func parse[T any](call Call, required ...string) (args T, err error) {
	whole, err := ObjectOf(call)
	if err != nil {
		return args, err
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(whole, &given); err != nil {
		return args, err // ObjectOf read it just so
	}
	for _, name := range required {
		if value, ok := given[name]; !ok || string(value) == "null" {
			return args, fmt.Errorf("the argument %q is missing", name)
		}
	}
	d := json.NewDecoder(bytes.NewReader(whole))
	d.DisallowUnknownFields()
	if err := d.Decode(&args); err != nil {
		return args, fmt.Errorf("the arguments do not fit the tool's schema: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return args, fmt.Errorf("there is more after the arguments' JSON object")
	}
	return args, nil
}

func reason(err error) string {
	if err == nil {
		return "it is null"
	}
	return err.Error()
}
