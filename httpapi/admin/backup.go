package admin

import (
	"io"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

// backup serves POST /v1/admin/backup. The reply is the file; it is encrypted on
// this node, so whoever is between learns nothing.
func (a *API) backup(c *gin.Context) error {
	var req wire.TakeBackup
	if err := a.Read(c, &req); err != nil {
		return err
	}
	if err := a.Draining(); err != nil {
		return err
	}
	c.Header("Cache-Control", "no-store")
	return a.Download(c, "application/octet-stream", "bothy.backup", func(w io.Writer) error {
		return a.Nodes.Backup(c.Request.Context(), req.Recipients, w)
	})
}
