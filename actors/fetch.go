package actors

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
)

// maxAsked bounds the nodes that are asked for an image.
const maxAsked = 16

// wanted is an image that a computer is to be made of.
type wanted struct {
	digest  string
	name    string       // that it is to have here; "" for none
	builder state.NodeID // that made it, if that is known
}

// wantedBy finds out which image a computer's record means. Names are each
// node's own, but for those of the images that environments of its account have.
func wantedBy(v *state.View, c state.Computer) (w wanted, err error) {
	if strings.HasPrefix(c.Image, "sha256:") {
		w.digest = c.Image
	} else if e, ok, err := v.EnvironmentTagged(c.Image); err != nil {
		return w, err
	} else if ok && e.Account == c.Account {
		w.digest, w.name = e.Build.Digest, c.Image
		c.Environment = e.ID
	}
	if w.digest == "" || c.Environment == "" {
		return w, nil
	}
	err = v.BuildsOf(c.Environment, func(b state.Build) bool {
		if b.Digest == w.digest {
			w.builder = b.Node
		}
		return w.builder == ""
	})
	return w, err
}

// toAsk lists the nodes that may have an image: the one that made it, then all
// others that may act, by name.
func toAsk(self, builder state.NodeID, members []state.Node) []state.Node {
	var first, rest []state.Node
	for _, n := range members {
		switch {
		case n.ID == self || !n.Leased():
		case n.ID == builder:
			first = append(first, n)
		default:
			rest = append(rest, n)
		}
	}
	all := append(first, rest...)
	return all[:min(len(all), maxAsked)]
}

// withImage does what needs a computer's image, and fetches that from another
// node where this one lacks it.
func (d *ownership) withImage(ctx context.Context, c state.Computer, act func() error) error {
	err := act()
	if !errors.Is(err, runtime.ErrNoImage) {
		return err
	}
	fetched, fetchErr := d.fetchImage(ctx, c)
	if fetchErr != nil {
		return fetchErr
	}
	if !fetched {
		return err
	}
	if err := d.held(); err != nil { // it may have taken long
		return err
	}
	return act()
}

// fetchImage brings a computer's image from another node; false when it is
// none that nodes share, or there is no other node.
func (d *ownership) fetchImage(ctx context.Context, c state.Computer) (bool, error) {
	into, ok := d.driver.(runtime.Distributor)
	if !ok || d.remote.client == nil {
		return false, nil
	}
	var nodes []state.Node
	want, err := applied(d.cluster, func(v *state.View) (wanted, error) {
		w, err := wantedBy(v, c)
		if err != nil {
			return w, err
		}
		nodes, err = v.Nodes()
		return w, err
	})
	if err != nil {
		return false, fmt.Errorf("find image %s: %w", c.Image, err)
	}
	nodes = toAsk(d.cluster.Self(), want.builder, nodes)
	if want.digest == "" || len(nodes) == 0 {
		return false, nil
	}
	var answers []string
	for _, n := range nodes {
		err := into.FetchImage(ctx, want.name, want.digest, imagesOf{d.remote, n.ID})
		switch {
		case err == nil:
			d.log.Info("image fetched from another node", "computer", string(c.ID), "image", want.digest, "node", n.Name)
			return true, nil
		case errors.Is(err, runtime.ErrOtherHost):
			return false, fault.New(fault.Conflict, "the image was built on the host image of node %s, which this node's differs from; "+
				"set computer.image: debian (or another image) for a cluster of unlike machines, then build again", n.Name)
		case errors.Is(err, runtime.ErrFull), ctx.Err() != nil:
			return false, err
		}
		d.log.Warn("image not fetched", "computer", string(c.ID), "image", want.digest, "node", n.Name, "err", err)
		answers = append(answers, n.Name+": "+faultText(translate(err)))
	}
	return false, fault.New(fault.Unavailable, "image %s is not on this node, and no other could give it (%s)",
		want.digest, strings.Join(answers, "; ")).WithRetry(retryMailbox)
}
