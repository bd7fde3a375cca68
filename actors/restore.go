package actors

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
)

// restore makes the disk of a computer from its save, or from what was sent. The
// image that the save stands on is fetched where it is not here; if nobody has it
// any more, the workspace alone comes back, over the image that the record names.
func (d *ownership) restore(ctx context.Context, c state.Computer) error {
	image, madeAt := c.Saved.Image, c.Saved.MadeAt
	if c.Sent.Name != "" {
		image, madeAt = c.Sent.Image, c.Sent.MadeAt
	} else if _, store, _ := d.saver(); store != c.Saved.Store {
		return fault.New(fault.Unavailable, "computer %s is saved in blob store %s, which this node does not reach; it has to have the same blob configuration as the others", c.ID, c.Saved.Store)
	}
	spec := specOf(c)
	spec.Saved, spec.Sent = savedOf(c), sentOf(c)
	spec.Image = d.imageNamed(ctx, c.Image, image)
	create := func() error { return d.driver.Create(ctx, runtime.Epoch(c.Epoch), spec) }
	begun := d.now()
	was := c
	was.Image = image
	err := d.withImage(ctx, was, create)
	if ctx.Err() == nil && (errors.Is(err, runtime.ErrNoImage) || fault.Is(err, fault.Conflict) || fault.Is(err, fault.Unavailable)) {
		d.log.Warn("the image of a save cannot be had: its workspace alone is restored", "computer", string(c.ID), "image", image, "err", err)
		spec.Image = c.Image
		err = d.withImage(ctx, c, create)
	}
	d.metrics.restored(d.now().Sub(begun), err)
	if err != nil {
		return fmt.Errorf("restore the save of %s: %w", madeAt.UTC().Format("2006-01-02T15:04:05Z"), err)
	}
	return nil
}

// imageNamed is the name of an image if that is the one of a digest here, and
// otherwise "", which is a save's own.
func (d *ownership) imageNamed(ctx context.Context, name, digest string) string {
	if i, ok := d.driver.(runtime.Imager); ok {
		here, err := i.ListImages(ctx)
		if err != nil {
			d.log.Warn("list images", "err", err)
		}
		for _, image := range here {
			if image.Name == name && image.Digest == digest {
				return name
			}
		}
	}
	return ""
}

// adopt records that the disk here was made from the save that the record names.
func (d *ownership) adopt(ctx context.Context, c state.Computer) error {
	status, err := d.driver.Inspect(ctx, runtime.ID(c.ID))
	if err != nil {
		return err
	}
	name := cmp.Or(sentOf(c), savedOf(c)).Name
	if _, err = d.cluster.Apply(ctx, state.RestoreDisk{Computer: c.ID, Epoch: c.Epoch, Save: name, Bared: status.Bared}); err != nil || c.Sent.Name == "" {
		return err
	}
	d.forgetSent(ctx, c.ID)
	return nil
}
