package rebyte

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"path"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

// Files are those of computers, whether these run or not.
type Files interface {
	Files(context.Context, actors.Caller, state.ComputerID, actors.FileOp) (actors.FileResult, error)
	OpenFile(ctx context.Context, c actors.Caller, id state.ComputerID, name string) (*actors.FileReader, error)
	PutFile(ctx context.Context, c actors.Caller, id state.ComputerID, content io.Reader, place func() (actors.Place, error)) (actors.FileInfo, error)
}

func (a *API) artifactRoutes() []door.Route {
	reading, writing := []string{"workspaces:read"}, []string{"workspaces:write"}
	const all = "/workspaces/:id/artifacts"
	return []door.Route{
		{Method: "GET", Path: all, Scopes: reading, Serve: a.Handle(a.listArtifacts)},
		{Method: "POST", Path: all, Scopes: writing, Long: true, Serve: a.Handle(a.putArtifacts)},
		{Method: "DELETE", Path: all, Scopes: writing, Serve: a.Handle(a.deleteArtifacts)},
		{Method: "POST", Path: all + "/upload-url", Scopes: writing, Serve: a.Handle(a.awaitArtifact)},
		{Method: "GET", Path: all + "/:filename", Scopes: reading, Long: true, Serve: a.Handle(a.getArtifact)},
		{Method: "DELETE", Path: all + "/:filename", Scopes: writing, Serve: a.Handle(a.deleteArtifact)},
	}
}

const (
	// artifacts is the directory of a workspace that they are the files of.
	artifacts = "artifacts"
	// maxArtifacts bounds the files of one upload.
	maxArtifacts = 100
)

// artifact is one as the dialect shows it.
type artifact struct {
	Filename    string    `json:"filename"`
	Size        int64     `json:"size"`
	ContentType string    `json:"contentType"`
	ModifiedAt  wire.Time `json:"modifiedAt"`
}

// workspaceOf is the computer whose artifacts the path names: any of the
// account's, since a task may be given to any.
func (a *API) workspaceOf(c *gin.Context) (state.ComputerID, error) {
	id, err := door.ID(c, "id", "Workspace")
	if err != nil {
		return "", err
	}
	return state.ComputerID(id), a.Look(c, func(v *state.View) error {
		m, err := v.Computer(door.CallerOf(c).Account, state.ComputerID(id))
		if err != nil {
			return err
		}
		return a.Owner(c, v, m.ID)
	})
}

// named is the workspace and the file's place in it that the path names.
func (a *API) named(c *gin.Context) (state.ComputerID, string, error) {
	name := c.Param("filename")
	if err := filename(name); err != nil {
		return "", "", fault.New(fault.NotFound, "There is no such artifact")
	}
	id, err := a.workspaceOf(c)
	return id, path.Join(artifacts, name), err
}

// listArtifacts serves GET /workspaces/:id/artifacts. Without the directory
// there are none.
func (a *API) listArtifacts(c *gin.Context) error {
	id, err := a.workspaceOf(c)
	if err != nil {
		return err
	}
	found, err := a.Files.Files(c.Request.Context(), door.CallerOf(c), id, actors.FileOp{Verb: workspace.List, Path: artifacts})
	if err != nil && !missing(err) {
		return err
	}
	list := []artifact{}
	for _, e := range found.Entries {
		if e.Type == workspace.File && e.SizeBytes != nil {
			list = append(list, artifact{Filename: e.Name, Size: *e.SizeBytes, ContentType: door.TypeOf(e.Name), ModifiedAt: wire.At(e.Modified)})
		}
	}
	c.JSON(http.StatusOK, gin.H{"artifacts": list, "data": list, "total": len(list)})
	return nil
}

// missing reports whether it is a file that is not there, and not a computer.
func missing(err error) bool {
	var f *fault.Error
	return errors.As(err, &f) && f.Kind == fault.NotFound && f.Code == actors.CodeNoFile
}

