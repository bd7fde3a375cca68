package workspace

import (
	"context"
	"fmt"
	"time"

	"github.com/bothy-computer/bothy/runtime"
)

const (
	// MaxContentBytes bounds the content that one operation reads or writes.
	MaxContentBytes = 16 << 20
	// MaxListBytes bounds the paths of one listing's entries together.
	MaxListBytes = 16 << 20
	// maxMode is the highest mode that a file may be given: never setuid.
	maxMode = 0o777
)

// Verb is what an operation does.
type Verb string

const (
	ReadText   Verb = "read_text"
	ReadBytes  Verb = "read_bytes"
	WriteText  Verb = "write_text"
	WriteBytes Verb = "write_bytes"
	ReadRange  Verb = "read_range"
	WriteRange Verb = "write_range"
	List       Verb = "list"
	Stat       Verb = "stat"
	Exists     Verb = "exists"
	Mkdir      Verb = "mkdir"
	Move       Verb = "move"
	Remove     Verb = "remove"
	Patch      Verb = "patch"
	Grep       Verb = "grep"
)

// Op is one operation on a workspace, in the JSON of Agent Computer's
// POST /computers/:id/files/ops. Which fields count depends on the verb.
type Op struct {
	Verb          Verb   `json:"operation"`
	Path          string `json:"path,omitempty"`
	To            string `json:"to,omitempty"` // of move
	Content       string `json:"content,omitempty"`
	ContentBase64 []byte `json:"content_base64,omitempty"`
	// Mode is a written file's permissions, a decimal number in JSON; 0 or less
	// means 0644.
	Mode      int64 `json:"mode,omitempty"`
	Recursive bool  `json:"recursive,omitempty"`
	// Depth is how many levels a list shows that is not recursive; less than 1
	// means 1. It is not in that JSON.
	Depth       int     `json:"-" cbor:"depth,omitempty"`
	Offset      int64   `json:"offset,omitempty"`
	Length      int64   `json:"length,omitempty"`
	Edits       []Edit  `json:"edits,omitempty"`
	SetContents *string `json:"set_contents,omitempty"` // of patch; nil when it was not sent
	Pattern     string  `json:"pattern,omitempty"`
	Regex       bool    `json:"regex,omitempty"`
	IgnoreCase  bool    `json:"case_insensitive,omitempty"`
	MaxMatches  int     `json:"max_matches,omitempty"` // of grep, in all; 0 means MaxMatches
}

// Result is an operation's answer, in the same JSON. Only what belongs to the
// verb is set.
type Result struct {
	Content       *string `json:"content,omitempty"`
	ContentBase64 []byte  `json:"content_base64,omitzero"`
	Entries       []Item  `json:"entries,omitzero"`
	Stat          *Item   `json:"stat,omitempty"`
	Exists        *bool   `json:"exists,omitempty"`
	Version       *int64  `json:"version,omitempty"`
	Matches       []Match `json:"matches,omitzero"`
	// Truncated says that grep may have found more than it tells.
	Truncated bool `json:"truncated,omitempty"`
}

// Item is an entry in that JSON, which knows files and directories only: links
// and whatever else there is are files, without a size.
type Item struct {
	Path      string `json:"path"`
	Name      string `json:"name,omitempty"` // not of stat
	Type      Kind   `json:"type"`           // File or Directory
	SizeBytes *int64 `json:"size_bytes,omitempty"`
	Mode      uint32 `json:"mode"` // permissions only
	// Modified is when the content changed last. It is not in that JSON.
	Modified time.Time `json:"-" cbor:"modified"`
}

func itemOf(e Entry) Item {
	item := Item{Path: e.Path, Type: File, Mode: uint32(e.Mode.Perm()), Modified: e.Modified}
	switch e.Kind {
	case Directory:
		item.Type = Directory
	case File:
		item.SizeBytes = &e.SizeBytes
	}
	return item
}

// FieldError is a runtime.ErrInvalid that says which field of an operation is
// wrong.
type FieldError struct {
	Field string // as in JSON
	Why   string
}

func (e *FieldError) Error() string {
	return fmt.Sprintf("%v: %s: %s", runtime.ErrInvalid, e.Field, e.Why)
}

// Unwrap makes it a runtime.ErrInvalid.
func (e *FieldError) Unwrap() error { return runtime.ErrInvalid }

func wrong(field, format string, args ...any) error {
	return &FieldError{field, fmt.Sprintf(format, args...)}
}

// Check says what is wrong with an operation before anything is touched. Errors
// are FieldErrors.
func (op Op) Check() error {
	verb, ok := verbs[op.Verb]
	if !ok {
		return wrong("operation", "there is no %.50q", op.Verb)
	}
	if _, err := Clean(op.Path); err != nil {
		return asField("path", err)
	}
	if len(op.Content) > MaxContentBytes {
		return wrong("content", "it has %d bytes, more than %d", len(op.Content), MaxContentBytes)
	}
	if len(op.ContentBase64) > MaxContentBytes {
		return wrong("content_base64", "it has %d bytes, more than %d", len(op.ContentBase64), MaxContentBytes)
	}
	if verb.check == nil {
		return nil
	}
	return verb.check(op)
}

// Mutates reports whether an operation changes the workspace.
func (op Op) Mutates() bool { return verbs[op.Verb].mutates }

// Writes reports whether an operation changes what is in a file. Those that
// change one file have to take turns, since some read it first.
func (op Op) Writes() bool {
	switch op.Verb {
	case WriteText, WriteBytes, WriteRange, Patch:
		return true
	}
	return false
}

// Do does one operation. Errors are as FS says.
func (w *FS) Do(ctx context.Context, op Op) (Result, error) {
	if err := op.Check(); err != nil {
		return Result{}, err
	}
	return verbs[op.Verb].do(w, ctx, op)
}
