package computeragents

import (
	"errors"
	"io"
	"path"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

// archiveName is the last part of the routes that make and unpack archives. A
// file may have that name too.
const archiveName = "archive"

// asksForArchive reports whether a request means the archive, whatever files
// there are.
func asksForArchive(c *gin.Context) bool {
	_, path := c.GetQuery("path")
	_, format := c.GetQuery("format")
	return path || format
}

// packArchive serves GET /environments/:id/files/archive.
func (a *API) packArchive(c *gin.Context, e state.Environment) error {
	name, err := pathOf("path", c.Query("path"))
	if err != nil {
		return err
	}
	format, err := workspace.ParseFormat(c.Query("format"))
	if err != nil {
		return invalid("format", "format: %w", err)
	}
	archive, err := a.Files.Pack(c.Request.Context(), door.CallerOf(c), e.Computer, name, format)
	if err != nil {
		return err
	}
	title := path.Base(name)
	if name == "." {
		title = "workspace"
	}
	return a.SendArchive(c, archive, title, format)
}

// unpackArchive serves POST /environments/:id/files/archive: the archive is the
// body, or the file of a form.
func (a *API) unpackArchive(c *gin.Context) error {
	into, err := pathOf("path", c.Query("path"))
	if err != nil {
		return err
	}
	e, err := a.writable(c)
	if err != nil {
		return err
	}
	archive, err := a.archiveIn(c)
	if err != nil {
		return err
	}
	done, err := a.Files.Unpack(c.Request.Context(), door.CallerOf(c), e.Computer, into, archive)
	if err != nil {
		return err
	}
	reply := wire.UnpackedArchive{Success: done.Skipped == 0, EnvironmentID: string(e.ID), Path: into, Count: done.Files,
		Directories: done.Directories, Size: done.Bytes, Skipped: done.Skipped, Errors: []wire.FileError{}}
	for _, skip := range done.Skips {
		reply.Errors = append(reply.Errors, wire.FileError{Path: skip.Name, Error: skip.Why})
	}
	a.ok(c, reply)
	return nil
}

func (a *API) archiveIn(c *gin.Context) (io.Reader, error) {
	if !strings.HasPrefix(c.ContentType(), "multipart/") {
		return a.Content(c, workspace.MaxUnpackBytes), nil
	}
	form, err := a.form(c, workspace.MaxUnpackBytes)
	if err != nil {
		return nil, err
	}
	for {
		part, err := form.next()
		if errors.Is(err, io.EOF) {
			return nil, invalid("file", "Missing required field: file")
		}
		if err != nil {
			return nil, err
		}
		if part.FormName() == "file" {
			return formContent{part}, nil
		}
	}
}