// getArtifact serves GET /workspaces/:id/artifacts/:filename.
func (a *API) getArtifact(c *gin.Context) error {
	id, name, err := a.named(c)
	if err != nil {
		return err
	}
	f, err := a.Files.OpenFile(c.Request.Context(), door.CallerOf(c), id, name)
	if err != nil {
		return err
	}
	return a.SendFile(c, f, door.TypeOf(name), true)
}

// putArtifacts serves POST /workspaces/:id/artifacts: a form with files, each
// written as it comes.
func (a *API) putArtifacts(c *gin.Context) error {
	id, err := a.workspaceOf(c)
	if err != nil {
		return err
	}
	kind, params, err := mime.ParseMediaType(c.GetHeader("Content-Type"))
	if err != nil || kind != "multipart/form-data" || params["boundary"] == "" {
		return invalid("file", "The body must be multipart/form-data with a boundary")
	}
	if err := a.directory(c, id); err != nil {
		return err
	}
	list := []artifact{}
	form := multipart.NewReader(a.Content(c, actors.MaxFileBytes), params["boundary"])
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return invalid("file", "The form cannot be read: %v", err)
		}
		if part.FileName() == "" {
			continue
		}
		if len(list) == maxArtifacts {
			return fault.New(fault.TooLarge, "an upload has at most %d files", maxArtifacts).WithField("file")
		}
		one, err := a.putArtifact(c, id, part)
		if err != nil {
			return err
		}
		list = append(list, one)
	}
	if len(list) == 0 {
		return invalid("file", "The form has no file")
	}
	c.JSON(http.StatusCreated, gin.H{"success": true, "artifacts": list})
	return nil
}

func (a *API) putArtifact(c *gin.Context, id state.ComputerID, part *multipart.Part) (artifact, error) {
	name := part.FileName()
	if err := filename(name); err != nil {
		return artifact{}, err
	}
	info, err := a.Files.PutFile(c.Request.Context(), door.CallerOf(c), id, part, func() (actors.Place, error) {
		return actors.Place{Path: path.Join(artifacts, name)}, nil
	})
	return artifact{Filename: name, Size: info.SizeBytes, ContentType: door.TypeOf(name), ModifiedAt: wire.At(info.Modified)}, err
}

func (a *API) directory(c *gin.Context, id state.ComputerID) error {
	_, err := a.Files.Files(c.Request.Context(), door.CallerOf(c), id, actors.FileOp{Verb: workspace.Mkdir, Path: artifacts, Recursive: true})
	return err
}

// awaitArtifact serves POST /workspaces/:id/artifacts/upload-url.
func (a *API) awaitArtifact(c *gin.Context) error {
	var req struct {
		Filename string `json:"filename"`
	}
	if err := a.Read(c, &req); err != nil {
		return err
	}
	if err := filename(req.Filename); err != nil {
		return err
	}
	id, err := a.workspaceOf(c)
	if err != nil {
		return err
	}
	token, err := a.Uploads.Await(door.CallerOf(c), id, path.Join(artifacts, req.Filename))
	if err == nil {
		c.JSON(http.StatusOK, wire.Upload{Filename: req.Filename, UploadURL: a.links.Upload(c.Request, token)})
	}
	return err
}

// deleteArtifact serves DELETE /workspaces/:id/artifacts/:filename.
func (a *API) deleteArtifact(c *gin.Context) error {
	id, name, err := a.named(c)
	if err != nil {
		return err
	}
	return a.removeFile(c, id, actors.FileOp{Verb: workspace.Remove, Path: name})
}

// deleteArtifacts serves DELETE /workspaces/:id/artifacts: all of them.
func (a *API) deleteArtifacts(c *gin.Context) error {
	id, err := a.workspaceOf(c)
	if err != nil {
		return err
	}
	err = a.removeFile(c, id, actors.FileOp{Verb: workspace.Remove, Path: artifacts, Recursive: true})
	if missing(err) {
		c.Status(http.StatusNoContent)
		return nil
	}
	return err
}

func (a *API) removeFile(c *gin.Context, id state.ComputerID, op actors.FileOp) error {
	if _, err := a.Files.Files(c.Request.Context(), door.CallerOf(c), id, op); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}
