package agentcomputer

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// maxArchiveBytes bounds the archive of an image; what it unpacks to is bounded
// where that is done.
const maxArchiveBytes = 32 << 30

// maxWaitSeconds bounds how long a request waits for an image.
const maxWaitSeconds = 60

// archiveType is what archives of images are sent as.
const archiveType = "application/x-tar"

func (a *API) imageRoutes() []door.Route {
	return []door.Route{
		{Method: "GET", Path: "/computer-images", Scopes: reading, Serve: a.Handle(a.listImages)},
		{Method: "POST", Path: "/computer-images", Scopes: writing, Serve: a.Handle(a.pullImage)},
		{Method: "POST", Path: "/computer-images/import", Scopes: writing, Long: true, Serve: a.Handle(a.importImage)},
		{Method: "GET", Path: "/computer-images/:image", Scopes: reading, Serve: a.Handle(a.getImage)},
		{Method: "DELETE", Path: "/computer-images/:image", Scopes: writing, Serve: a.Handle(a.deleteImage)},
		{Method: "GET", Path: "/computer-images/:image/archive", Scopes: reading, Long: true, Serve: a.Handle(a.exportImage)},
	}
}

// imageOf is an image on the wire. One that is not here yet is active all the
// same, since asking for it makes it: clients look for that word.
func imageOf(i actors.Image) wire.Image {
	w := wire.Image{ID: i.ID, DisplayName: i.Name, Description: i.Description, Status: i.State, CreatedAt: i.Created.UTC()}
	if r := i.Record; r != nil {
		w.Digest, w.SizeBytes, w.Reference, w.Shared, w.FailureReason = r.Digest, r.Bytes, r.Reference, r.Shared, r.Error
		return w
	}
	switch i.State {
	case "available":
		w.Status = "active"
	case "building", "failed":
		w.Description = i.Description + " (" + i.State + ": " + i.Reason + ")"
	}
	return w
}

// listImages serves GET /computer-images.
func (a *API) listImages(c *gin.Context) error {
	all, err := a.Images.List(c.Request.Context(), door.CallerOf(c).Account)
	if err != nil {
		return err
	}
	reply := wire.Images{Images: []wire.Image{}}
	for _, i := range all {
		reply.Images = append(reply.Images, imageOf(i))
	}
	ok(c, reply)
	return nil
}

// getImage serves GET /computer-images/:image. With wait_seconds it waits so long
// for an image that is being pulled.
func (a *API) getImage(c *gin.Context) error {
	wait, err := strconv.Atoi(c.DefaultQuery("wait_seconds", "0"))
	if err != nil || wait < 0 || wait > maxWaitSeconds {
		return invalid("wait_seconds", "wait_seconds must be from 0 to %d", maxWaitSeconds)
	}
	look, ctx := a.Images.Get, c.Request.Context()
	if wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(wait)*time.Second)
		defer cancel()
		look = a.Images.Await
	}
	i, err := look(ctx, door.CallerOf(c).Account, c.Param("image"))
	if err == nil {
		ok(c, wire.OneImage{Image: imageOf(i)})
	}
	return err
}

// pullImage serves POST /computer-images.
func (a *API) pullImage(c *gin.Context) error {
	var req wire.PullImage
	if err := a.Read(c, &req); err != nil {
		return err
	}
	if req.Reference == "" {
		return invalid("reference", "Missing required field: reference")
	}
	caller, err := a.Caller(c)
	if err != nil {
		return err
	}
	i, err := a.Images.Pull(c.Request.Context(), caller, actors.NewImage{Name: req.Name, Shared: req.Shared, Reference: req.Reference})
	if err == nil {
		c.JSON(http.StatusAccepted, wire.OneImage{Image: imageOf(i)})
	}
	return err
}

// importImage serves POST /computer-images/import. The body is the archive; it
// is read as it comes and never held.
func (a *API) importImage(c *gin.Context) error {
	shared, err := strconv.ParseBool(c.DefaultQuery("shared", "false"))
	if err != nil {
		return invalid("shared", "shared must be true or false")
	}
	if c.Request.ContentLength == 0 {
		return fault.New(fault.Invalid, "The body is empty; send an OCI archive, or what docker save writes")
	}
	if err := a.Draining(); err != nil {
		return err
	}
	i, err := a.Images.Import(c.Request.Context(), door.CallerOf(c), actors.NewImage{Name: c.Query("name"), Shared: shared}, a.Upload(c, maxArchiveBytes))
	if err == nil {
		c.JSON(http.StatusCreated, wire.OneImage{Image: imageOf(i)})
	}
	return err
}

// exportImage serves GET /computer-images/:image/archive.
func (a *API) exportImage(c *gin.Context) error {
	return a.Download(c, archiveType, "image.tar", func(w io.Writer) error {
		return a.Images.Export(c.Request.Context(), door.CallerOf(c), c.Param("image"), w)
	})
}

// deleteImage serves DELETE /computer-images/:image.
func (a *API) deleteImage(c *gin.Context) error {
	if err := a.Images.Delete(c.Request.Context(), door.CallerOf(c), c.Param("image")); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}
