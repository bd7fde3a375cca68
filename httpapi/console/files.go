package console

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

// op does an operation on the workspace, for the account of the session.
func (k *Console) op(c *gin.Context, v visit, op actors.FileOp) (actors.FileResult, error) {
	return k.Computers.Files(c.Request.Context(), actors.Caller{Account: v.Account}, v.Computer, op)
}

func (k *Console) listFiles(c *gin.Context, v visit) error {
	res, err := k.op(c, v, actors.FileOp{Verb: workspace.List, Path: c.Query("path")})
	if err != nil {
		return err
	}
	k.Done(c, http.StatusOK, gin.H{"entries": res.Entries})
	return nil
}

func (k *Console) remove(c *gin.Context, v visit) error {
	return k.done(c, v, actors.FileOp{Verb: workspace.Remove, Path: c.Query("path"), Recursive: c.Query("recursive") == "true"})
}

func (k *Console) makeDirectory(c *gin.Context, v visit) error {
	return k.done(c, v, actors.FileOp{Verb: workspace.Mkdir, Path: c.Query("path")})
}

func (k *Console) move(c *gin.Context, v visit) error {
	return k.done(c, v, actors.FileOp{Verb: workspace.Move, Path: c.Query("path"), To: c.Query("to")})
}

// done does an operation that has no answer.
func (k *Console) done(c *gin.Context, v visit, op actors.FileOp) error {
	if _, err := k.op(c, v, op); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}
