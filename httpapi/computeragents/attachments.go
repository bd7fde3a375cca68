package computeragents

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

// Bounds of attachments.
const (
	maxAttachments     = 32
	maxAttachmentBytes = 64 << 10 // of all of a message's: they are references, not content
)

// Attachments are files that messages name.
type Attachments interface {
	Upload(ctx context.Context, c actors.Caller, n actors.NewAttachment, content io.Reader) (actors.Attachment, error)
	Open(ctx context.Context, c actors.Caller, id actors.AttachmentID) (*actors.FileReader, error)
	Delete(ctx context.Context, c actors.Caller, id actors.AttachmentID) error
}

func (a *API) attachmentRoutes() []door.Route {
	read, write := []string{"environments:read", readThreads}, []string{"environments:write", writeThreads}
	return []door.Route{
		{Method: "POST", Path: "/attachments/upload", Scopes: write, Long: true, Serve: a.Handle(a.uploadAttachment)},
		{Method: "GET", Path: "/attachments/:id", Scopes: read, Long: true, Serve: a.Handle(a.downloadAttachment)},
		{Method: "DELETE", Path: "/attachments/:id", Scopes: write, Serve: a.Handle(a.deleteAttachment)},
	}
}

// uploadAttachment serves POST /attachments/upload: a file in the workspace of
// the environment, of the thread's, or of the default one.
func (a *API) uploadAttachment(c *gin.Context) error {
	var req wire.UploadAttachment
	done, err := a.ReadLarge(c, &req, actors.MaxFileOpBytes)
	if err != nil {
		return err
	}
	defer done()
	n := actors.NewAttachment{Environment: state.EnvironmentID(req.EnvironmentID.Value), Thread: state.ThreadID(req.ThreadID.Value)}
	if n.Folder, err = pathOf("folder", req.Folder.Value); err != nil {
		return err
	}
	if n.Filename, err = pathOf("filename", req.Filename); err != nil {
		return err
	}
	switch {
	case n.Filename == "." || strings.Contains(n.Filename, "/"):
		return invalid("filename", "filename must be the name of a file, without directories")
	case req.Data == nil:
		return invalid("data", "Missing required field: data")
	case len(*req.Data) > workspace.MaxContentBytes:
		return fault.New(fault.TooLarge, "data is %d bytes; the limit is %d, and larger files go to /environments/:id/files/upload",
			len(*req.Data), workspace.MaxContentBytes).WithField("data")
	}
	for _, f := range []struct{ field, id string }{{"environmentId", req.EnvironmentID.Value}, {"threadId", req.ThreadID.Value}} {
		if err := identifier(f.field, f.id); err != nil {
			return err
		}
	}
	if err := name("mimeType", req.MimeType); err != nil {
		return err
	}
	made, err := a.Attachments.Upload(c.Request.Context(), door.CallerOf(c), n, bytes.NewReader(*req.Data))
	if err != nil {
		return err
	}
	c.JSON(http.StatusCreated, wire.OneAttachment{Attachment: a.attachmentOf(c, made, req.MimeType)})
	return nil
}

func (a *API) attachmentOf(c *gin.Context, made actors.Attachment, mimeType string) wire.Attachment {
	name := path.Base(made.File.Path)
	if mimeType == "" {
		mimeType = door.TypeOf(name)
	}
	kind := "document"
	if strings.HasPrefix(mimeType, "image/") {
		kind = "image"
	}
	return wire.Attachment{ID: string(made.ID), Filename: name, MimeType: mimeType, Size: made.File.SizeBytes, Type: kind,
		URL: a.links.Base(c.Request) + "/v1/attachments/" + string(made.ID), UploadedAt: wire.At(made.File.Modified),
		WorkspacePath: path.Join(workspaceMount, made.File.Path), EnvironmentID: string(made.Environment)}
}

func attachmentID(c *gin.Context) (actors.AttachmentID, error) {
	id, err := door.ID(c, "id", "Attachment")
	return actors.AttachmentID(id), err
}

// downloadAttachment serves GET /attachments/:id.
func (a *API) downloadAttachment(c *gin.Context) error {
	id, err := attachmentID(c)
	if err != nil {
		return err
	}
	f, err := a.Attachments.Open(c.Request.Context(), door.CallerOf(c), id)
	if err != nil {
		return err
	}
	return a.SendFile(c, f, door.TypeOf(f.Info.Path), false)
}

// deleteAttachment serves DELETE /attachments/:id.
func (a *API) deleteAttachment(c *gin.Context) error {
	id, err := attachmentID(c)
	if err != nil {
		return err
	}
	if err := a.Attachments.Delete(c.Request.Context(), door.CallerOf(c), id); err != nil {
		return err
	}
	a.ok(c, wire.DeletedAttachment{Deleted: true, AttachmentID: string(id)})
	return nil
}

// attachments checks what a message says of files, and keeps it as it is.
func attachments(list []json.RawMessage) ([]byte, error) {
	if len(list) == 0 {
		return nil, nil
	}
	if len(list) > maxAttachments {
		return nil, invalid("attachments", "attachments must have at most %d items", maxAttachments)
	}
	for i, one := range list {
		if err := reference(fmt.Sprintf("attachments[%d]", i), one); err != nil {
			return nil, err
		}
	}
	b, err := json.Marshal(list)
	if err == nil && len(b) > maxAttachmentBytes {
		err = invalid("attachments", "attachments must be at most %d bytes", maxAttachmentBytes)
	}
	return b, err
}

// reference checks what a message says of one file: of the right types, and in
// the workspace if it is to be there.
func reference(field string, raw json.RawMessage) error {
	text, err := object(field, raw)
	if err != nil || text == nil {
		return err
	}
	var r struct {
		ID, Filename, MimeType, URL, WorkspacePath wire.Optional[string]
		Size                                       wire.Optional[int64]
	}
	if err := door.Decode(text, &r); err != nil {
		return invalid(field, "%s: %w", field, err)
	}
	if r.WorkspacePath.Value == "" {
		return nil
	}
	_, err = pathOf(field+".workspacePath", r.WorkspacePath.Value)
	return err
}
