package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/runtime"
)

const (
	// maxManifestBytes bounds what another node says of an image.
	maxManifestBytes = 1 << 20
	// maxConfigStrings bounds variables and arguments in it.
	maxConfigStrings = 4096
)

// Packed is a layer as it goes from node to node: the tar that its tree packs
// to, which is the same on every node.
type Packed struct {
	ID    string `json:"id"`    // digest of the tar
	Bytes int64  `json:"bytes"` // length of the tar; 0 where it was not noted
}

// Manifest tells what an image is made of, for another store to fetch it.
type Manifest struct {
	Digest string `json:"digest"`
	// Host is set for a host image and for what stands on one: those files are
	// never sent, the receiver has the same ones or cannot have the image.
	Host bool `json:"host,omitempty"`
	// Base is the image that this one stands on, which has a manifest of its
	// own; "" for none.
	Base string `json:"base,omitempty"`
	// Root is all of an image with a root of its own.
	Root *Packed `json:"root,omitempty"`
	// Layers lie over Base, or over nothing, the lowest first.
	Layers []Packed `json:"layers,omitempty"`

	Bytes       int64     `json:"bytes"` // as Info's
	Created     time.Time `json:"created"`
	Config      Config    `json:"config"`
	Description string    `json:"description,omitempty"`
}

// Encode writes a manifest for ParseManifest.
func (m Manifest) Encode() ([]byte, error) {
	text, err := json.Marshal(m)
	if err == nil && len(text) > maxManifestBytes {
		err = fmt.Errorf("%w: the manifest has more than %d bytes", runtime.ErrInvalid, maxManifestBytes)
	}
	return text, err
}

// ParseManifest reads what another node says of an image. What it accepts keeps
// all bounds, and where an image is named by what it is made of it is that. It
// says nothing of the layers' content: each is checked as it comes.
func ParseManifest(text []byte) (Manifest, error) {
	var m Manifest
	if len(text) > maxManifestBytes {
		return m, fmt.Errorf("%w: the manifest has more than %d bytes", runtime.ErrInvalid, maxManifestBytes)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("%w: the manifest: %w", runtime.ErrInvalid, err)
	}
	if err := m.check(); err != nil {
		return m, fmt.Errorf("the manifest: %w", err)
	}
	return m, nil
}

func (m Manifest) check() error {
	if len(m.Layers) > MaxLayers {
		return fmt.Errorf("%w: more than %d layers", runtime.ErrInvalid, MaxLayers)
	}
	all := m.Layers
	if m.Root != nil {
		all = append(all[:len(all):len(all)], *m.Root)
	}
	seen := map[string]bool{m.Digest: true, m.Base: true}
	for _, l := range all {
		if _, err := parseDigest(l.ID); err != nil {
			return err
		}
		if l.Bytes < 0 || l.Bytes > maxTarBytes || seen[l.ID] {
			return fmt.Errorf("%w: a layer of %d bytes that may be there twice", runtime.ErrInvalid, l.Bytes)
		}
		seen[l.ID] = true
	}
	if m.Bytes < 0 || m.Bytes > (MaxLayers+1)*maxTarBytes || len(m.Description) > maxDescriptionBytes || strings.ContainsFunc(m.Description, isControl) {
		return fmt.Errorf("%w: a size of %d bytes and a description of %d", runtime.ErrInvalid, m.Bytes, len(m.Description))
	}
	if err := m.checkName(); err != nil {
		return err
	}
	return m.Config.check()
}

