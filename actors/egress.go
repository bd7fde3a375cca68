package actors

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
)

// networkField is what rules are called where people write them.
const networkField = "networkAccess"

// rulesOf reads a networkAccess object; nil has no rules. A field that it does
// not know is refused: a mistyped one would leave everything open.
func rulesOf(object []byte) (state.NetworkRules, error) {
	if len(object) == 0 {
		return state.NetworkRules{}, nil
	}
	var lists struct {
		Allow []string `json:"allow"`
		Deny  []string `json:"deny"`
	}
	d := json.NewDecoder(bytes.NewReader(object))
	d.DisallowUnknownFields()
	if d.Decode(&lists) != nil {
		return state.NetworkRules{}, fault.New(fault.Invalid, networkField+` must be {"allow": [...], "deny": [...]} with texts`).WithField(networkField)
	}
	e, err := runtime.ParseEgress(true, lists.Allow, lists.Deny)
	var wrong *runtime.RuleError
	if errors.As(err, &wrong) {
		return state.NetworkRules{}, fault.New(fault.Invalid, "%s.%s", networkField, wrong.Error()).WithField(networkField + "." + wrong.Field)
	}
	return state.NetworkRules{Allow: e.Allow, Deny: e.Deny}, err
}

// egressOf is what a record says that its computer may connect to.
func egressOf(c state.Computer) runtime.Egress {
	return runtime.Egress{Allowed: c.Connects(), Allow: c.Network.Allow, Deny: c.Network.Deny}
}

// egressDiffers reports whether a driver holds a computer to other rules than
// its record has.
func (d *ownership) egressDiffers(status runtime.Status, c state.Computer) bool {
	_, can := d.driver.(runtime.Networker)
	return can && !status.Spec.Egress.Equal(egressOf(c))
}

// setEgress holds a computer to the rules of its record, connections that are
// open included.
func (d *ownership) setEgress(ctx context.Context, c state.Computer) error {
	n, ok := d.driver.(runtime.Networker)
	if !ok {
		return fault.New(fault.Unsupported, "this driver cannot change what a computer may connect to")
	}
	return n.SetEgress(ctx, runtime.Epoch(c.Epoch), runtime.ID(c.ID), egressOf(c))
}
