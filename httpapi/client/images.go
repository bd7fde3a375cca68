package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Images are what computers can be made of.
type Images struct{ c *Client }

// Images are those that the account can use.
func (c *Client) Images() Images { return Images{c} }

// List lists them all.
func (i Images) List(ctx context.Context) ([]wire.Image, error) {
	all, err := get[wire.Images](ctx, i.c, path("computer-images"))
	return all.Images, err
}

// Get returns an image, by its id or name. A name that failed is one no more
// where another image has it.
func (i Images) Get(ctx context.Context, name string) (found wire.Image, err error) {
	all, err := i.List(ctx) // names may hold what no path does
	for _, one := range all {
		if one.ID == name || one.DisplayName == name && (found.ID == "" || found.Status == "failed") {
			found = one
		}
	}
	if err == nil && found.ID == "" {
		err = fault.New(fault.NotFound, "Image not found: %.80q", name)
	}
	return found, err
}

// Import sends an archive: an OCI archive, or what docker save writes. Shared is
// for every account. It is sent once, to one node.
func (i Images) Import(ctx context.Context, name string, shared bool, archive io.Reader) (wire.Image, error) {
	at := query(path("computer-images", "import"), "name", name, "shared", strconv.FormatBool(shared))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.c.base()+at, archive)
	if err != nil {
		return wire.Image{}, fault.New(fault.Invalid, "import: %w", err)
	}
	i.c.dress(req, request{}, false)
	req.Header.Set("Content-Type", "application/octet-stream")
	resp, err := i.c.HTTP.Do(req)
	if err != nil {
		return wire.Image{}, unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		return wire.Image{}, refusal(resp)
	}
	var one wire.OneImage
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxReplyBytes)).Decode(&one); err != nil {
		return wire.Image{}, fault.New(fault.Internal, "import: the reply cannot be read: %w", err)
	}
	return one.Image, nil
}

// waitSeconds is how long one request waits for a pull.
const waitSeconds = "30"

// Pull has the cluster pull an image of a registry, and waits until that has
// ended, well (active) or not (failed).
func (i Images) Pull(ctx context.Context, ask wire.PullImage) (wire.Image, error) {
	one, err := post[wire.OneImage](ctx, i.c, path("computer-images"), ask)
	for err == nil && one.Image.Status == "pulling" {
		one, err = get[wire.OneImage](ctx, i.c, query(path("computer-images", one.Image.ID), "wait_seconds", waitSeconds))
	}
	return one.Image, err
}

// Export writes an image, by its id or name, as an OCI archive. One that is cut
// short is an error.
func (i Images) Export(ctx context.Context, name string, to io.Writer) error {
	one, err := i.Get(ctx, name)
	if err != nil {
		return err
	}
	resp, err := i.c.send(ctx, request{method: http.MethodGet, path: path("computer-images", one.ID, "archive")}, "")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(to, resp.Body); err != nil {
		return fmt.Errorf("read the archive: %w", err)
	}
	return nil
}

// Remove removes an image that was imported or pulled.
func (i Images) Remove(ctx context.Context, name string) error {
	one, err := i.Get(ctx, name)
	if err != nil {
		return err
	}
	return remove(ctx, i.c, path("computer-images", one.ID))
}
