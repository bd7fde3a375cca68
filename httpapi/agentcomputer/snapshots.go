package agentcomputer

import (
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
)

func (a *API) snapshotRoutes() []door.Route {
	return []door.Route{
		{Method: "GET", Path: "/computers/:id/snapshots", Scopes: reading, Serve: a.Handle(a.listSnapshots)},
		{Method: "POST", Path: "/computers/:id/snapshots", Scopes: writing, Serve: a.Handle(a.createSnapshot)},
		{Method: "GET", Path: "/snapshots/:snapshot", Scopes: reading, Serve: a.Handle(a.getSnapshot)},
		{Method: "DELETE", Path: "/snapshots/:snapshot", Scopes: writing, Serve: a.Handle(a.deleteSnapshot)},
		{Method: "POST", Path: "/snapshots/:snapshot/restore", Scopes: writing, Serve: a.Handle(a.restoreSnapshot)},
	}
}

// snapshot is a computer's disk as it was, on the wire.
type snapshot struct {
	ID            string     `json:"id"`
	ComputerID    string     `json:"computer_id"`
	ImageID       string     `json:"image_id"`
	State         string     `json:"state"`
	CaptureScope  string     `json:"capture_scope"`
	RuntimeState  string     `json:"runtime_state"`
	DurableState  string     `json:"durable_state"`
	DurableReason *string    `json:"durable_failure_reason"`
	DurableAt     *time.Time `json:"durable_ready_at"`
	LocalAt       *time.Time `json:"local_ready_at"`
	FailureReason *string    `json:"failure_reason"`
	// Name says of a disk that a computer left on a node where; the contract has none.
	Name      string    `json:"name,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

func snapshotOf(v *state.View, s state.Snapshot) (snapshot, error) {
	durable, reason, err := v.Durability(s)
	return snapshot{ID: string(s.ID), ComputerID: string(s.Computer), ImageID: s.Image, State: string(s.Phase), CaptureScope: "filesystem",
		RuntimeState: "absent", DurableState: string(durable), DurableReason: maybe(reason), DurableAt: maybeTime(s.DurableAt),
		LocalAt: maybeTime(s.ReadyAt), FailureReason: maybe(s.Error), Name: s.Name, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt}, err
}

func (a *API) answerSnapshot(c *gin.Context, status int, asked actors.SnapshotAsked) error {
	body := struct {
		Snapshot  snapshot   `json:"snapshot"`
		Operation *operation `json:"operation,omitempty"`
	}{Operation: operationOf(asked.Operation)}
	err := a.Look(c, func(v *state.View) (err error) {
		body.Snapshot, err = snapshotOf(v, asked.Snapshot)
		return err
	})
	if err == nil {
		c.JSON(status, body)
	}
	return err
}

// listSnapshots serves GET /computers/:id/snapshots, newest first.
func (a *API) listSnapshots(c *gin.Context) error {
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	reply := struct {
		Snapshots []snapshot `json:"snapshots"`
	}{Snapshots: []snapshot{}}
	err = a.LookAll(c, func(v *state.View) error {
		list, err := v.AskedSnapshots(m.ID, state.Page{Limit: state.MaxSnapshots})
		for _, s := range list.Items {
			shown, showErr := snapshotOf(v, s)
			err = errors.Join(err, showErr)
			reply.Snapshots = append(reply.Snapshots, shown)
		}
		return err
	})
	if err == nil {
		ok(c, reply)
	}
	return err
}

// createSnapshot serves POST /computers/:id/snapshots.
func (a *API) createSnapshot(c *gin.Context) error {
	caller, err := a.Caller(c)
	if err != nil {
		return err
	}
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	asked, err := a.Snapshots.Create(c.Request.Context(), caller, m.ID)
	if err != nil {
		return err
	}
	return a.answerSnapshot(c, http.StatusAccepted, asked)
}

// snapshot finds the snapshot in the path.
func (a *API) snapshot(c *gin.Context) (found state.Snapshot, err error) {
	id, err := door.ID(c, "snapshot", "Snapshot")
	if err != nil {
		return found, err
	}
	return a.snapshotNamed(c, state.SnapshotID(id))
}

func (a *API) snapshotNamed(c *gin.Context, id state.SnapshotID) (found state.Snapshot, err error) {
	err = a.Look(c, func(v *state.View) (err error) {
		found, err = v.Snapshot(door.CallerOf(c).Account, id)
		return err
	})
	return found, err
}

// getSnapshot serves GET /snapshots/:snapshot.
func (a *API) getSnapshot(c *gin.Context) error {
	s, err := a.snapshot(c)
	if err != nil {
		return err
	}
	return a.answerSnapshot(c, http.StatusOK, actors.SnapshotAsked{Snapshot: s})
}

// deleteSnapshot serves DELETE /snapshots/:snapshot.
func (a *API) deleteSnapshot(c *gin.Context) error {
	s, err := a.snapshot(c)
	if err != nil {
		return err
	}
	asked, err := a.Snapshots.Delete(c.Request.Context(), door.CallerOf(c), s.ID)
	if err != nil {
		return err
	}
	return a.answerSnapshot(c, http.StatusAccepted, asked)
}

// restoreSnapshot serves POST /snapshots/:snapshot/restore: a new computer.
func (a *API) restoreSnapshot(c *gin.Context) error {
	var req createComputerRequest
	if err := a.ReadAny(c, &req); err != nil {
		return err
	}
	id, err := door.ID(c, "snapshot", "Snapshot")
	if err != nil {
		return err
	}
	req.Source = &source{Kind: "snapshot", Snapshot: id}
	return a.create(c, req)
}