// checkName compares the digest with what the image is made of. One with a root
// of its own is named by what it was imported from, or made by.
func (m Manifest) checkName() error {
	if _, err := parseDigest(m.Digest); err != nil {
		return err
	}
	if m.Base != "" {
		if _, err := parseDigest(m.Base); err != nil {
			return err
		}
		if digest, err := layeredDigest(m.info()); err != nil || digest != m.Digest || m.Root != nil {
			return fmt.Errorf("%w: it is of image %s", runtime.ErrInvalid, digest)
		}
		return nil
	}
	if kinds := btoi(m.Host) + btoi(m.Root != nil) + btoi(len(m.Layers) > 0); kinds != 1 {
		return fmt.Errorf("%w: it is of an image of %d kinds", runtime.ErrInvalid, kinds)
	}
	return nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

const (
	maxDescriptionBytes = 1024
	// maxTarBytes is more than the tar of any layer that is within the limits.
	maxTarBytes = 1 << 40
)

// info is the image as a store keeps it.
func (m Manifest) info() Info {
	info := Info{Digest: m.Digest, Bytes: m.Bytes, Created: m.Created, Config: m.Config, Base: m.Base, Description: m.Description, Root: m.Root}
	for _, l := range m.Layers {
		info.Layers = append(info.Layers, l.ID)
	}
	return info
}

// check refuses what no process could be started with.
func (c Config) check() error {
	for _, list := range [][]string{c.Env, c.Entrypoint, c.Cmd, {c.User, c.WorkDir, c.Desktop}} {
		if len(list) > maxConfigStrings {
			return fmt.Errorf("%w: a configuration with a list of %d", runtime.ErrInvalid, len(list))
		}
		for _, text := range list {
			if strings.ContainsRune(text, 0) {
				return fmt.Errorf("%w: a configuration that holds a NUL", runtime.ErrInvalid)
			}
		}
	}
	if c.Desktop != "" && !path.IsAbs(c.Desktop) {
		return fmt.Errorf("%w: the desktop %.200q is no absolute path", runtime.ErrInvalid, c.Desktop)
	}
	return nil
}

// Describe tells what an image that is here is made of. The first time that it
// is asked about an image with a root of its own it reads all of that.
func (s *Store) Describe(ctx context.Context, digest string) (Manifest, error) {
	info, host, err := s.find(ctx, digest)
	if err != nil {
		return Manifest{}, err
	}
	m := Manifest{Digest: digest, Host: host, Base: info.Base, Bytes: info.Bytes, Created: info.Created, Config: info.Config, Description: info.Description}
	if info.Base != "" {
		if _, m.Host, err = s.find(ctx, info.Base); err != nil {
			return Manifest{}, err
		}
	}
	for _, id := range info.Layers {
		m.Layers = append(m.Layers, Packed{ID: id, Bytes: s.layerBytes(id)})
	}
	if !host && info.Base == "" && len(info.Layers) == 0 {
		if m.Root, err = s.packedRoot(ctx, info); err != nil {
			return Manifest{}, fmt.Errorf("describe image %s: %w", digest, err)
		}
	}
	return m, nil
}

// find reads what is known of one image, and whether it is a host image.
func (s *Store) find(ctx context.Context, digest string) (info Info, host bool, err error) {
	hexDigest, err := parseDigest(digest)
	if err = errors.Join(err, ctx.Err()); err != nil {
		return Info{}, false, err
	}
	if info, err = readInfo(filepath.Join(s.dir, "images", hexDigest)); err == nil {
		return info, false, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		info, err = readInfo(filepath.Join(s.dir, "host", hexDigest))
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = runtime.ErrNoImage
	}
	if err != nil {
		return Info{}, false, fmt.Errorf("image %s: %w", digest, err)
	}
	return info, true, nil
}

// packedRoot finds out, once, what the root of an image packs to.
func (s *Store) packedRoot(ctx context.Context, info Info) (*Packed, error) {
	if info.Root != nil {
		return info.Root, nil
	}
	dir := s.imageDir(info.Digest)
	packed, err := s.measure(ctx, filepath.Join(dir, "root"))
	if err != nil {
		return nil, err
	}
	info.Root = &packed
	work, err := s.temp("info")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	if err := writeInfo(work, info); err != nil {
		return nil, err
	}
	// Into a directory that was swept meanwhile nothing is renamed.
	return &packed, os.Rename(filepath.Join(work, "info.json"), filepath.Join(dir, "info.json"))
}

// measure finds out what an unpacked tree packs to.
func (s *Store) measure(ctx context.Context, root string) (Packed, error) {
	sum := newSummer(io.Discard)
	err := packRoot(ctx, sum, root)
	return Packed{ID: sum.digest().String(), Bytes: sum.bytes}, err
}

// packRoot writes the tar of a tree of this store.
func packRoot(ctx context.Context, to io.Writer, root string) error {
	return pack(ctx, to, []Tree{{Path: root, At: "."}}, unshifted, defaultLimits.names)
}

// WriteLayer writes the tar of a layer, named by its digest, or of the root of
// an image, from an offset on. An unknown one is runtime.ErrNoImage.
func (s *Store) WriteLayer(ctx context.Context, id string, offset int64, to io.Writer) error {
	root, err := s.treeOf(ctx, id)
	if err != nil {
		return err
	}
	if offset < 0 || offset > maxTarBytes {
		return fmt.Errorf("%w: a layer from byte %d", runtime.ErrInvalid, offset)
	}
	if err := packRoot(ctx, &after{to: to, skip: offset}, root); err != nil {
		return fmt.Errorf("send layer %s: %w", id, err)
	}
	return nil
}

// treeOf finds the tree that packs to a tar.
func (s *Store) treeOf(ctx context.Context, id string) (string, error) {
	if _, err := parseDigest(id); err != nil {
		return "", err
	}
	if root := filepath.Join(s.layerDir(id), "root"); isDir(root) {
		return root, nil
	}
	all, err := s.active(ctx)
	if err != nil {
		return "", err
	}
	for _, info := range all {
		if info.Root != nil && info.Root.ID == id {
			return filepath.Join(s.imageDir(info.Digest), "root"), nil
		}
	}
	return "", fmt.Errorf("layer %s: %w", id, runtime.ErrNoImage)
}

// after drops the first bytes of what is written to it.
type after struct {
	to   io.Writer
	skip int64
}

func (a *after) Write(p []byte) (int, error) {
	dropped := int(min(a.skip, int64(len(p))))
	a.skip -= int64(dropped)
	if dropped == len(p) {
		return dropped, nil
	}
	n, err := a.to.Write(p[dropped:])
	return dropped + n, err
}
