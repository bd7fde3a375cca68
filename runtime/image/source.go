package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	goruntime "runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/bothy-computer/bothy/runtime"
)

const (
	// maxDocumentBytes bounds indexes, manifests and configurations.
	maxDocumentBytes = 4 << 20
	// maxLayers bounds the layers of an image.
	maxLayers = 512
	// maxIndexDepth bounds indexes within indexes.
	maxIndexDepth = 3
	// DesktopLabel is the label of an image with a desktop; see Config.
	DesktopLabel = "computer.bothy.desktop"
)

// source is the one image that a layout holds.
type source struct {
	digest v1.Hash // of its manifest; of its configuration in what docker saves
	config Config
	layers []layer // the lowest first
}

// layer is a tar file of a source.
type layer struct {
	open   func() (io.ReadCloser, error)
	digest v1.Hash // of the file, where the layout promises one
	diffID v1.Hash // of the tar in it
}

// readSource reads an OCI layout, or the files of a `docker save`. Every
// document but the outermost is checked against the digest that led to it.
func readSource(root *os.Root) (source, error) {
	text, err := document(root, "index.json")
	if errors.Is(err, fs.ErrNotExist) {
		return readDockerSave(root)
	}
	if err != nil {
		return source{}, err
	}
	found, err := imagesIn(root, text, maxIndexDepth)
	if err != nil {
		return source{}, err
	}
	if len(found) != 1 {
		return source{}, fmt.Errorf("%w: it holds %d images for linux/%s and not one", runtime.ErrInvalid, len(found), goruntime.GOARCH)
	}
	return readManifest(root, found[0])
}

// imagesIn lists the manifests of an index that this machine can run.
func imagesIn(root *os.Root, index []byte, depth int) ([]v1.Descriptor, error) {
	if depth == 0 {
		return nil, fmt.Errorf("%w: indexes lie more than %d deep", runtime.ErrInvalid, maxIndexDepth)
	}
	var parsed v1.IndexManifest
	if err := json.Unmarshal(index, &parsed); err != nil {
		return nil, fmt.Errorf("%w: the index: %w", runtime.ErrInvalid, err)
	}
	var found []v1.Descriptor
	seen := map[v1.Hash]bool{}
	for _, d := range parsed.Manifests {
		if seen[d.Digest] || d.Platform != nil && !runsHere(d.Platform.OS, d.Platform.Architecture) {
			continue // one image may have several names
		}
		seen[d.Digest] = true
		switch {
		case d.MediaType.IsImage():
			found = append(found, d)
		case d.MediaType.IsIndex():
			text, err := blob(root, d.Digest)
			if err != nil {
				return nil, err
			}
			below, err := imagesIn(root, text, depth-1)
			if err != nil {
				return nil, err
			}
			found = append(found, below...)
		}
	}
	return found, nil
}

func readManifest(root *os.Root, d v1.Descriptor) (source, error) {
	text, err := blob(root, d.Digest)
	if err != nil {
		return source{}, err
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(text))
	if err != nil {
		return source{}, fmt.Errorf("%w: the manifest: %w", runtime.ErrInvalid, err)
	}
	if text, err = blob(root, manifest.Config.Digest); err != nil {
		return source{}, err
	}
	found := source{digest: d.Digest}
	for _, l := range manifest.Layers {
		at, err := blobPath(l.Digest)
		if err != nil {
			return source{}, err
		}
		found.layers = append(found.layers, layer{open: opener(root, at), digest: l.Digest})
	}
	return found, found.configure(text)
}

// opener opens a file of a layout.
func opener(root *os.Root, name string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		f, err := root.Open(name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", runtime.ErrInvalid, err)
		}
		return f, nil
	}
}

// readDockerSave reads the manifest.json that names a configuration and layers
// by their files.
func readDockerSave(root *os.Root) (source, error) {
	text, err := document(root, "manifest.json")
	if errors.Is(err, fs.ErrNotExist) {
		return source{}, fmt.Errorf("%w: it has no index.json and no manifest.json, so it is no image", runtime.ErrInvalid)
	}
	if err != nil {
		return source{}, err
	}
	var saved []struct {
		Config string
		Layers []string
	}
	if err := json.Unmarshal(text, &saved); err != nil {
		return source{}, fmt.Errorf("%w: manifest.json: %w", runtime.ErrInvalid, err)
	}
	if len(saved) != 1 {
		return source{}, fmt.Errorf("%w: it holds %d images and not one", runtime.ErrInvalid, len(saved))
	}
	if text, err = document(root, saved[0].Config); err != nil {
		return source{}, fmt.Errorf("%w: %w", runtime.ErrInvalid, err)
	}
	found := source{digest: hashOf(text)}
	for _, name := range saved[0].Layers {
		found.layers = append(found.layers, layer{open: opener(root, name)})
	}
	return found, found.configure(text)
}

// configure takes from an image's configuration what we keep of it, and what
// its layers must unpack to.
func (s *source) configure(text []byte) error {
	config, err := v1.ParseConfigFile(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("%w: the configuration: %w", runtime.ErrInvalid, err)
	}
	if !runsHere(config.OS, config.Architecture) {
		return fmt.Errorf("%w: the image is for %s/%s, this machine is linux/%s", runtime.ErrInvalid, config.OS, config.Architecture, goruntime.GOARCH)
	}
	if len(s.layers) != len(config.RootFS.DiffIDs) || len(s.layers) > maxLayers {
		return fmt.Errorf("%w: %d layers, where the configuration tells of %d and at most %d may be",
			runtime.ErrInvalid, len(s.layers), len(config.RootFS.DiffIDs), maxLayers)
	}
	for i, id := range config.RootFS.DiffIDs {
		s.layers[i].diffID = id
	}
	c := config.Config
	s.config = Config{Env: c.Env, Entrypoint: c.Entrypoint, Cmd: c.Cmd, User: c.User, WorkDir: c.WorkingDir, Desktop: c.Labels[DesktopLabel]}
	return s.config.check()
}

func runsHere(system, architecture string) bool {
	return system == "linux" && architecture == goruntime.GOARCH
}

// blob reads a document by its digest, and checks that.
func blob(root *os.Root, digest v1.Hash) ([]byte, error) {
	at, err := blobPath(digest)
	if err != nil {
		return nil, err
	}
	text, err := document(root, at)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", runtime.ErrInvalid, err)
	}
	if got := hashOf(text); got != digest {
		return nil, fmt.Errorf("%w: the blob %s is %s", runtime.ErrInvalid, digest, got)
	}
	return text, nil
}

func blobPath(digest v1.Hash) (string, error) {
	if _, err := parseDigest(digest.String()); err != nil {
		return "", err
	}
	return path.Join("blobs", digest.Algorithm, digest.Hex), nil
}

func document(root *os.Root, name string) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxDocumentBytes+1))
	if err == nil && len(text) > maxDocumentBytes {
		err = fmt.Errorf("%w: %s has more than %d bytes", runtime.ErrInvalid, name, maxDocumentBytes)
	}
	return text, err
}

func hashOf(text []byte) v1.Hash {
	sum := sha256.Sum256(text)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}
