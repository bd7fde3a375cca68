package agentcomputer

import (
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/door"
)

func (a *API) fileRoutes() []door.Route {
	return []door.Route{{Method: "POST", Path: "/computers/:id/files/ops", Scopes: writing, Long: true, Serve: a.Handle(a.files)}}
}

// maxLargeBodies bounds the bodies over door.MaxJSONBytes that are held at once.
const maxLargeBodies = 32

// files serves POST /computers/:id/files/ops. Operation and answer are the
// dialect's own JSON already.
func (a *API) files(c *gin.Context) error {
	if n := c.Request.ContentLength; n < 0 || n > door.MaxJSONBytes {
		select {
		case a.large <- struct{}{}:
			defer func() { <-a.large }()
		default:
			return fault.New(fault.Unavailable, "%d large files are on their way through this node already", maxLargeBodies).WithRetry(time.Second)
		}
	}
	var op actors.FileOp
	if err := a.ReadUpTo(c, &op, actors.MaxFileOpBytes); err != nil {
		return err
	}
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
