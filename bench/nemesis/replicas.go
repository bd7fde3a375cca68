package nemesis

import (
	"context"
	"errors"
	"fmt"

	"github.com/bothy-computer/bothy/bench/house"
)

// replicas holds the nodes' records against each other, to the byte, whatever builds
// applied them. It ends the nodes: nobody is at work any more.
type replicas struct{ p *game }

func (w *replicas) work(context.Context) {}

func (w *replicas) judge(context.Context) (seen string, err error) {
	var errs []error
	for _, n := range w.p.house.Nodes {
		errs = append(errs, n.Kill())
	}
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	var all []*house.Replica
	defer func() {
		for _, r := range all {
			err = errors.Join(err, r.Close())
		}
	}()
	for _, n := range w.p.house.Nodes {
		r, err := n.Replica()
		if err != nil {
			return "", err
		}
		all = append(all, r)
	}
	return w.compare(all)
}

// compare brings all to the same entry, the newest that any has, and compares.
func (w *replicas) compare(all []*house.Replica) (string, error) {
	ahead, at := all[0], uint64(0)
	for _, r := range all {
		index, err := r.Applied()
		if err != nil {
			return "", err
		}
		if index > at {
			ahead, at = r, index
		}
	}
	var first map[string]house.Table
	var wrong []error
	keys := 0
	for i, r := range all {
		if err := r.CatchUp(ahead); err != nil {
			return "", err
		}
		tables, err := r.Tables()
		if err != nil {
			return "", err
		}
		if first == nil {
			first = tables
		}
		for name := range first {
			tables[name] = tables[name] // also one that is empty here
		}
		for name, t := range tables {
			if t != first[name] {
				wrong = append(wrong, fmt.Errorf("%s has %d other keys of %q, where %s has %d",
					w.p.house.Nodes[i].Name, t.Keys, name, w.p.house.Nodes[0].Name, first[name].Keys))
			}
			if i == 0 {
				keys += t.Keys
			}
		}
	}
	return fmt.Sprintf("%d keys in %d tables at entry %d, to the byte the same on every node", keys, len(first), at), errors.Join(wrong...)
}
