package console

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
)

// download sends a file, or ranges of it.
func (k *Console) download(c *gin.Context, v visit) error {
	ctx, cancel := k.Sessions.While(c.Request.Context(), v.AccessSession)
	defer cancel()
	f, err := k.Computers.OpenFile(ctx, actors.Caller{Account: v.Account}, v.Computer, c.Query("path"))
	if err != nil {
		return err
	}
	return k.SendFile(c, f, "application/octet-stream", true)
}

// upload takes a file. Until it is whole, and when the upload breaks, what was
// there stays.
func (k *Console) upload(c *gin.Context, v visit) error {
	ctx, cancel := k.Sessions.While(c.Request.Context(), v.AccessSession)
	defer cancel()
	to := actors.Place{Path: c.Query("path")}
	_, err := k.Computers.PutFile(ctx, actors.Caller{Account: v.Account}, v.Computer, k.Content(c, actors.MaxFileBytes),
		func() (actors.Place, error) { return to, nil })
	if err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}
