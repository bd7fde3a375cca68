package agentcomputer

import (
	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

func (a *API) fileRoutes() []door.Route {
	return []door.Route{
		{Method: "POST", Path: "/computers/:id/files/ops", Scopes: writing, Long: true, Serve: a.Handle(a.files)},
		{Method: "GET", Path: "/computers/:id/files/archive", Scopes: writing, Long: true, Serve: a.Handle(a.packArchive)},
		{Method: "POST", Path: "/computers/:id/files/archive", Scopes: writing, Long: true, Serve: a.Handle(a.unpackArchive)},
	}
}

// files serves POST /computers/:id/files/ops. Operation and answer are the
// dialect's own JSON already.
func (a *API) files(c *gin.Context) error {
	var op actors.FileOp
	done, err := a.ReadLarge(c, &op, actors.MaxFileOpBytes)
	if err != nil {
		return err
	}
	defer done()
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	result, err := a.Files.Files(c.Request.Context(), door.CallerOf(c), m.ID, op)
	if err != nil {
		return err
	}
	ok(c, result)
	return nil
}

// packArchive serves GET /computers/:id/files/archive: a directory or file of
// any size, as a tar, tar.gz or zip.
func (a *API) packArchive(c *gin.Context) error {
	format, err := workspace.ParseFormat(c.Query("format"))
	if err != nil {
		return fault.New(fault.Invalid, "format: %w", err).WithField("format")
	}
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	archive, err := a.Files.Pack(c.Request.Context(), door.CallerOf(c), m.ID, c.Query("path"), format)
	if err != nil {
		return err
	}
	return a.SendArchive(c, archive, m.Handle, format)
}

// unpackArchive serves POST /computers/:id/files/archive.
func (a *API) unpackArchive(c *gin.Context) error {
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	done, err := a.Files.Unpack(c.Request.Context(), door.CallerOf(c), m.ID, c.Query("path"), a.Content(c, workspace.MaxUnpackBytes))
	if err != nil {
		return err
	}
	if done.Skips == nil {
		done.Skips = []workspace.Skip{}
	}
	ok(c, done)
	return nil
}
