package actors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
)

const (
	// manifestPath and layerPath are where a node tells others of its images and
	// sends them. Images are read-only and named by digests, so neither lease nor
	// epoch counts.
	manifestPath = "/images/manifest/"
	layerPath    = "/images/layer/"
	// maxManifestAnswer bounds what another node may say of an image.
	maxManifestAnswer = 1 << 20
	// maxSentLayers bounds the layers that a node sends at once.
	maxSentLayers = 8
)

// imageRoom sends this node's images to other nodes.
type imageRoom struct {
	driver  Driver
	sending chan struct{} // holds one for each layer on its way
}

func (i *imageRoom) distributor() (runtime.Distributor, error) {
	d, ok := i.driver.(runtime.Distributor)
	if !ok {
		return nil, fault.New(fault.NotFound, "this node's images stay where they are")
	}
	return d, nil
}

// missing marks a failure that another node could do better about.
func missing(err error) error {
	if errors.Is(err, runtime.ErrNoImage) {
		return fault.New(fault.NotFound, "%w", err)
	}
	return translate(err)
}

func (i *imageRoom) serveManifest(w http.ResponseWriter, r *http.Request) {
	d, err := i.distributor()
	var text []byte
	if err == nil {
		text, err = d.ImageManifest(r.Context(), r.PathValue("digest"))
	}
	if err != nil {
		refuse(w, missing(err))
		return
	}
	_, _ = w.Write(text) // a caller that is gone reads nothing
}

func (i *imageRoom) serveLayer(w http.ResponseWriter, r *http.Request) {
	d, err := i.distributor()
	offset, parseErr := strconv.ParseInt(r.URL.Query().Get("offset"), 10, 64)
	if parseErr != nil {
		err = fault.New(fault.Invalid, "read a layer's offset: %w", parseErr)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	select {
	case i.sending <- struct{}{}:
		defer func() { <-i.sending }()
	case <-r.Context().Done():
		return
	}
	out := &begunWriter{w: w}
	switch err := d.WriteImageLayer(r.Context(), r.PathValue("id"), offset, out); {
	case err == nil:
	case !out.begun:
		refuse(w, missing(err))
	default:
		panic(http.ErrAbortHandler) // a layer that was cut must not look like one that ended
	}
}

// begunWriter knows whether anything was written.
type begunWriter struct {
	w     io.Writer
	begun bool
}

func (b *begunWriter) Write(p []byte) (int, error) {
	b.begun = true
	return b.w.Write(p)
}

// imagesOf is another node as a source of images.
type imagesOf struct {
	*wire
	node state.NodeID
}

var _ runtime.ImageSource = imagesOf{}

// Manifest implements runtime.ImageSource.
func (i imagesOf) Manifest(ctx context.Context, digest string) ([]byte, error) {
	body, err := i.get(ctx, manifestPath+digest)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, maxManifestAnswer+1))
	if err == nil && len(text) > maxManifestAnswer {
		err = fault.New(fault.Invalid, "node %s says more than %d bytes of an image", i.node, maxManifestAnswer)
	}
	return text, err
}

// Layer implements runtime.ImageSource.
func (i imagesOf) Layer(ctx context.Context, id string, offset int64) (io.ReadCloser, error) {
	return i.get(ctx, layerPath+id+"?offset="+strconv.FormatInt(offset, 10))
}

func (i imagesOf) get(ctx context.Context, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+string(i.node)+path, nil)
	if err != nil {
		return nil, fmt.Errorf("ask node %s for an image: %w", i.node, err)
	}
	res, err := i.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask node %s for an image: %w", i.node, err)
	}
	if res.StatusCode == http.StatusOK {
		return res.Body, nil
	}
	if err = refused(res); fault.Is(err, fault.NotFound) {
		err = fmt.Errorf("%w: %w", runtime.ErrNoImage, err)
	}
	return nil, err
}
