package actors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
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
	builder state.NodeID // that made or brought it, if that is known
	remedy  string       // what to do when no node has it any more
	// environment is the one whose newest image it is, which can be built again;
	// the zero Environment for none.
	environment state.Environment
}

// broughtWanted is an image that somebody brought.
func broughtWanted(i state.Image) wanted {
	w := wanted{digest: i.Digest, builder: i.Node, remedy: "import " + i.Name + " again under another name"}
	if i.Reference != "" {
		w.remedy = "pull " + i.Reference + " again under another name"
	}
	return w
}

// wantedBy finds out which image a computer's record means. Names are each
// node's own, but for those of the images that environments of its account have,
// and of shared ones.
func wantedBy(v *state.View, c state.Computer) (w wanted, err error) {
	if strings.HasPrefix(c.Image, "sha256:") {
		w.digest = c.Image
	} else if e, ok, err := v.EnvironmentTagged(c.Image); err != nil {
		return w, err
	} else if ok && e.Account == c.Account {
		w.digest, w.name = e.Build.Digest, c.Image
		c.Environment = e.ID
	} else if i, ok, err := v.SharedImage(c.Image); err != nil {
		return w, err
	} else if ok {
		w = broughtWanted(i)
		w.name = c.Image
		return w, nil
	}
	if w.digest == "" {
		return w, nil
	}
	if c.Environment == "" {
		w.remedy = "no computer can be made of it"
		err = v.ImagesWith(w.digest, func(i state.Image) bool { w = broughtWanted(i); return false })
		return w, err
	}
	w.remedy = fmt.Sprintf("build environment %s again with force", c.Environment)
	if e, err := v.Environment(c.Account, c.Environment); err == nil && e.Build.Digest == w.digest {
		w.environment = e
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

// lost reports whether no node can ever give the image: whoever made it is no member
// any more, and every member has been asked.
func (w wanted) lost(members []state.Node, asked int) bool {
	gone := !slices.ContainsFunc(members, func(n state.Node) bool { return n.ID == w.builder })
	return w.builder != "" && gone && asked == len(members)-1
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
// none that nodes share.
func (d *ownership) fetchImage(ctx context.Context, c state.Computer) (bool, error) {
	want, err := applied(d.cluster, func(v *state.View) (wanted, error) { return wantedBy(v, c) })
	if err != nil {
		return false, fmt.Errorf("find image %s: %w", c.Image, err)
	}
	into, ok := d.driver.(runtime.Distributor)
	if want.digest == "" || !ok {
		return false, nil
	}
	return true, d.bringImage(ctx, into, want)
}

// bringImage brings an image from another node, unless it is here.
func (d *ownership) bringImage(ctx context.Context, into runtime.Distributor, want wanted) error {
	err := into.FetchImage(ctx, want.name, want.digest, nobody{})
	if !errors.Is(err, runtime.ErrNoImage) {
		return err // it only lacked its name
	}
	members, err := applied(d.cluster, (*state.View).Nodes)
	if err != nil {
		return fmt.Errorf("find image %s: %w", want.digest, err)
	}
	nodes := toAsk(d.cluster.Self(), want.builder, members)
	if d.remote.client == nil {
		nodes = nil
	}
	var answers []string
	for _, n := range nodes {
		err := into.FetchImage(ctx, want.name, want.digest, imagesOf{d.remote, n.ID})
		switch {
		case err == nil:
			d.log.Info("image fetched from another node", "image", want.digest, "node", n.Name)
			return nil
		case errors.Is(err, runtime.ErrOtherHost):
			return fault.New(fault.Conflict, "the image was built on the host image of node %s, which this node's differs from; "+
				"set computer.image: debian (or another image) for a cluster of unlike machines, then build again", n.Name)
		case errors.Is(err, runtime.ErrFull), ctx.Err() != nil:
			return err
		}
		d.log.Warn("image not fetched", "image", want.digest, "node", n.Name, "err", err)
		answers = append(answers, n.Name+": "+faultText(translate(err)))
	}
	if id := want.environment.ID; id != "" && want.lost(members, len(nodes)) {
		err := d.rebuild(ctx, want.environment)
		if err == nil {
			return fault.New(fault.Unavailable, "image %s was lost with the node that built it; environment %s is built again: try again when that is over",
				want.digest, id).WithRetry(retryMailbox)
		}
		d.log.Warn("an image that was lost is not built again", "environment", string(id), "err", err)
	}
	if len(answers) == 0 {
		answers = []string{"there is no other node"}
	}
	return fault.New(fault.Unavailable, "image %s is not on this node, and no other could give it (%s); if the node that had it does not come back, %s",
		want.digest, strings.Join(answers, "; "), want.remedy).WithRetry(retryMailbox)
}

// nobody is a source that has no image.
type nobody struct{}

func (nobody) Manifest(context.Context, string) ([]byte, error) { return nil, runtime.ErrNoImage }

func (nobody) Layer(context.Context, string, int64) (io.ReadCloser, error) {
	return nil, runtime.ErrNoImage
}
