package state

import (
	"github.com/bothy-computer/bothy/cluster/fault"
)

// Results of commands are kept until their proposer has acknowledged them, so
// that a proposal sent again after an unclear answer finds what it did.

func resultKey(id CommandID) []byte {
	return numbered("result", id.Counter, string(id.Node), string(encodeText(id.Incarnation)))
}

func recall(r Reader, id CommandID) (*Result, error) {
	b, err := r.Get(resultKey(id))
	if err != nil || b == nil {
		return nil, err
	}
	var result Result
	if err := Decode(b, &result); err != nil {
		return nil, err
	}
	return &result, nil
}

func remember(w Writer, p Proposal, result Result) error {
	b, err := Encode(result)
	if err != nil {
		return err
	}
	if err := w.Set(resultKey(p.ID), b); err != nil {
		return err
	}
	low, err := w.Get(lowKey(p.ID))
	if err != nil {
		return err
	}
	have, err := decodeUint(low)
	if err != nil || p.Acked <= have {
		return err
	}
	from, to := p.ID, p.ID
	from.Counter, to.Counter = have, p.Acked+1
	if err := w.DeleteRange(resultKey(from), resultKey(to)); err != nil {
		return err
	}
	return w.Set(lowKey(p.ID), encodeUint(p.Acked))
}

func lowKey(id CommandID) []byte {
	return key("low", string(id.Node), encodeText(id.Incarnation))
}

// checkIncarnation refuses commands of a node's earlier lives, and those whose
// result was already acknowledged and forgotten.
func checkIncarnation(r Reader, id CommandID) error {
	node, err := nodes.get(r, string(id.Node))
	if err != nil {
		return err
	}
	if node.Expired {
		return fault.New(fault.Moved, "the lease of node %s ran out in incarnation %d", node.Name, id.Incarnation)
	}
	if node.Incarnation != id.Incarnation {
		return fault.New(fault.Moved, "node %s is in incarnation %d; this command is of %d", node.Name, node.Incarnation, id.Incarnation)
	}
	low, err := r.Get(lowKey(id))
	if err != nil {
		return err
	}
	acked, err := decodeUint(low)
	if err == nil && id.Counter <= acked {
		err = fault.New(fault.Moved, "command %d of node %s was acknowledged before", id.Counter, node.Name)
	}
	return err
}

// forgetIncarnation drops the results of a life that is over.
func forgetIncarnation(w Writer, node NodeID, incarnation uint64) error {
	id := CommandID{Node: node, Incarnation: incarnation}
	prefix := key("result", string(node), encodeText(incarnation))
	if err := w.DeleteRange(prefix, after(prefix)); err != nil {
		return err
	}
	return w.Delete(lowKey(id))
}
