package agentcomputer

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
)

func (a *API) actionRoutes() []door.Route {
	start := a.Handle(func(c *gin.Context) error { return a.ask(c, state.WishRunning) })
	return []door.Route{
		{Method: "POST", Path: "/computers/:id/actions/start", Scopes: writing, Serve: start},
		// A computer that runs or starts is not asked again: the same act.
		{Method: "POST", Path: "/computers/:id/actions/ensure-ready", Scopes: writing, Serve: start},
		{Method: "POST", Path: "/computers/:id/actions/stop", Scopes: writing, Serve: a.Handle(func(c *gin.Context) error {
			return a.ask(c, state.WishStopped)
		})},
		{Method: "POST", Path: "/computers/:id/actions/resize", Scopes: writing, Serve: a.Handle(a.resizeComputer)},
		{Method: "POST", Path: "/computers/:id/actions/save", Scopes: writing, Long: true, Serve: a.Handle(a.saveComputer)},
		{Method: "POST", Path: "/computers/:id/actions/recover", Scopes: writing, Serve: a.Handle(a.recoverComputer)},
		{Method: "POST", Path: "/computers/:id/actions/transfer", Scopes: transferring, Serve: a.Handle(a.transferComputer)},
	}
}

// ask wishes something of the computer in the path.
func (a *API) ask(c *gin.Context, w state.Wish) error {
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	asked, err := a.Computers.Ask(c.Request.Context(), door.CallerOf(c), m.ID, w)
	if err == nil {
		a.answer(c, http.StatusAccepted, asked)
	}
	return err
}

// resizeComputer serves POST /computers/:id/actions/resize.
func (a *API) resizeComputer(c *gin.Context) error {
	var req sized
	if err := a.ReadAny(c, &req); err != nil {
		return err
	}
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	size, err := req.wanted(preset{presetOf(m.Size()), "", m.MemoryBytes / mebibyte, m.DiskBytes})
	if err != nil {
		return err
	}
	asked, err := a.Computers.Resize(c.Request.Context(), door.CallerOf(c), m.ID, size.size())
	if err == nil {
		a.answer(c, http.StatusAccepted, asked)
	}
	return err
}

// transferComputer serves POST /computers/:id/actions/transfer.
func (a *API) transferComputer(c *gin.Context) error {
	var req struct {
		To string `json:"target_org_id"`
	}
	if err := a.Read(c, &req); err != nil {
		return err
	}
	if !door.LooksLikeID(req.To) {
		return invalid("target_org_id", "target_org_id must be the id of an account")
	}
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	moved, err := a.Computers.Transfer(c.Request.Context(), door.CallerOf(c), m.ID, state.AccountID(req.To))
	if err == nil {
		a.answer(c, http.StatusOK, actors.Asked{Computer: moved})
	}
	return err
}
