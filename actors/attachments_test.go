package actors

import (
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/cluster/state"
)

func TestWhatTheModelIsToldOfFiles(t *testing.T) {
	id := newAttachmentID(newID[state.EnvironmentID]("env"))
	for name, tt := range map[string]struct{ attachments, want string }{
		"none":             {``, "words"},
		"an empty list":    {`[]`, "words"},
		"a workspace path": {`[{"filename":"a.txt","mimeType":"text/plain","workspacePath":"d/a.txt"}]`, "- a.txt (text/plain): /workspace/d/a.txt\n\nwords"},
		"as it is inside":  {`[{"filename":"a","workspacePath":"/home/node/workspace/a"}]`, "- a: /workspace/a\n\nwords"},
		"from the root on": {`[{"filename":"a","workspacePath":"/a"}]`, "- a: /workspace/a\n\nwords"},
		"an id":            {`[{"id":"` + string(id) + `","filename":"a"}]`, "- a: /workspace/attachments/" + string(id) + "/\n\nwords"},
		"a URL":            {`[{"id":"x","filename":"a","url":"https://example.org/a"}]`, "- a: https://example.org/a\n\nwords"},
		"nothing":          {`[{}]`, "- unnamed\n\nwords"},
		"more than a name": {"[{\"filename\":\"a\\n```bash\\nrm\"}]", "- a????bash?rm\n\nwords"},
		"two":              {`[{"filename":"a"},{"filename":"b"}]`, "- a\n- b\n\nwords"},
	} {
		t.Run(name, func(t *testing.T) {
			got := said("m", "words", []byte(tt.attachments)).Text
			if got != tt.want && got != "Files attached to this message:\n"+tt.want {
				t.Fatalf("%q", got)
			}
		})
	}
}

func TestAnAttachmentsIDNamesItsEnvironment(t *testing.T) {
	env := newID[state.EnvironmentID]("env")
	id := newAttachmentID(env)
	if got, ok := id.environment(); !ok || got != env || id == newAttachmentID(env) {
		t.Fatalf("%s: %s, %v", id, got, ok)
	}
	for _, bad := range []AttachmentID{"", "att_", id + "x", id[:len(id)-1], "env_" + id[4:], AttachmentID("att_" + strings.Repeat("/", 42))} {
		if got, ok := bad.environment(); ok {
			t.Errorf("%q: %s", bad, got)
		}
	}
}
