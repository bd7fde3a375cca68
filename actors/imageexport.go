package actors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
)

const (
	// imageArchivePath is where a node writes its images as archives for others.
	imageArchivePath = "/images/archive/"
	// maxExports bounds the archives that a node writes at once: their layers are
	// compressed on its disk first.
	maxExports = 4
)

// Export writes an image that an account can use, by its id, name or digest, as
// an OCI archive, from whichever node has it. Nothing was written when it fails
// before the first byte.
func (i *Images) Export(ctx context.Context, c Caller, name string, to io.Writer) error {
	one, err := i.Get(ctx, c.Account, name)
	if err != nil {
		return err
	}
	if one.Digest == "" {
		return fault.New(fault.Conflict, "image %s is not there to be exported: it is %s%s", one.Name, one.State, because(one.Reason))
	}
	out := &begunWriter{w: to}
	err = i.export(ctx, one.Digest, one.Name, out)
	if !errors.Is(err, runtime.ErrNoImage) || out.begun {
		return explainExport(one.Name, err)
	}
	return i.exportFar(ctx, one, out)
}

// export writes one that this node has.
func (i *Images) export(ctx context.Context, digest, name string, to io.Writer) error {
	importer, ok := i.driver.(runtime.Importer)
	if !ok {
		return fmt.Errorf("image %s: %w", digest, runtime.ErrNoImage)
	}
	select {
	case i.exporting <- struct{}{}:
		defer func() { <-i.exporting }()
	default:
		return fault.New(fault.Unavailable, "the node writes %d images at once, which is its bound", maxExports).WithRetry(retryMailbox)
	}
	return importer.ExportImage(ctx, digest, name, to)
}

// explainExport says what a user can do about an image that stays.
func explainExport(name string, err error) error {
	if errors.Is(err, runtime.ErrUnsupported) || fault.Is(err, fault.Unsupported) {
		return fault.New(fault.Conflict, "image %s stands on a machine's own files (host), which are not handed out; build it on another base, such as debian", name)
	}
	return translate(err)
}

// exportFar has another node write it.
func (i *Images) exportFar(ctx context.Context, one Image, out *begunWriter) error {
	var near state.NodeID
	if one.Record != nil {
		near = one.Record.Node
	}
	nodes, err := applied(i.cluster, (*state.View).Nodes)
	if err != nil {
		return err
	}
	var answers []string
	for _, n := range toAsk(i.cluster.Self(), near, nodes) {
		if i.remote.client == nil {
			break
		}
		body, err := imagesOf{i.remote, n.ID}.get(ctx, imageArchivePath+one.Digest+"?name="+url.QueryEscape(one.Name))
		if err == nil {
			_, err = io.Copy(out, body)
			body.Close()
			return err
		}
		if !errors.Is(err, runtime.ErrNoImage) {
			if err = explainExport(one.Name, err); fault.Is(err, fault.Conflict) {
				return err
			}
		}
		answers = append(answers, n.Name+": "+faultText(translate(err)))
	}
	return fault.New(fault.Unavailable, "no node that can be reached has image %s (%s)", one.Name, strings.Join(answers, "; ")).WithRetry(retryMailbox)
}

// serveArchive writes an image for another node.
func (i *Images) serveArchive(w http.ResponseWriter, r *http.Request) {
	out := &begunWriter{w: w}
	switch err := i.export(r.Context(), r.PathValue("digest"), r.URL.Query().Get("name"), out); {
	case err == nil:
	case !out.begun:
		refuse(w, missing(err))
	default:
		panic(http.ErrAbortHandler) // an archive that was cut must not look like a whole one
	}
}
