package image

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	goruntime "runtime"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/bothy-computer/bothy/runtime"
)

// refName is the annotation that says what a manifest of a layout is called.
const refName = "org.opencontainers.image.ref.name"

// Export writes an image, by its digest, as an OCI archive, which Import and
// other tools read, and which says what the image is called; "" leaves that out.
// Its digest there is another one than here: there it names the archive's
// manifest. An image that stands on a host image is
// runtime.ErrUnsupported: this machine's own files are not handed out. The
// layers are compressed in the store's directory first, so there must be room.
func (s *Store) Export(ctx context.Context, digest, name string, to io.Writer) error {
	if err := s.export(ctx, digest, name, to); err != nil {
		return fmt.Errorf("export image %s: %w", digest, full(err))
	}
	return nil
}

func (s *Store) export(ctx context.Context, digest, name string, to io.Writer) error {
	release, err := s.Use(ctx, digest)
	if err != nil {
		return err
	}
	defer release()
	layers, config, err := s.allLayers(ctx, digest)
	if err != nil {
		return err
	}
	work, err := s.temp("export")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	x := exporter{dir: work, room: s.stillRoom, config: &v1.ConfigFile{OS: "linux", Architecture: goruntime.GOARCH, Created: v1.Time{Time: time.Unix(0, 0).UTC()},
		RootFS: v1.RootFS{Type: "layers"}, Config: config.oci()}}
	for i, id := range layers {
		if err := x.layer(func(to io.Writer) error { return s.WriteLayer(ctx, id, 0, to) }); err != nil {
			return fmt.Errorf("layer %d of %d: %w", i+1, len(layers), err)
		}
	}
	return x.write(ctx, name, to)
}

// allLayers lists what an image is made of, down to nothing, the lowest first.
func (s *Store) allLayers(ctx context.Context, digest string) (ids []string, config Config, err error) {
	m, err := s.Describe(ctx, digest)
	if err != nil {
		return nil, Config{}, err
	}
	if m.Host {
		return nil, Config{}, fmt.Errorf("%w: it stands on this machine's own files, which are not handed out; build it on another image", runtime.ErrUnsupported)
	}
	if m.Base != "" {
		if ids, _, err = s.allLayers(ctx, m.Base); err != nil {
			return nil, Config{}, err
		}
	}
	if m.Root != nil {
		ids = append(ids, m.Root.ID)
	}
	for _, l := range m.Layers {
		ids = append(ids, l.ID)
	}
	return ids, m.Config, nil
}

// oci is a configuration as OCI images hold it.
func (c Config) oci() v1.Config {
	out := v1.Config{Env: c.Env, Entrypoint: c.Entrypoint, Cmd: c.Cmd, User: c.User, WorkingDir: c.WorkDir}
	if c.Desktop != "" {
		out.Labels = map[string]string{DesktopLabel: c.Desktop}
	}
	return out
}

// exporter gathers the blobs of an archive in a directory.
type exporter struct {
	dir    string
	room   func() error
	config *v1.ConfigFile
	layers []v1.Descriptor
	blobs  []v1.Descriptor // in the order that they are written in, each once
}

// layer compresses what write writes into a blob.
func (x *exporter) layer(write func(io.Writer) error) error {
	f, err := os.OpenFile(filepath.Join(x.dir, "layer"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	packed := newSummer(&roomy{to: f, room: x.room})
	zipped := gzip.NewWriter(packed)
	plain := newSummer(zipped)
	if err := errors.Join(write(plain), zipped.Close(), f.Close()); err != nil {
		return err
	}
	d := v1.Descriptor{MediaType: types.OCILayer, Digest: packed.digest(), Size: packed.bytes}
	x.layers = append(x.layers, d)
	x.config.RootFS.DiffIDs = append(x.config.RootFS.DiffIDs, plain.digest())
	x.note(d)
	return os.Rename(f.Name(), x.blob(d))
}

func (x *exporter) blob(d v1.Descriptor) string { return filepath.Join(x.dir, d.Digest.Hex) }

func (x *exporter) note(d v1.Descriptor) {
	for _, have := range x.blobs {
		if have.Digest == d.Digest {
			return
		}
	}
	x.blobs = append(x.blobs, d)
}

// document adds a blob of JSON.
func (x *exporter) document(kind types.MediaType, what any) (v1.Descriptor, error) {
	text, err := json.Marshal(what)
	if err != nil {
		return v1.Descriptor{}, err
	}
	d := v1.Descriptor{MediaType: kind, Digest: hashOf(text), Size: int64(len(text))}
	x.note(d)
	return d, os.WriteFile(x.blob(d), text, 0o600)
}

// write writes the archive.
func (x *exporter) write(ctx context.Context, name string, to io.Writer) error {
	config, err := x.document(types.OCIConfigJSON, x.config)
	if err != nil {
		return err
	}
	manifest, err := x.document(types.OCIManifestSchema1, v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: config, Layers: x.layers})
	if err != nil {
		return err
	}
	manifest.Platform = &v1.Platform{OS: "linux", Architecture: goruntime.GOARCH}
	if checkName(name) == nil {
		manifest.Annotations = map[string]string{refName: name}
	}
	index, err := json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{manifest}})
	if err != nil {
		return err
	}
	out := tar.NewWriter(to)
	err = errors.Join(addText(out, "oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)), addText(out, "index.json", index))
	for _, d := range x.blobs {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		err = x.addBlob(out, d)
	}
	return errors.Join(err, out.Close())
}

func (x *exporter) addBlob(out *tar.Writer, d v1.Descriptor) error {
	f, err := os.Open(x.blob(d))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := out.WriteHeader(plainHeader(path.Join("blobs", d.Digest.Algorithm, d.Digest.Hex), d.Size)); err != nil {
		return err
	}
	_, err = io.Copy(out, f)
	return err
}

func addText(out *tar.Writer, name string, text []byte) error {
	if err := out.WriteHeader(plainHeader(name, int64(len(text)))); err != nil {
		return err
	}
	_, err := out.Write(text)
	return err
}

func plainHeader(name string, bytes int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: bytes, Mode: 0o644, ModTime: time.Unix(0, 0)}
}
