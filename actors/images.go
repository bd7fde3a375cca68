package actors

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/build"
	"github.com/bothy-computer/bothy/runtime/image"
)

const (
	// maxListedImages bounds the images of environments in one list.
	maxListedImages = 1000
	// maxImageName bounds the name of an image.
	maxImageName = 128
	// maxImports bounds the archives that a node takes at once.
	maxImports = 4
	// importTime bounds the import of one, its arrival included.
	importTime = time.Hour
	// imageIDPrefix begins the id of every image that was brought.
	imageIDPrefix = "img_"
)

// Images are what computers can be made of: those that every node makes by
// itself, those that somebody brought from outside, which are an account's or
// everybody's, and those that an account's environments were built as.
type Images struct {
	driver    Driver
	cluster   Cluster
	remote    *wire
	bell      *bell
	importing chan struct{} // holds one for each archive on its way in
	exporting chan struct{} // and out
}

// Image is one that an account can use.
type Image struct {
	runtime.Image
	// ID is what a computer is made by. For one that was brought, it and Record
	// are its record's.
	ID     string
	Record *state.Image // nil for what was not brought
}

// NewImage asks for an image from outside.
type NewImage struct {
	Name   string // "" is the Reference
	Shared bool   // for every account; only admin keys may
	// Reference names an image of a registry; "" for an archive that is sent.
	Reference string
}

// List returns what an account's computers can be made of: the images that this
// node makes, some of them only when they are first asked for, those that were
// brought, and those of the account's environments.
func (i *Images) List(ctx context.Context, account state.AccountID) ([]Image, error) {
	all, err := i.all(ctx)
	if err != nil {
		return nil, err
	}
	var list []Image
	for _, one := range all {
		if one.BuiltIn {
			list = append(list, Image{Image: one, ID: one.Name})
		}
	}
	own, err := view(ctx, i.cluster, func(v *state.View) ([]Image, error) {
		brought, err := v.ImagesOf(account)
		var own []Image
		for _, r := range brought {
			own = append(own, broughtAs(r))
		}
		built, builtErr := builtFor(v, account)
		return append(own, built...), cmp.Or(err, builtErr)
	})
	return append(list, own...), err
}

// all are the images that this node has a name for, or could make.
func (i *Images) all(ctx context.Context) ([]runtime.Image, error) {
	m, ok := i.driver.(runtime.Imager)
	if !ok {
		return nil, nil
	}
	all, err := m.ListImages(ctx)
	return all, translate(err)
}

// broughtAs is an image as its record tells.
func broughtAs(r state.Image) Image {
	one := runtime.Image{Name: r.Name, Digest: r.Digest, Description: "Imported from an archive", State: "active", Reason: r.Error,
		Desktop: r.Desktop, Bytes: r.Bytes, Created: r.CreatedAt}
	if r.Reference != "" {
		one.Description = "Pulled from " + r.Reference
	}
	if r.Shared {
		one.Description += ", for every account"
	}
	if r.Phase != state.ImageReady {
		one.State = string(r.Phase)
	}
	return Image{Image: one, ID: string(r.ID), Record: &r}
}

// builtFor lists the images of an account's environments, by their tags.
func builtFor(v *state.View, account state.AccountID) ([]Image, error) {
	list, err := v.Environments(account, true, state.Page{Limit: maxListedImages}, nil)
	var own []Image
	for _, e := range list.Items {
		if e.Build.Digest != "" {
			own = append(own, Image{ID: e.Build.Tag, Image: runtime.Image{Name: e.Build.Tag, Digest: e.Build.Digest, State: "active",
				Description: fmt.Sprintf("Built for the environment %s", e.Name), Created: e.Build.At}})
		}
	}
	return own, err
}

// Get returns an image that an account can use, by its id, name or digest.
func (i *Images) Get(ctx context.Context, account state.AccountID, name string) (Image, error) {
	list, err := i.List(ctx, account)
	if err != nil {
		return Image{}, err
	}
	// A name that failed may have been given anew, so what is there comes first.
	for _, suits := range []func(Image) bool{
		func(one Image) bool { return one.ID == name },
		func(one Image) bool { return one.Name == name && one.State != string(state.ImageFailed) },
		func(one Image) bool { return strings.HasPrefix(name, "sha256:") && one.Digest == name },
		func(one Image) bool { return one.Name == name },
	} {
		for _, one := range list {
			if suits(one) {
				return one, nil
			}
		}
	}
	return Image{}, fault.New(fault.NotFound, "Image not found: %.80q", name).WithField("image_id")
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
	if err != nil {
		return runtime.Image{}, false, err
	}
	var found runtime.Image
	known, err := applied(i.cluster, func(v *state.View) (known bool, err error) {
		err = v.ImagesWith(image, func(r state.Image) bool { found, known = broughtAs(r).Image, true; return false })
		return known, err
	})
	return found, known, err
}

// choose is what a computer of an account is to be made of when its user names
// an image: what belongs to an account goes by its digest, which outlives names.
// What is another account's is NotFound.
func (i *Images) choose(ctx context.Context, account state.AccountID, name string) (string, error) {
	one, err := i.Get(ctx, account, name)
	switch {
	case fault.Is(err, fault.NotFound) && !ownedName(name):
		return name, nil // the node that makes the computer may know it
	case err != nil:
		return "", err
	case one.Record == nil && one.ID == name && !build.IsTag(name):
		return name, nil
	case one.Record != nil && one.Record.Phase != state.ImageReady:
		return "", fault.New(fault.Conflict, "image %s is %s%s", one.Name, one.Record.Phase, because(one.Record.Error)).WithField("image_id")
	}
	return one.Digest, nil
}

