package actors

import (
	"context"

	"github.com/bothy-computer/bothy/runtime"
)

// Images are what computers can be made of, as this node knows them: each node
// makes or imports its own.
type Images struct{ driver Driver }

// List returns the images of this node by name; some are made only when they
// are first asked for.
func (i *Images) List(ctx context.Context) ([]runtime.Image, error) {
	m, ok := i.driver.(runtime.Imager)
	if !ok {
		return nil, nil
	}
	all, err := m.ListImages(ctx)
	return all, translate(err)
}
