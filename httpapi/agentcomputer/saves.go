package agentcomputer

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
)

// saved is what a computer's disk off its node is like, on the wire. The
// contract has none of it: clients that do not know it pass it over.
type saved struct {
	// SavedAt is the moment that the newest save shows, and SavedWhole says that
	// nothing can have been written since.
	SavedAt     *time.Time `json:"saved_at"`
	SavedWhole  bool       `json:"saved_whole"`
	SaveFailure *string    `json:"save_failure_reason"`
	// RestoredAt is when the disk was last made from a save, of RestoredFrom.
	RestoredAt   *time.Time `json:"restored_at"`
	RestoredFrom *time.Time `json:"restored_from_save_at"`
}

func savedOf(m state.Computer) saved {
	return saved{SavedAt: maybeTime(m.Saved.MadeAt), SavedWhole: m.Saved.Clean, SaveFailure: maybe(m.SaveError),
		RestoredAt: maybeTime(m.Restored.At), RestoredFrom: maybeTime(m.Restored.MadeAt)}
}

// saveComputer serves POST /computers/:id/actions/save: when it answers, what
// was on the disk when it was asked is off the node.
func (a *API) saveComputer(c *gin.Context) error {
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	m, err = a.Computers.Save(c.Request.Context(), door.CallerOf(c), m.ID)
	if err == nil {
		a.answer(c, http.StatusOK, actors.Asked{Computer: m})
	}
	return err
}

// recoverComputer serves POST /computers/:id/actions/recover.
func (a *API) recoverComputer(c *gin.Context) error {
	var req struct {
		From string `json:"from"`
	}
	if err := a.Read(c, &req); err != nil {
		return err
	}
	if req.From != "save" {
		return invalid("from", `from must be "save": what changed on the node that is away since the last save is given up`)
	}
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	m, err = a.Computers.Recover(c.Request.Context(), door.CallerOf(c), m.ID)
	if err == nil {
		a.answer(c, http.StatusOK, actors.Asked{Computer: m})
	}
	return err
}
