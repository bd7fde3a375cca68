package agentcomputer

import (
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/runtime"
)

func (a *API) imageRoutes() []door.Route {
	return []door.Route{
		{Method: "GET", Path: "/computer-images", Scopes: reading, Serve: a.Handle(a.listImages)},
		{Method: "GET", Path: "/computer-images/:image", Scopes: reading, Serve: a.Handle(a.getImage)},
	}
}

// image is what a computer can be made of.
type image struct {
	ID          string    `json:"id"`
	DisplayName string    `json:"display_name"`
	Description string    `json:"description"`
	Status      string    `json:"status"`
	CreatedAt   time.Time `json:"created_at"`
}

// imageOf is an image on the wire. One that is not here yet is active all the
// same, since asking for it makes it: clients look for that word.
func imageOf(i runtime.Image) image {
	w := image{ID: i.Name, DisplayName: i.Name, Description: i.Description, Status: i.State, CreatedAt: i.Created.UTC()}
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
	reply := struct {
		Images []image `json:"images"`
	}{Images: []image{}}
	for _, i := range all {
		reply.Images = append(reply.Images, imageOf(i))
	}
	ok(c, reply)
	return nil
}

// getImage serves GET /computer-images/:image.
func (a *API) getImage(c *gin.Context) error {
	all, err := a.Images.List(c.Request.Context(), door.CallerOf(c).Account)
	if err != nil {
		return err
	}
	for _, i := range all {
		if i.Name == c.Param("image") {
			ok(c, gin.H{"image": imageOf(i)})
			return nil
		}
	}
	return fault.New(fault.NotFound, "Image not found: %.80q", c.Param("image"))
}
