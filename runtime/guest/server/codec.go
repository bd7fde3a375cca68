package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/bothy-computer/bothy/runtime/guest/process"
)

// codec is Connect's JSON, which also takes two requests as people write
// them: {"command": ["ls", "-la"]} in place of process, and signals by any of
// their names or by number.
type codec struct{ name string }

// Name implements connect.Codec.
func (c codec) Name() string { return c.name }

// IsBinary tells Connect that messages may travel as text.
func (c codec) IsBinary() bool { return false }

// Marshal implements connect.Codec.
func (c codec) Marshal(msg any) ([]byte, error) {
	m, ok := msg.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no protobuf message", msg)
	}
	return protojson.Marshal(m)
}

// MarshalStable implements Connect's codec for requests by GET.
func (c codec) MarshalStable(msg any) ([]byte, error) {
	text, err := c.Marshal(msg)
	if err != nil {
		return nil, err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return nil, err
	}
	return compact.Bytes(), nil
}

// Unmarshal implements connect.Codec. Unknown fields are dropped.
func (c codec) Unmarshal(data []byte, msg any) error {
	m, ok := msg.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no protobuf message", msg)
	}
	var err error
	switch msg.(type) {
	case *process.StartRequest:
		data, err = expandCommand(data)
	case *process.SendSignalRequest:
		data, err = numberSignal(data)
	}
	if err != nil {
		return err
	}
	if len(data) == 0 {
		return fmt.Errorf("an empty body is no JSON")
	}
	return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, m)
}

// expandCommand rewrites {"command": [...], "cwd", "env" or "envs"} into
// {"process": {...}}; other fields stay. Without command nothing changes.
func expandCommand(data []byte) ([]byte, error) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(data, &fields) != nil || fields["command"] == nil {
		return data, nil // protojson says what is wrong with it
	}
	var command []string
	if err := json.Unmarshal(fields["command"], &command); err != nil || len(command) == 0 {
		return nil, fmt.Errorf(`command must be a list of strings such as ["ls", "-la"]`)
	}
	config := map[string]any{"cmd": command[0], "args": command[1:]}
	for from, to := range map[string]string{"cwd": "cwd", "env": "envs", "envs": "envs"} {
		if value, ok := fields[from]; ok {
			config[to] = value
		}
		delete(fields, from)
	}
	delete(fields, "command")
	text, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("read command: %w", err)
	}
	fields["process"] = text
	if size, ok := flatSize(fields["pty"]); ok {
		fields["pty"] = size
	}
	return json.Marshal(fields)
}

// flatSize accepts {"cols": 80, "rows": 24} where {"size": {...}} is meant.
func flatSize(pty json.RawMessage) (json.RawMessage, bool) {
	var flat struct {
		Cols, Rows *uint32
	}
	if json.Unmarshal(pty, &flat) != nil || (flat.Cols == nil && flat.Rows == nil) {
		return nil, false
	}
	return append(append([]byte(`{"size":`), pty...), '}'), true
}

// numberSignal rewrites a signal's name into its number.
func numberSignal(data []byte) ([]byte, error) {
	var fields map[string]json.RawMessage
	var name string
	if json.Unmarshal(data, &fields) != nil || json.Unmarshal(fields["signal"], &name) != nil {
		return data, nil // a number, or protojson says what is wrong with it
	}
	n, err := signalNumber(name)
	if err != nil {
		return nil, err
	}
	fields["signal"] = json.RawMessage(strconv.Itoa(n))
	return json.Marshal(fields)
}

// signalNumber reads TERM, SIGTERM, SIGNAL_SIGTERM, or 15.
func signalNumber(name string) (int, error) {
	if n, err := strconv.Atoi(name); err == nil {
		return n, nil
	}
	short := strings.TrimPrefix(strings.TrimPrefix(strings.ToUpper(name), "SIGNAL_"), "SIG")
	if n := unix.SignalNum("SIG" + short); n != 0 {
		return int(n), nil
	}
	return 0, fmt.Errorf("%q is no signal; use a name such as SIGTERM or a number", name)
}
