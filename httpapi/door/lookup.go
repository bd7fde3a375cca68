package door

import (
	"errors"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// Headers that tell about the answer.
const (
	HeaderStale = "X-Bothy-Stale" // true: from records that no leader confirmed
	HeaderOwner = "X-Bothy-Owner" // name of the node that owns the computer
)

// Look reads one record. When no leader answers, a record that is here is
// given as stale; that one is not here proves nothing then.
func (d *Door) Look(c *gin.Context, read func(*state.View) error) error {
	return d.look(c, read, false)
}

// LookAll reads a list. When no leader answers it fails: a list that lacks
// something cannot be told from a whole one.
func (d *Door) LookAll(c *gin.Context, read func(*state.View) error) error {
	return d.look(c, read, true)
}

func (d *Door) look(c *gin.Context, read func(*state.View) error, whole bool) error {
	asked, err := wantsStale(c)
	if err != nil {
		return err
	}
	var leaderless error
	if !asked {
		v, err := d.Records.View(c.Request.Context())
		if err == nil {
			defer v.Close()
			return read(v)
		}
		if !noLeader(err) || whole {
			return err
		}
		leaderless = err
	}
	v := d.Records.StaleView()
	defer v.Close()
	err = read(v)
	if leaderless != nil && fault.Is(err, fault.NotFound) {
		return leaderless
	}
	if err == nil {
		c.Header(HeaderStale, "true")
	}
	return err
}

func wantsStale(c *gin.Context) (bool, error) {
	switch c.Query("consistency") {
	case "", "linearizable":
		return false, nil
	case "stale":
		return true, nil
	}
	return false, fault.New(fault.Invalid, "consistency must be linearizable or stale").WithField("consistency")
}

// noLeader reports whether a read failed only because no leader confirmed it.
func noLeader(err error) bool {
	var f *fault.Error
	return errors.As(err, &f) && f.Kind == fault.Unavailable && f.Code != actors.CodeDraining
}

// Owner names the node that owns a computer in the reply's headers. A computer
// that no node has claimed yet has none.
func (d *Door) Owner(c *gin.Context, v *state.View, id state.ComputerID) error {
	computer, ok, err := v.AnyComputer(id)
	if err != nil || !ok || computer.Node == "" {
		return err
	}
	c.Header(HeaderOwner, d.Records.NodeName(computer.Node))
	return nil
}

// OwnerNow is Owner for a reply to a change, read from this node's replica: it
// has applied the change.
func (d *Door) OwnerNow(c *gin.Context, id state.ComputerID) {
	v := d.Records.StaleView()
	defer v.Close()
	if err := d.Owner(c, v, id); err != nil {
		d.Log.WarnContext(c.Request.Context(), "owner not read", "computer", id, "err", err)
	}
}
