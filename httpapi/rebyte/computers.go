package rebyte

import (
	"net/http"
	"strings"
	"unicode"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

func (a *API) computerRoutes() []door.Route {
	reading, writing := []string{"computers:read"}, []string{"computers:write"}
	return []door.Route{
		{Method: "POST", Path: "/agent-computers", Scopes: writing, Serve: a.Handle(a.createComputer)},
		{Method: "GET", Path: "/agent-computers", Scopes: reading, Serve: a.Handle(a.listComputers)},
		{Method: "GET", Path: "/agent-computers/:id", Scopes: reading, Serve: a.Handle(a.getComputer)},
		{Method: "PATCH", Path: "/agent-computers/:id", Scopes: writing, Serve: a.Handle(a.patchComputer)},
		{Method: "DELETE", Path: "/agent-computers/:id", Scopes: writing, Serve: a.Handle(a.deleteComputer)},
	}
}

// Bounds of a request's fields, as the product has them but for the last.
const (
	defaultName          = "Agent Computer"
	maxNameRunes         = 200
	maxIconRunes         = 50
	maxInstructionsBytes = 64 << 10
)

// computer is a machine on the wire.
type computer struct {
	ID             string    `json:"id"`
	Name           string    `json:"name"`
	Status         string    `json:"status"` // provisioning, ready, error
	SandboxID      *string   `json:"sandboxId"`
	Icon           *string   `json:"icon"`
	URL            string    `json:"url"`
	ProvisionError *string   `json:"provisionError"`
	CreatedAt      wire.Time `json:"createdAt"`
	UpdatedAt      wire.Time `json:"updatedAt"`
}

// detail is what only one computer's own reply has.
type detail struct {
	TaskCount    int          `json:"taskCount"`
	RecentTasks  []recentTask `json:"recentTasks"`
	Instructions *string      `json:"agentInstructions"`
	Views        []any        `json:"views"`
}

// statusOf is a computer's phase in this dialect's words. One that was stopped
// is ready: the next task starts it.
func statusOf(m state.Computer) string {
	switch {
	case m.Phase == state.Failed:
		return "error"
	case m.Phase == state.Provisioning, m.DataNode == "" && m.Phase == state.Starting:
		return "provisioning"
	}
	return "ready"
}

func (a *API) computerOf(c *gin.Context, m state.Computer) computer {
	w := computer{ID: string(m.ID), Name: m.Name, Status: statusOf(m), Icon: maybe(m.Icon), URL: a.links.Computer(c, m),
		CreatedAt: wire.At(m.CreatedAt), UpdatedAt: wire.At(m.UpdatedAt)}
	switch w.Status {
	case "ready":
		w.SandboxID = maybe(string(m.ID))
	case "error":
		w.ProvisionError = maybe(m.Error)
	}
	return w
}

func maybe(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// createComputer serves POST /agent-computers. It answers at once; the
// computer is made meanwhile.
func (a *API) createComputer(c *gin.Context) error {
	var req struct {
		Name *string `json:"name"`
		Icon *string `json:"icon"`
	}
	if err := a.ReadAny(c, &req); err != nil {
		return err
	}
	spec := state.Computer{Origin: state.OriginRebyte, Name: defaultName, Egress: true}
	if req.Name != nil && *req.Name != "" {
		spec.Name = *req.Name
	}
	if req.Icon != nil {
		spec.Icon = *req.Icon
	}
	if err := within("name", spec.Name, maxNameRunes); err != nil {
		return err
	}
	if err := within("icon", spec.Icon, maxIconRunes); err != nil {
		return err
	}
	caller, err := a.Caller(c)
	if err != nil {
		return err
	}
	asked, err := a.Computers.Create(c.Request.Context(), caller, spec)
	if err == nil {
		a.OwnerNow(c, asked.Computer.ID)
		c.JSON(http.StatusCreated, a.computerOf(c, asked.Computer))
	}
	return err
}

func within(field, text string, runes int) error {
	if len([]rune(text)) > runes {
		return invalid(field, "%s must be at most %d characters", field, runes)
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return invalid(field, "%s must not hold control characters", field)
	}
	return nil
}

// listComputers serves GET /agent-computers, newest first.
func (a *API) listComputers(c *gin.Context) error {
	page, err := door.Page(c)
	if err != nil {
		return err
	}
	reply := wire.PageOf[computer]{Data: []computer{}, Limit: page.Limit, Offset: page.Offset}
	err = a.LookAll(c, func(v *state.View) error {
		list, err := v.ComputersFrom(door.CallerOf(c).Account, state.OriginRebyte, page)
		reply.Total = list.Total
		for _, m := range list.Items {
			reply.Data = append(reply.Data, a.computerOf(c, m))
		}
		return err
	})
	if err == nil {
		c.JSON(http.StatusOK, reply)
	}
	return err
}

// computer finds the computer in the path, which was made at this door.
func (a *API) computer(c *gin.Context) (found state.Computer, err error) {
	id, err := door.ID(c, "id", "Agent computer")
	if err != nil {
		return found, err
	}
	account := door.CallerOf(c).Account
	err = a.Look(c, func(v *state.View) (err error) {
		if found, err = v.ComputerFrom(account, state.OriginRebyte, state.ComputerID(id)); err != nil {
			return err
		}
		return a.Owner(c, v, found.ID)
	})
	return found, err
}

// maxRecentTasks is how many tasks a computer is shown with.
const maxRecentTasks = 10

// answer writes one computer with its details.
func (a *API) answer(c *gin.Context, m state.Computer) error {
	d := detail{RecentTasks: []recentTask{}, Instructions: maybe(m.Instructions), Views: []any{}}
	err := a.Look(c, func(v *state.View) error {
		by := door.CallerOf(c)
		list, err := v.Tasks(by.Account, by.User, m.ID, state.Page{Limit: maxRecentTasks})
		d.TaskCount = list.Total
		for _, t := range list.Items {
			var ended *wire.Time
			if ended, err = completedAt(v, t); err != nil {
				return err
			}
			d.RecentTasks = append(d.RecentTasks, recentTask{ID: string(t.ID), Title: t.Title, Executor: t.Task.Executor, Model: t.Task.Model,
				Status: taskStatus(t), CreatedAt: wire.At(t.CreatedAt), CompletedAt: ended})
		}
		return err
	})
	if err == nil {
		c.JSON(http.StatusOK, struct {
			computer
			detail
		}{a.computerOf(c, m), d})
	}
	return err
}

// getComputer serves GET /agent-computers/:id.
func (a *API) getComputer(c *gin.Context) error {
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	return a.answer(c, m)
}

// patchComputer serves PATCH /agent-computers/:id.
func (a *API) patchComputer(c *gin.Context) error {
	var req struct {
		Name         *string         `json:"name"`
		Icon         *string         `json:"icon"`
		Instructions *string         `json:"agent_instructions"`
		Views        map[string]bool `json:"views"`
	}
	if err := a.Read(c, &req); err != nil {
		return err
	}
	for id := range req.Views {
		return invalid("views", "views has %.40q, which is no view of this computer", id)
	}
	for field, text := range map[string]*string{"name": req.Name, "icon": req.Icon} {
		if text == nil {
			continue
		}
		if err := within(field, *text, map[string]int{"name": maxNameRunes, "icon": maxIconRunes}[field]); err != nil {
			return err
		}
	}
	if req.Instructions != nil && len(*req.Instructions) > maxInstructionsBytes {
		return invalid("agent_instructions", "agent_instructions must be at most %d bytes", maxInstructionsBytes)
	}
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	asked, err := a.Computers.Update(c.Request.Context(), door.CallerOf(c), m.ID, actors.Shown{Name: req.Name, Icon: req.Icon, Instructions: req.Instructions})
	if err != nil {
		return err
	}
	return a.answer(c, asked.Computer)
}

// deleteComputer serves DELETE /agent-computers/:id.
func (a *API) deleteComputer(c *gin.Context) error {
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	if _, err := a.Computers.Delete(c.Request.Context(), door.CallerOf(c), m.ID, state.OriginRebyte); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}
