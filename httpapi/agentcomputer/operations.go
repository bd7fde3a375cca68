package agentcomputer

import (
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
)

func (a *API) operationRoutes() []door.Route {
	return []door.Route{{Method: "GET", Path: "/operations/:operation", Scopes: reading, Serve: a.Handle(a.getOperation)}}
}

// operation is the handle of a slow request.
type operation struct {
	ID           string     `json:"id"`
	Kind         string     `json:"kind"`
	ResourceType string     `json:"resource_type"`
	ResourceID   string     `json:"resource_id"`
	Status       string     `json:"status"`
	ErrorMessage *string    `json:"error_message"`
	CreatedAt    time.Time  `json:"created_at"`
	UpdatedAt    time.Time  `json:"updated_at"`
	StartedAt    *time.Time `json:"started_at"`
	CompletedAt  *time.Time `json:"completed_at"`
}

// operationOf is an operation on the wire; none stays none.
func operationOf(o *state.Operation) *operation {
	if o == nil {
		return nil
	}
	w := &operation{ID: string(o.ID), Kind: string(o.Kind), ResourceType: "computer", ResourceID: string(o.Computer), Status: string(o.Status),
		ErrorMessage: maybe(o.Error), CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt, StartedAt: maybeTime(o.StartedAt), CompletedAt: maybeTime(o.EndedAt)}
	if o.Kind == state.CreateSnapshotOperation || o.Kind == state.DeleteSnapshotOperation {
		w.ResourceType, w.ResourceID = "snapshot", string(o.Snapshot)
	}
	return w
}

func maybe(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func maybeTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// getOperation serves GET /operations/:operation.
func (a *API) getOperation(c *gin.Context) error {
	id, err := door.ID(c, "operation", "Operation")
	if err != nil {
		return err
	}
	var found state.Operation
	err = a.Look(c, func(v *state.View) (err error) {
		found, err = v.Operation(door.CallerOf(c).Account, state.OperationID(id))
		return err
	})
	if err == nil {
		ok(c, gin.H{"operation": operationOf(&found)})
	}
	return err
}
