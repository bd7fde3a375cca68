package actors

import (
	"context"
	"fmt"
	"strings"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/build"
)

// maxListedImages bounds the images of environments in one list.
const maxListedImages = 1000

// Images are what computers can be made of: those that this node knows, which
// are for everybody, and those that an account's environments were built as.
type Images struct {
	driver  Driver
	cluster Cluster
}

// List returns what an account's computers can be made of: the images of this
// node by name, some of which are made only when they are first asked for, and
// then those of the account's environments.
func (i *Images) List(ctx context.Context, account state.AccountID) ([]runtime.Image, error) {
	public, err := i.public(ctx)
	if err != nil {
		return nil, err
	}
	own, err := view(ctx, i.cluster, func(v *state.View) ([]runtime.Image, error) { return builtFor(v, account) })
	return append(public, own...), err
}

// public are the images that belong to nobody.
func (i *Images) public(ctx context.Context) ([]runtime.Image, error) {
	all, err := i.all(ctx)
	var public []runtime.Image
	for _, one := range all {
		if !build.IsTag(one.Name) {
			public = append(public, one)
		}
	}
	return public, err
}

func (i *Images) all(ctx context.Context) ([]runtime.Image, error) {
	m, ok := i.driver.(runtime.Imager)
	if !ok {
		return nil, nil
	}
	all, err := m.ListImages(ctx)
	return all, translate(err)
}

// builtFor lists the images of an account's environments, by their tags.
func builtFor(v *state.View, account state.AccountID) ([]runtime.Image, error) {
	list, err := v.Environments(account, true, state.Page{Limit: maxListedImages}, nil)
	var own []runtime.Image
	for _, e := range list.Items {
		if e.Build.Digest != "" {
			own = append(own, runtime.Image{Name: e.Build.Tag, Digest: e.Build.Digest, State: "active",
				Description: fmt.Sprintf("Built for the environment %s", e.Name), Created: e.Build.At})
		}
	}
	return own, err
}

// Find describes the image of a computer, by its name or digest, as far as
// this node knows it.
func (i *Images) Find(ctx context.Context, image string) (runtime.Image, bool, error) {
	all, err := i.all(ctx)
	for _, one := range all {
		if one.Name == image || one.Digest == image {
			return one, true, err
		}
	}
	return runtime.Image{}, false, err
}

// choose is what a computer of an account is to be made of when its user names
// an image: an environment's goes by its digest, which outlives the tag. That
// of another account's is NotFound.
func (i *Images) choose(ctx context.Context, account state.AccountID, name string) (string, error) {
	isDigest := strings.HasPrefix(name, "sha256:")
	if !isDigest && !build.IsTag(name) {
		return name, nil
	}
	all, err := i.List(ctx, account)
	if err != nil {
		return "", err
	}
	for _, one := range all {
		if one.Name == name || isDigest && one.Digest == name {
			return one.Digest, nil
		}
	}
	return "", fault.New(fault.NotFound, "Image not found: %.80q", name).WithField("image_id")
}