// ownedName reports whether a name can only be one of an account's own images.
func ownedName(name string) bool {
	return strings.HasPrefix(name, "sha256:") || strings.HasPrefix(name, imageIDPrefix) || build.IsTag(name)
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// Import takes the archive of an image, an OCI archive or what docker save
// writes, and returns its record. The image stays on this node, and goes to
// others as they need it.
func (i *Images) Import(ctx context.Context, c Caller, n NewImage, archive io.Reader) (Image, error) {
	record, err := i.plan(ctx, c, n)
	if err == nil {
		_, err = view(ctx, i.cluster, func(v *state.View) (struct{}, error) { return struct{}{}, v.ImageFits(record) })
	}
	if err != nil {
		return Image{}, err
	}
	importer, ok := i.driver.(runtime.Importer)
	if !ok {
		return Image{}, fault.New(fault.Unsupported, "this node takes no images")
	}
	select {
	case i.importing <- struct{}{}:
		defer func() { <-i.importing }()
	default:
		return Image{}, fault.New(fault.Unavailable, "this node takes %d images at once, which is its bound; try another node", maxImports).WithRetry(retryMailbox)
	}
	ctx, cancel := context.WithTimeout(ctx, importTime)
	defer cancel()
	brought, err := importer.ImportImage(ctx, archive)
	if err != nil {
		return Image{}, translate(err)
	}
	defer brought.Release() // by then the record keeps it
	record.Phase, record.Digest, record.Bytes, record.Desktop = state.ImageReady, brought.Digest, brought.Bytes, brought.Desktop
	return i.record(ctx, c, record)
}

// Pull has this node pull an image of a registry, with the account's credentials
// there if it has any. The image that it returns is not there yet.
func (i *Images) Pull(ctx context.Context, c Caller, n NewImage) (Image, error) {
	if _, err := image.RegistryOf(n.Reference); err != nil {
		return Image{}, unfit("reference", err)
	}
	record, err := i.plan(ctx, c, n)
	if err != nil {
		return Image{}, err
	}
	record.Phase = state.ImagePulling
	return i.record(ctx, c, record)
}

// Await returns an image as Get does, once it is pulled or that failed, or as it
// is when ctx ends.
func (i *Images) Await(ctx context.Context, account state.AccountID, name string) (Image, error) {
	one, err := i.Get(ctx, account, name)
	if err != nil || one.Record == nil || one.Record.Phase != state.ImagePulling {
		return one, err
	}
	err = i.bell.until(ctx, state.ChangedImage, one.ID, func() (bool, error) {
		r, err := applied(i.cluster, func(v *state.View) (state.Image, error) { return v.Image(account, one.Record.ID) })
		if err == nil {
			one = broughtAs(r)
		}
		return r.Phase != state.ImagePulling, err
	})
	if ctx.Err() != nil {
		err = nil
	}
	return one, err
}

// plan is the record of an image that is to be.
func (i *Images) plan(ctx context.Context, c Caller, n NewImage) (record state.Image, err error) {
	record = state.Image{ID: newID[state.ImageID]("img"), Account: c.Account, Name: cmp.Or(n.Name, n.Reference), Shared: n.Shared,
		Reference: n.Reference, Node: i.cluster.Self()}
	if n.Shared && !c.Key.Admin {
		return record, fault.New(fault.Forbidden, "only an admin key shares an image with every account").WithField("shared")
	}
	return record, i.checkName(ctx, record.Name)
}

// checkName refuses what no Dockerfile could name, and what means something
// else already.
func (i *Images) checkName(ctx context.Context, name string) error {
	wrong := func(format string, args ...any) error {
		return fault.New(fault.Invalid, format, args...).WithField("name")
	}
	switch {
	case name == "":
		return wrong("Missing required field: name")
	case len(name) > maxImageName || build.CheckBase(name) != nil:
		return wrong("name must be at most %d letters, digits, - _ . / : and @, and begin with a letter or digit", maxImageName)
	case ownedName(name) || name == build.DefaultBase:
		return wrong("name must not be %.80q, which means something else", name)
	}
	all, err := i.all(ctx)
	for _, one := range all {
		if one.BuiltIn && one.Name == name {
			return wrong("name must not be %.80q, an image that every node makes", name)
		}
	}
	return err
}

// record makes an image known to all nodes.
func (i *Images) record(ctx context.Context, c Caller, r state.Image) (Image, error) {
	made, err := propose[state.Made](ctx, i.cluster, state.CreateImage{Image: r, Idempotency: c.Idempotency})
	if err != nil {
		return Image{}, err
	}
	r, err = applied(i.cluster, func(v *state.View) (state.Image, error) { return v.Image(c.Account, state.ImageID(made.Resource.ID)) })
	return broughtAs(r), err
}

// Delete forgets an image that was brought, by its id or name; nodes delete it
// when nothing stands on it. While a computer is made of it, that is a Conflict.
func (i *Images) Delete(ctx context.Context, c Caller, name string) error {
	one, err := i.Get(ctx, c.Account, name)
	if err != nil {
		return err
	}
	if one.Record == nil {
		why := "goes with its environment"
		if one.BuiltIn {
			why = "is made by every node"
		}
		return fault.New(fault.Conflict, "image %s %s; only images that were imported or pulled are deleted", one.Name, why)
	}
	_, err = i.cluster.Apply(ctx, state.DeleteImage{Account: c.Account, ID: one.Record.ID})
	return err
}
