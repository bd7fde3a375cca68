package actors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

const (
	// attachmentsDir is where attachments lie in a workspace, each in a directory
	// named by its id.
	attachmentsDir   = "attachments"
	attachmentPrefix = "att_"
)

// AttachmentID names an attachment. The first half of its letters are those of
// its environment, the others its own: there is no record but the file.
type AttachmentID string

func newAttachmentID(env state.EnvironmentID) AttachmentID {
	own := newID[string]("x")
	return AttachmentID(attachmentPrefix + strings.TrimPrefix(string(env), environmentPrefix) + strings.TrimPrefix(own, "x_"))
}

const environmentPrefix = "env_"

// environment is where the attachment is; ok is false for what is no id.
func (id AttachmentID) environment() (env state.EnvironmentID, ok bool) {
	letters, ok := strings.CutPrefix(string(id), attachmentPrefix)
	if !ok || len(letters) != 2*idLength || strings.Trim(letters, idLetters) != "" {
		return "", false
	}
	return state.EnvironmentID(environmentPrefix + letters[:idLength]), true
}

func (id AttachmentID) dir() string { return path.Join(attachmentsDir, string(id)) }

// Attachment is a file that messages can name.
type Attachment struct {
	ID          AttachmentID
	Environment state.EnvironmentID
	File        FileInfo
}

// Attachments are files in the workspaces of environments that messages name.
type Attachments struct {
	cluster      Cluster
	environments *Environments
	computers    *Computers
}

// NewAttachment says where a file goes.
type NewAttachment struct {
	Environment state.EnvironmentID // "" is the thread's, or else the default one
	Thread      state.ThreadID
	Folder      string // within the attachment's own directory
	Filename    string
}

// Upload stores a file.
func (a *Attachments) Upload(ctx context.Context, c Caller, n NewAttachment, content io.Reader) (Attachment, error) {
	env, err := a.into(ctx, c, n)
	if err != nil {
		return Attachment{}, err
	}
	if env.Inactive {
		return Attachment{}, fault.New(fault.Conflict, "Environment %s is deleted; restore it first", env.ID)
	}
	made := Attachment{ID: newAttachmentID(env.ID), Environment: env.ID}
	to := Place{Path: path.Join(made.ID.dir(), n.Folder, n.Filename)}
	if clean, err := workspace.Clean(to.Path); err != nil || !strings.HasPrefix(clean, made.ID.dir()+"/") {
		return made, fault.New(fault.Invalid, "folder and filename do not make a path").WithField("filename")
	}
	made.File, err = a.computers.PutFile(ctx, c, env.Computer, content, func() (Place, error) { return to, nil })
	return made, err
}

func (a *Attachments) into(ctx context.Context, c Caller, n NewAttachment) (state.Environment, error) {
	if n.Environment == "" && n.Thread == "" {
		return a.environments.Default(ctx, c)
	}
	return view(ctx, a.cluster, func(v *state.View) (state.Environment, error) {
		if n.Environment == "" {
			t, err := v.Thread(c.Account, n.Thread)
			if err != nil {
				return state.Environment{}, err
			}
			n.Environment = t.Environment
		}
		return v.Environment(c.Account, n.Environment)
	})
}

// Open opens an attachment's file.
func (a *Attachments) Open(ctx context.Context, c Caller, id AttachmentID) (*FileReader, error) {
	env, err := a.of(ctx, c, id)
	if err != nil {
		return nil, err
	}
	found, err := a.computers.Files(ctx, c, env.Computer, FileOp{Verb: workspace.List, Path: id.dir(), Recursive: true})
	if err != nil {
		return nil, noAttachment(id, err)
	}
	for _, item := range found.Entries {
		if item.Type == workspace.File && item.SizeBytes != nil {
			return a.computers.OpenFile(ctx, c, env.Computer, item.Path)
		}
	}
	return nil, noAttachment(id, nil)
}

// Delete removes an attachment's file.
func (a *Attachments) Delete(ctx context.Context, c Caller, id AttachmentID) error {
	env, err := a.of(ctx, c, id)
	if err != nil {
		return err
	}
	_, err = a.computers.Files(ctx, c, env.Computer, FileOp{Verb: workspace.Remove, Path: id.dir(), Recursive: true})
	if err != nil {
		return noAttachment(id, err)
	}
	return nil
}

func (a *Attachments) of(ctx context.Context, c Caller, id AttachmentID) (state.Environment, error) {
	env, ok := id.environment()
	if !ok {
		return state.Environment{}, noAttachment(id, nil)
	}
	found, err := view(ctx, a.cluster, func(v *state.View) (state.Environment, error) { return v.Environment(c.Account, env) })
	if fault.Is(err, fault.NotFound) {
		err = noAttachment(id, nil)
	}
	return found, err
}

// noAttachment says that an attachment is not there, unless err is something
// else.
func noAttachment(id AttachmentID, err error) error {
	var f *fault.Error
	if err != nil && !(errors.As(err, &f) && f.Code == CodeNoFile) {
		return err
	}
	return fault.New(fault.NotFound, "Attachment %.100s not found", string(id))
}

// reference is what a message says of a file, as clients write it.
type reference struct {
	ID            string `json:"id"`
	Filename      string `json:"filename"`
	MimeType      string `json:"mimeType"`
	Size          int64  `json:"size"`
	URL           string `json:"url"`
	WorkspacePath string `json:"workspacePath"`
}

// place is where an agent finds the file; "" is nowhere that is known.
func (r reference) place() string {
	if r.WorkspacePath != "" {
		for _, written := range []string{r.WorkspacePath, strings.TrimLeft(r.WorkspacePath, "/")} {
			if clean, err := workspace.Clean(written); err == nil {
				return path.Join(workspaceDir, clean)
			}
		}
		return r.WorkspacePath
	}
	if _, ok := AttachmentID(r.ID).environment(); ok {
		return path.Join(workspaceDir, AttachmentID(r.ID).dir()) + "/"
	}
	return r.URL
}

// said is a user's message as the model reads it: what is attached, then the
// words. A list that cannot be read is left out: it was checked when it came.
func said(id, content string, attachments []byte) agent.Entry {
	e := agent.Entry{Kind: agent.User, ID: id, Text: content}
	var list []reference
	if len(attachments) == 0 || json.Unmarshal(attachments, &list) != nil || len(list) == 0 {
		return e
	}
	var b strings.Builder
	b.WriteString("Files attached to this message:\n")
	for _, r := range list {
		fmt.Fprintf(&b, "- %s", oneLine(r.Filename, "unnamed"))
		if r.MimeType != "" {
			fmt.Fprintf(&b, " (%s)", oneLine(r.MimeType, ""))
		}
		if at := r.place(); at != "" {
			fmt.Fprintf(&b, ": %s", oneLine(at, ""))
		}
		b.WriteByte('\n')
	}
	b.WriteString("\n" + content)
	e.Text = b.String()
	return e
}

// oneLine keeps a text from being taken for more than a name.
func oneLine(text, unset string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '`' {
			return '?'
		}
		return r
	}, text)
	if len(text) > workspace.MaxPathBytes {
		text = text[:runeCut(text, workspace.MaxPathBytes)]
	}
	if text == "" {
		return unset
	}
	return text
}
