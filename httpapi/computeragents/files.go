package computeragents

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

// Files are those of environments' computers, whether these run or not.
type Files interface {
	Files(context.Context, actors.Caller, state.ComputerID, actors.FileOp) (actors.FileResult, error)
	OpenFile(ctx context.Context, c actors.Caller, id state.ComputerID, name string) (*actors.FileReader, error)
	// PutFile asks where the content goes when it has ended.
	PutFile(ctx context.Context, c actors.Caller, id state.ComputerID, content io.Reader, place func() (actors.Place, error)) (actors.FileInfo, error)
	Pack(ctx context.Context, c actors.Caller, id state.ComputerID, name string, format workspace.Format) (io.ReadCloser, error)
	Unpack(ctx context.Context, c actors.Caller, id state.ComputerID, into string, archive io.Reader) (actors.Unpacked, error)
}

func (a *API) fileRoutes() []door.Route {
	read, write := []string{"environments:read"}, []string{"environments:write"}
	return []door.Route{
		{Method: "GET", Path: "/environments/:id/files", Scopes: read, Serve: a.Handle(a.listFiles)},
		{Method: "GET", Path: "/environments/:id/files/*path", Scopes: read, Long: true, Serve: a.Handle(a.downloadFile)},
		{Method: "HEAD", Path: "/environments/:id/files/*path", Scopes: read, Long: true, Serve: a.Handle(a.downloadFile)},
		{Method: "DELETE", Path: "/environments/:id/files/*path", Scopes: write, Serve: a.Handle(a.deleteFile)},
		{Method: "POST", Path: "/environments/:id/files/upload", Scopes: write, Long: true, Serve: a.Handle(a.uploadFiles)},
		{Method: "POST", Path: "/environments/:id/files/archive", Scopes: write, Long: true, Serve: a.Handle(a.unpackArchive)},
		{Method: "POST", Path: "/environments/:id/files/mkdir", Scopes: write, Serve: a.Handle(a.makeDirectory)},
		{Method: "POST", Path: "/environments/:id/files/move", Scopes: write, Serve: a.Handle(a.moveFile)},
	}
}

// readable is the environment whose files are read: also one that was deleted
// and can be restored.
func (a *API) readable(c *gin.Context) (state.Environment, error) {
	e, err := a.environment(c)
	if err == nil {
		a.OwnerNow(c, e.Computer)
	}
	return e, err
}

// writable is the environment whose files are changed.
func (a *API) writable(c *gin.Context) (state.Environment, error) {
	e, err := a.readable(c)
	if err == nil && e.Inactive {
		err = fault.New(fault.Conflict, "Environment %s is deleted; restore it first", e.ID)
	}
	return e, err
}

// pathOf reads a path as clients write it: from the workspace on, with or
// without a slash before it, or as the computer itself has it.
func pathOf(field, text string) (string, error) {
	name := text
	if !mounted(text) {
		name = strings.TrimLeft(text, "/")
	}
	clean, err := workspace.Clean(name)
	if err != nil {
		return "", invalid(field, "%s: %w", field, err)
	}
	return clean, nil
}

// restOf is the path that a URL ends in.
func restOf(c *gin.Context) (string, error) {
	return pathOf("path", strings.TrimPrefix(c.Param("path"), "/"))
}

func mounted(name string) bool {
	for _, mount := range workspace.Mounts {
		if name == mount || strings.HasPrefix(name, mount+"/") {
			return true
		}
	}
	return false
}

// listFiles serves GET /environments/:id/files. Without any query it lists
// everything: there are clients that cannot send one.
func (a *API) listFiles(c *gin.Context) error {
	dir, err := pathOf("path", c.Query("path"))
	if err != nil {
		return err
	}
	depth, err := depthOf(c)
	if err != nil {
		return err
	}
	e, err := a.readable(c)
	if err != nil {
		return err
	}
	op := actors.FileOp{Verb: workspace.List, Path: dir, Recursive: depth < 0, Depth: depth}
	found, err := a.Files.Files(c.Request.Context(), door.CallerOf(c), e.Computer, op)
	if err != nil {
		return err
	}
	entries := make([]wire.FileEntry, 0, len(found.Entries))
	for _, item := range found.Entries {
		entries = append(entries, entryOf(item))
	}
	shown := "/"
	if dir != "." {
		shown += dir
	}
	a.ok(c, wire.FileList{List: wire.ListOf(entries, false, len(entries)), Files: entries, EnvironmentID: string(e.ID),
		Path: shown, Depth: depth, Count: len(entries)})
	return nil
}

// depthOf is how many levels are listed, -1 for all: depth says so, else
// recursive, else that there is no query at all.
func depthOf(c *gin.Context) (int, error) {
	recursive, given, err := door.Flag(c, "recursive")
	if err != nil {
		return 0, err
	}
	if text := c.Query("depth"); text != "" {
		depth, err := strconv.Atoi(text)
		if err != nil || depth < -1 || depth > workspace.MaxDepth {
			return 0, invalid("depth", "depth must be a number of levels up to %d, or -1 for all", workspace.MaxDepth)
		}
		if depth == 0 {
			depth = 1
		}
		return depth, nil
	}
	_, pathGiven := c.GetQuery("path")
	if recursive || !given && !pathGiven {
		return -1, nil
	}
	return 1, nil
}

