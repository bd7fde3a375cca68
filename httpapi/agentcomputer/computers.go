package agentcomputer

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
)

func (a *API) computerRoutes() []door.Route {
	return []door.Route{
		{Method: "GET", Path: "/computers", Scopes: reading, Serve: a.Handle(a.listComputers)},
		{Method: "POST", Path: "/computers", Scopes: writing, Serve: a.Handle(a.createComputer)},
		{Method: "GET", Path: "/computers/:id", Scopes: reading, Serve: a.Handle(a.getComputer)},
		{Method: "PATCH", Path: "/computers/:id", Scopes: writing, Serve: a.Handle(a.patchComputer)},
		{Method: "DELETE", Path: "/computers/:id", Scopes: writing, Serve: a.Handle(a.deleteComputer)},
	}
}

// Bounds of a request's fields.
const (
	maxNameBytes      = 200
	maxKeyBytes       = 16 << 10 // one public key
	maxAuthorizedKeys = 32
	maxImageBytes     = 256
)

// computer is a machine on the wire.
type computer struct {
	ID               string     `json:"id"`
	Handle           string     `json:"handle"`
	DisplayName      string     `json:"display_name"`
	ClerkOrgID       string     `json:"clerk_org_id"`
	ClerkOrgName     string     `json:"clerk_org_name,omitempty"`
	ImageID          string     `json:"image_id"`
	SourceKind       string     `json:"source_kind"`
	SourceSnapshotID *string    `json:"source_snapshot_id"`
	SizePreset       string     `json:"size_preset"`
	MemoryMiB        int64      `json:"requested_memory_mib"`
	StorageBytes     int64      `json:"requested_storage_bytes"`
	Platform         string     `json:"platform"`
	State            string     `json:"state"`
	FailureReason    *string    `json:"failure_reason"`
	PrimaryURL       string     `json:"primary_url"`
	VNCURL           string     `json:"vnc_url"`
	ViewerAccess     access     `json:"viewer_access"`
	CreatedAt        time.Time  `json:"created_at"`
	UpdatedAt        time.Time  `json:"updated_at"`
	DeletedAt        *time.Time `json:"deleted_at"`
	saved
}

// access is what the viewer may do with a computer.
type access struct {
	Role                string `json:"role"`
	AllowBrowser        bool   `json:"allow_browser"`
	AllowSSH            bool   `json:"allow_ssh"`
	AllowVNC            bool   `json:"allow_vnc"`
	CanManage           bool   `json:"can_manage"`
	CanUpdate           bool   `json:"can_update"`
	CanDelete           bool   `json:"can_delete"`
	CanManageShares     bool   `json:"can_manage_shares"`
	CanManagePorts      bool   `json:"can_manage_ports"`
	CanIssueCertificate bool   `json:"can_issue_ssh_certificates"`
}

// computerOf is a computer as its account sees it. One that was made at another
// door is deleted there.
func (a *API) computerOf(c *gin.Context, m state.Computer) computer {
	lone := m.Origin == state.OriginAgentComputer
	w := computer{ID: string(m.ID), Handle: m.Handle, DisplayName: orElse(m.Name, m.Handle), ClerkOrgID: string(m.Account), ImageID: m.Image,
		SourceKind: "image", SizePreset: presetOf(m.Size()), MemoryMiB: m.MemoryBytes / mebibyte, StorageBytes: m.DiskBytes,
		Platform: platformLinux, State: string(m.Phase), FailureReason: maybe(m.Error), PrimaryURL: a.links.Computer(c, m), VNCURL: a.links.Desktop(c, m),
		ViewerAccess: access{Role: "owner", AllowBrowser: true, AllowSSH: true, AllowVNC: true, CanManage: true, CanUpdate: true,
			CanDelete: lone, CanManageShares: true, CanManagePorts: true, CanIssueCertificate: true},
		CreatedAt: m.CreatedAt, UpdatedAt: m.UpdatedAt, DeletedAt: maybeTime(m.DeletedAt), saved: savedOf(m)}
	if m.Source != "" {
		w.SourceKind, w.SourceSnapshotID = "snapshot", maybe(string(m.Source))
	}
	if w.Handle == "" {
		w.Handle = string(m.ID)
	}
	return w
}

// answer writes a computer and the operation that a request began.
func (a *API) answer(c *gin.Context, status int, asked actors.Asked) {
	body := struct {
		Computer  computer   `json:"computer"`
		Operation *operation `json:"operation,omitempty"`
	}{a.computerOf(c, asked.Computer), operationOf(asked.Operation)}
	a.OwnerNow(c, asked.Computer.ID)
	c.JSON(status, body)
}

// listComputers serves GET /computers: all of the account's, newest first. The
// dialect has no pages, so the bound on an account's computers bounds the list.
func (a *API) listComputers(c *gin.Context) error {
	reply := struct {
		Computers []computer `json:"computers"`
	}{Computers: []computer{}}
	err := a.LookAll(c, func(v *state.View) error {
		list, err := v.Computers(door.CallerOf(c).Account, state.Page{Limit: state.MaxComputers}, nil)
		for _, m := range list.Items {
			reply.Computers = append(reply.Computers, a.computerOf(c, m))
		}
		return err
	})
	if err == nil {
		ok(c, reply)
	}
	return err
}

// getComputer serves GET /computers/:id.
func (a *API) getComputer(c *gin.Context) error {
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	asked := actors.Asked{Computer: m}
	err = a.Look(c, func(v *state.View) error {
		open, err := v.OpenOperations(m.ID)
		if len(open) > 0 {
			asked.Operation = &open[len(open)-1]
		}
		return err
	})
	if err == nil {
		a.answer(c, http.StatusOK, asked)
	}
	return err
}

// patchComputer serves PATCH /computers/:id.
func (a *API) patchComputer(c *gin.Context) error {
	var req struct {
		DisplayName *string `json:"display_name"`
	}
	if err := a.Read(c, &req); err != nil {
		return err
	}
	if req.DisplayName == nil || *req.DisplayName == "" {
		return invalid("display_name", "Missing required field: display_name")
	}
	if err := name("display_name", *req.DisplayName); err != nil {
		return err
	}
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	asked, err := a.Computers.Update(c.Request.Context(), door.CallerOf(c), m.ID, actors.Shown{Name: req.DisplayName})
	if err == nil {
		a.answer(c, http.StatusOK, asked)
	}
	return err
}

// deleteComputer serves DELETE /computers/:id.
func (a *API) deleteComputer(c *gin.Context) error {
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	asked, err := a.Computers.Delete(c.Request.Context(), door.CallerOf(c), m.ID, state.OriginAgentComputer)
	if err == nil {
		a.answer(c, http.StatusAccepted, asked)
	}
	return err
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
