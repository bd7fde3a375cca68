package agentcomputer

import (
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode"

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
		CreatedAt: m.CreatedAt, UpdatedAt: m.UpdatedAt, DeletedAt: maybeTime(m.DeletedAt)}
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

// createComputerRequest is the body of POST /computers.
type createComputerRequest struct {
	sized
	Source      *source `json:"source"`
	Platform    string  `json:"platform"`
	Handle      string  `json:"handle"`
	DisplayName string  `json:"display_name"`
	Guest       *guest  `json:"guest"`
}

// source is what a new computer's disk begins as.
type source struct {
	Kind     string `json:"kind"`
	Image    string `json:"image_id"`
	Snapshot string `json:"snapshot_id"`
}

// guest is what a new computer is told of its user.
type guest struct {
	AuthorizedKeys []string `json:"authorized_keys"`
}

// createComputer serves POST /computers.
func (a *API) createComputer(c *gin.Context) error {
	var req createComputerRequest
	if err := a.ReadAny(c, &req); err != nil {
		return err
	}
	return a.create(c, req)
}

func (a *API) create(c *gin.Context, req createComputerRequest) error {
	spec, err := a.asked(c, req)
	if err != nil {
		return err
	}
	caller, err := a.Caller(c)
	if err != nil {
		return err
	}
	asked, err := a.Computers.Create(c.Request.Context(), caller, spec)
	if err == nil {
		a.answer(c, http.StatusAccepted, asked)
	}
	return err
}

// asked is the computer that a request asks for. One made from a snapshot has
// the size of the snapshot's computer if it asks for none.
func (a *API) asked(c *gin.Context, r createComputerRequest) (state.Computer, error) {
	have, err := platform(r.Platform)
	if err != nil {
		return state.Computer{}, err
	}
	if r.Source != nil && r.Source.Kind == "snapshot" && door.LooksLikeID(r.Source.Snapshot) {
		s, err := a.snapshotNamed(c, state.SnapshotID(r.Source.Snapshot))
		if err != nil {
			return state.Computer{}, err
		}
		have = preset{presetOf(s.Size), "", s.Size.MemoryBytes / mebibyte, s.Size.DiskBytes}
	}
	size, err := r.wanted(have)
	if err != nil {
		return state.Computer{}, err
	}
	if r.Platform == platformMac {
		return state.Computer{}, unavailablePlatform()
	}
	spec := state.Computer{Origin: state.OriginAgentComputer, Handle: r.Handle, Name: r.DisplayName,
		MemoryBytes: size.MemoryMiB * mebibyte, DiskBytes: size.StorageBytes, Egress: true}
	for _, check := range []error{r.source(&spec), handle(r.Handle), name("display_name", r.DisplayName), r.keys(&spec)} {
		if check != nil {
			return spec, check
		}
	}
	return spec, nil
}

func (r createComputerRequest) source(spec *state.Computer) error {
	if r.Source == nil {
		return nil
	}
	switch r.Source.Kind {
	case "", "image":
		if len(r.Source.Image) > maxImageBytes {
			return invalid("source.image_id", "source.image_id must be at most %d bytes", maxImageBytes)
		}
		spec.Image = r.Source.Image
	case "snapshot":
		if !door.LooksLikeID(r.Source.Snapshot) {
			return invalid("source.snapshot_id", "source.snapshot_id is not an id")
		}
		spec.Source = state.SnapshotID(r.Source.Snapshot)
	default:
		return invalid("source.kind", "source.kind must be image or snapshot, not %.40q", r.Source.Kind)
	}
	return nil
}

func (r createComputerRequest) keys(spec *state.Computer) error {
	if r.Guest == nil {
		return nil
	}
	if len(r.Guest.AuthorizedKeys) > maxAuthorizedKeys {
		return invalid("guest.authorized_keys", "guest.authorized_keys must have at most %d keys", maxAuthorizedKeys)
	}
	for i, k := range r.Guest.AuthorizedKeys {
		if len(k) > maxKeyBytes || strings.ContainsAny(k, "\r\n") {
			return invalid("guest.authorized_keys", "guest.authorized_keys[%d] must be one line of at most %d bytes", i, maxKeyBytes)
		}
	}
	spec.AuthorizedKeys = r.Guest.AuthorizedKeys
	return nil
}

var (
	// handles are DNS labels that leave room for a port before them.
	handles = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$`)
	uuids   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
)

// handle refuses what cannot be part of a host name, or would be taken for an
// id; empty is none.
func handle(text string) error {
	if text == "" {
		return nil
	}
	if !handles.MatchString(text) || strings.Contains(text, "--") || uuids.MatchString(text) {
		return invalid("handle", "handle must be 1 to 40 lower-case letters, digits and single hyphens, with a letter or digit at each end")
	}
	return nil
}

func name(field, text string) error {
	if len(text) > maxNameBytes {
		return invalid(field, "%s must be at most %d bytes", field, maxNameBytes)
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return invalid(field, "%s must not hold control characters", field)
	}
	return nil
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
