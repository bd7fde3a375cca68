package rebyte

import (
	"context"
	"io"
	"net/http"
	"path"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

// Uploads take files from who has an address and no key.
type Uploads interface {
	Create(ctx context.Context, c actors.Caller, filename string) (actors.Upload, error)
	Await(c actors.Caller, computer state.ComputerID, name string) (string, error)
	Put(ctx context.Context, token string, content io.Reader) (actors.FileInfo, error)
	Staged(context.Context, actors.Caller, []actors.Upload) ([]state.StagedFile, error)
}

func (a *API) fileRoutes() []door.Route {
	return []door.Route{
		{Method: "POST", Path: "/files", Scopes: []string{"tasks:write"}, Serve: a.Handle(a.createUpload)},
		{Method: "PUT", Path: "/uploads/:token", Access: door.Public, Long: true, Serve: a.Handle(a.putUpload)},
	}
}

const maxFilenameBytes = 255

// filename checks the name of one file, without a directory.
func filename(name string) error {
	clean, err := workspace.Clean(name)
	if err != nil || len(name) > maxFilenameBytes || clean != name || strings.ContainsAny(name, "/\\") || name == "." {
		return invalid("filename", "filename must be a file's name of 1 to %d bytes, without a directory", maxFilenameBytes)
	}
	return nil
}

// stage finds the files that a prompt names.
func (a *API) stage(c *gin.Context, files []wire.PromptFile) ([]state.StagedFile, error) {
	named := make([]actors.Upload, 0, len(files))
	for _, f := range files {
		if err := filename(f.Filename); err != nil || !door.LooksLikeID(f.ID) {
			return nil, invalid("files", "files must have the id and the filename that POST /files gave")
		}
		named = append(named, actors.Upload{ID: f.ID, Filename: f.Filename})
	}
	return a.Uploads.Staged(c.Request.Context(), door.CallerOf(c), named)
}

// createUpload serves POST /files: where a file may be put for a later prompt.
func (a *API) createUpload(c *gin.Context) error {
	var req struct {
		Filename    string `json:"filename"`
		ContentType string `json:"contentType"`
	}
	if err := a.Read(c, &req); err != nil {
		return err
	}
	if err := filename(req.Filename); err != nil {
		return err
	}
	made, err := a.Uploads.Create(c.Request.Context(), door.CallerOf(c), req.Filename)
	if err == nil {
		c.JSON(http.StatusCreated, wire.Upload{ID: made.ID, Filename: made.Filename, UploadURL: a.links.Upload(c.Request, made.Token)})
	}
	return err
}

// putUpload serves PUT /uploads/:token. The token is the key.
func (a *API) putUpload(c *gin.Context) error {
	info, err := a.Uploads.Put(c.Request.Context(), c.Param("token"), a.Content(c, actors.MaxFileBytes))
	if err == nil {
		c.JSON(http.StatusOK, gin.H{"filename": path.Base(info.Path), "size": info.SizeBytes})
	}
	return err
}
