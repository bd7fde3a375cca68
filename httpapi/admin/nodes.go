package admin

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// status serves GET /v1/admin/status. It is what an operator looks at when
// things are broken, so it never waits for a leader.
func (a *API) status(c *gin.Context) error {
	v := a.Records.StaleView()
	defer v.Close()
	reply := wire.ClusterStatus{Node: a.Records.NodeName(a.Records.Self()), Version: a.version, Ready: true, Nodes: []wire.NodeStatus{}}
	if err := a.Records.Ready(); err != nil {
		reply.Ready, reply.Problem = false, err.Error()
	}
	nodes, err := v.Nodes()
	if err != nil {
		return err
	}
	members := a.Nodes.Members()
	for _, n := range nodes {
		one, err := nodeOf(v, n, members[n.ID])
		if err != nil {
			return err
		}
		if one.Leader {
			reply.Leader = one.Name
		}
		reply.Computers += one.Computers
		if err := safety(v, n, &reply.Saves); err != nil {
			return err
		}
		reply.Nodes = append(reply.Nodes, one)
	}
	reply.Saves.OldestMS = a.Computers.OldestUnsaved().Milliseconds()
	if err := counts(v, &reply); err != nil {
		return err
	}
	a.ok(c, reply)
	return nil
}

func nodeOf(v *state.View, n state.Node, m Member) (wire.NodeStatus, error) {
	owned, err := v.CountComputersOn(n.ID)
	return wire.NodeStatus{ID: string(n.ID), Name: n.Name, HTTP: n.HTTPAddr, Peer: n.PeerAddr, Alive: m.Alive, Voter: m.Voter,
		Leader: m.Leader, Leased: n.Leased(), LeaseLeftMS: m.LeaseLeft.Milliseconds(), Incarnation: n.Incarnation,
		Computers: owned, Version: n.Version, Store: n.Store, DrainingSince: wire.Maybe(n.DrainingSince)}, err
}

// safety tells how safe the disks of a node's computers are, added to what is
// known of others.
func safety(v *state.View, n state.Node, s *wire.SaveStatus) error {
	return v.ComputersOn(n.ID, func(c state.Computer) bool {
		if c.DataNode == "" {
			return true
		}
		s.Disks++
		switch {
		case c.Saved.Name == "":
			s.Never++
		case c.Saved.Clean:
			s.Whole++
		case !c.Phase.Up():
			s.Behind++
		}
		if c.SaveError != "" {
			s.Failing++
			s.Reason = c.SaveError
		}
		return true
	})
}

func counts(v *state.View, reply *wire.ClusterStatus) (err error) {
	if reply.RunsPending, err = v.CountRuns(state.RunPending); err != nil {
		return err
	}
	if reply.RunsRunning, err = v.CountRuns(state.RunRunning); err != nil {
		return err
	}
	k, ok, err := v.SecretsKeys()
	if err != nil {
		return err
	}
	if ok && k.Phase != state.Rotated {
		key := secretsKeyOf(k)
		reply.SecretsKey = &key
	}
	reply.AppliedIndex, err = v.AppliedIndex()
	return err
}

// createToken serves POST /v1/admin/tokens.
func (a *API) createToken(c *gin.Context) error {
	token, expires, err := a.Nodes.JoinToken(c.Request.Context())
	if err != nil {
		return err
	}
	c.Header("Cache-Control", "no-store")
	c.JSON(http.StatusCreated, wire.Token{Token: token, ExpiresAt: wire.At(expires)})
	return nil
}

// removeNode serves DELETE /v1/admin/nodes/:id; a node's name will do for its id.
// With ?force=true one that is away goes with the computers that it owns.
func (a *API) removeNode(c *gin.Context) error {
	n, err := a.node(c)
	if err != nil {
		return err
	}
	remove := a.Nodes.Remove
	switch c.Query("force") {
	case "true":
		remove = a.Nodes.Abandon
	case "", "false":
	default:
		return invalid("force", "force is true or false")
	}
	if err := remove(c.Request.Context(), n); err != nil {
		return err
	}
	a.ok(c, wire.Done{Success: true, Deleted: true})
	return nil
}

// node is the member that the path names, by id or name.
func (a *API) node(c *gin.Context) (state.NodeID, error) {
	v, err := a.Records.View(c.Request.Context())
	if err != nil {
		return "", err
	}
	defer v.Close()
	nodes, err := v.Nodes()
	if err != nil {
		return "", err
	}
	wanted := c.Param("id")
	for _, n := range nodes {
		if wanted == string(n.ID) || wanted == n.Name {
			return n.ID, nil
		}
	}
	return "", fault.New(fault.NotFound, "Node not found: %s", wanted)
}
