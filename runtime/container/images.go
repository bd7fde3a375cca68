package container

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/bothy-computer/bothy/runtime"
)

// ListImages implements runtime.Imager. An image of several names is told under
// each; one that only its digest names is left out.
func (d *Driver) ListImages(ctx context.Context) ([]runtime.Image, error) {
	infos, err := d.Images.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	var all []runtime.Image
	for _, i := range infos {
		for _, name := range i.Names {
			all = append(all, runtime.Image{Name: name, Digest: i.Digest, Description: i.Description, State: string(i.State), Reason: i.Reason,
				Desktop: i.Config.Desktop != "", Created: i.Created})
		}
	}
	slices.SortFunc(all, func(a, b runtime.Image) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}