func entryOf(item workspace.Item) wire.FileEntry {
	at := wire.At(item.Modified)
	e := wire.FileEntry{Name: item.Name, Path: item.Path, Type: string(item.Type), ModifiedAt: at, LastModified: at}
	if item.SizeBytes != nil {
		e.Size = *item.SizeBytes
	}
	if item.Type == workspace.File {
		e.MimeType = maybe(door.TypeOf(item.Name))
	}
	return e
}

// alias is what older clients put before the path of a file to download.
const alias = "download/"

// downloadFile serves GET and HEAD /environments/:id/files/*path.
func (a *API) downloadFile(c *gin.Context) error {
	attach, _, err := door.Flag(c, "download")
	if err != nil {
		return err
	}
	name, err := restOf(c)
	if err != nil {
		return err
	}
	e, err := a.readable(c)
	if err != nil {
		return err
	}
	if name == archiveName && asksForArchive(c) {
		return a.packArchive(c, e)
	}
	f, err := a.openFile(c, e, name)
	if name == archiveName && err != nil {
		return a.packArchive(c, e)
	}
	if err != nil {
		return err
	}
	return a.SendFile(c, f, door.TypeOf(f.Info.Path), attach)
}

// openFile opens a file by its path, and only where there is none without the
// alias.
func (a *API) openFile(c *gin.Context, e state.Environment, name string) (*actors.FileReader, error) {
	ctx, caller := c.Request.Context(), door.CallerOf(c)
	f, err := a.Files.OpenFile(ctx, caller, e.Computer, name)
	if noFile(err) {
		if below, ok := strings.CutPrefix(name, alias); ok {
			return a.Files.OpenFile(ctx, caller, e.Computer, below)
		}
	}
	return f, err
}

func noFile(err error) bool {
	var f *fault.Error
	return errors.As(err, &f) && f.Code == actors.CodeNoFile
}

// deleteFile serves DELETE /environments/:id/files/*path. A directory goes with
// what is in it only when asked to.
func (a *API) deleteFile(c *gin.Context) error {
	name, err := restOf(c)
	if err != nil {
		return err
	}
	if name == "." {
		return invalid("path", "the workspace itself stays; name what is to be removed from it")
	}
	recursive, _, err := door.Flag(c, "recursive")
	if err != nil {
		return err
	}
	e, err := a.changeFile(c, actors.FileOp{Verb: workspace.Remove, Path: name, Recursive: recursive})
	if err != nil {
		return err
	}
	a.ok(c, wire.RemovedFile{Success: true, Deleted: true, EnvironmentID: string(e.ID), FilePath: name})
	return nil
}

// changeFile does an operation that answers nothing.
func (a *API) changeFile(c *gin.Context, op actors.FileOp) (state.Environment, error) {
	e, err := a.writable(c)
	if err != nil {
		return e, err
	}
	_, err = a.Files.Files(c.Request.Context(), door.CallerOf(c), e.Computer, op)
	return e, err
}

// makeDirectory serves POST /environments/:id/files/mkdir.
func (a *API) makeDirectory(c *gin.Context) error {
	var req wire.MakeDirectory
	if err := a.Read(c, &req); err != nil {
		return err
	}
	if req.Path == "" {
		return invalid("path", "Missing required field: path")
	}
	name, err := pathOf("path", req.Path)
	if err != nil {
		return err
	}
	e, err := a.changeFile(c, actors.FileOp{Verb: workspace.Mkdir, Path: name, Recursive: true})
	if err != nil {
		return err
	}
	a.ok(c, wire.MadeDirectory{Success: true, Path: name, EnvironmentID: string(e.ID)})
	return nil
}

// moveFile serves POST /environments/:id/files/move.
func (a *API) moveFile(c *gin.Context) error {
	var req wire.MoveFile
	if err := a.Read(c, &req); err != nil {
		return err
	}
	clean := wire.MovedFile{Success: true}
	for _, p := range []struct {
		field, text string
		into        *string
	}{{"sourcePath", req.SourcePath, &clean.SourcePath}, {"destPath", req.DestPath, &clean.DestPath}} {
		if p.text == "" {
			return invalid(p.field, "Missing required field: %s", p.field)
		}
		var err error
		if *p.into, err = pathOf(p.field, p.text); err != nil {
			return err
		}
	}
	e, err := a.changeFile(c, actors.FileOp{Verb: workspace.Move, Path: clean.SourcePath, To: clean.DestPath})
	if err != nil {
		return err
	}
	clean.EnvironmentID = string(e.ID)
	a.ok(c, clean)
	return nil
}
