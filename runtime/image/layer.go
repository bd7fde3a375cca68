package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/idmap"
)

// MaxLayers bounds the layers of an image, over a root of its own or a host
// image. Each is a directory that the kernel looks in.
const MaxLayers = 100

// Change is what makes an image of another.
type Change struct {
	Parent string // digest
	// Trees are what was changed over it, as upper directories of overlays;
	// none for an image that differs in its configuration alone.
	Trees  []Tree
	IDs    idmap.Range // that the owners in Trees are shifted by
	Config Config
	Key    string // that Cached finds it by, as Remember's; "" for none
}

// Commit makes an image of another and what was changed over it, and reports
// its digest: the same for the same parent, change and configuration. It has no
// name yet, so that the next Sweep takes it unless it has a key or gets a name.
func (s *Store) Commit(ctx context.Context, c Change) (string, error) {
	digest, err := s.commit(ctx, c)
	if err != nil {
		return "", fmt.Errorf("commit an image: %w", full(err))
	}
	return digest, nil
}

func (s *Store) commit(ctx context.Context, c Change) (string, error) {
	info, err := s.Info(ctx, c.Parent)
	if err != nil {
		return "", err
	}
	below := len(info.Layers) // of the base
	if info.Base == "" {
		info = Info{Base: info.Digest, Bytes: info.Bytes}
	} else if base, _, err := s.find(ctx, info.Base); err == nil {
		below = len(base.Layers)
	} else {
		return "", err
	}
	info.Config, info.Created, info.Description = c.Config, time.Now().UTC(), ""
	work, err := s.temp("commit")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	fresh, made := filepath.Join(work, "layer"), []freshLayer(nil)
	if len(c.Trees) > 0 {
		packed, bytes, err := s.unpackTrees(ctx, c, fresh)
		if err != nil {
			return "", err
		}
		if info.Layers = onTop(info.Layers, packed.ID); below+len(info.Layers) > MaxLayers {
			return "", fmt.Errorf("%w: the image has more than %d layers", runtime.ErrInvalid, MaxLayers)
		}
		info.Bytes += bytes
		made = append(made, freshLayer{packed.ID, fresh})
	}
	if info.Digest, err = layeredDigest(info); err != nil {
		return "", err
	}
	image := filepath.Join(work, "image")
	if err := os.Mkdir(image, 0o700); err != nil {
		return "", err
	}
	if err := writeInfo(image, info); err != nil {
		return "", err
	}
	return info.Digest, s.placeImage(image, info, made, func() error {
		if c.Key == "" {
			return nil
		}
		return s.Remember(c.Key, info.Digest)
	})
}

// onTop lays a layer over others. One that is among them already hides itself
// below, and an overlay takes no directory twice.
func onTop(layers []string, id string) []string {
	below := slices.DeleteFunc(slices.Clone(layers), func(l string) bool { return l == id })
	return append(below, id)
}

// unpackTrees makes a layer of trees, and reports what its files hold.
func (s *Store) unpackTrees(ctx context.Context, c Change, fresh string) (layer Packed, bytes int64, err error) {
	err = piped(
		func(to io.Writer) error { return pack(ctx, to, c.Trees, c.IDs, s.limits.names) },
		func(from io.Reader) (err error) {
			layer, bytes, err = s.unpackAlone(ctx, from, fresh)
			return err
		})
	return layer, bytes, err
}

// unpackAlone unpacks one layer by itself into the directory of a new one, and
// reports the tar and what its files hold.
func (s *Store) unpackAlone(ctx context.Context, from io.Reader, fresh string) (Packed, int64, error) {
	rootfs, err := makeRoot(fresh)
	if err != nil {
		return Packed{}, 0, err
	}
	u, err := s.newUnpacker(rootfs, s.limits)
	if err != nil {
		return Packed{}, 0, err
	}
	defer u.close()
	u.alone = true
	layer, err := unpackTar(ctx, u, from)
	if err != nil {
		return Packed{}, 0, err
	}
	return layer, s.limits.bytes - u.bytes, writeLayerBytes(fresh, layer.Bytes)
}

// freshLayer is a layer that has no place yet.
type freshLayer struct {
	id, dir string
}

// placeImage gives an image and those of its layers that are new their places,
// and does what else must be done before a sweep may come; nil for nothing.
func (s *Store) placeImage(fresh string, info Info, layers []freshLayer, and func() error) error {
	if err := s.settle(fresh); err != nil { // and the layers, which are on the same disk
		return err
	}
	s.placing.Lock()
	defer s.placing.Unlock()
	for _, l := range layers {
		if err := place(l.dir, s.layerDir(l.id)); err != nil {
			return err
		}
	}
	for _, id := range info.Layers {
		if !isDir(s.layerDir(id)) {
			return fmt.Errorf("%w: a layer below was swept meanwhile", runtime.ErrUnready)
		}
	}
	if err := place(fresh, s.imageDir(info.Digest)); err != nil || and == nil {
		return err
	}
	return and()
}

// layeredDigest names an image by what it is made of.
func layeredDigest(info Info) (string, error) {
	text, err := json.Marshal(struct {
		Base   string   `json:"base"`
		Layers []string `json:"layers"`
		Config Config   `json:"config"`
	}{info.Base, info.Layers, info.Config})
	if err != nil {
		return "", fmt.Errorf("name an image: %w", err)
	}
	sum := sha256.Sum256(text)
	return digestPrefix + hex.EncodeToString(sum[:]), nil
}

func (s *Store) layerDir(id string) string {
	return filepath.Join(s.dir, "layers", strings.TrimPrefix(id, digestPrefix))
}

func (s *Store) imageDir(digest string) string {
	return filepath.Join(s.dir, "images", strings.TrimPrefix(digest, digestPrefix))
}

// bytesFile holds, beside a layer's tree, the length of the tar it packs to.
const bytesFile = "bytes"

func writeLayerBytes(dir string, n int64) error {
	return os.WriteFile(filepath.Join(dir, bytesFile), strconv.AppendInt(nil, n, 10), 0o600)
}

// layerBytes is the length of a layer's tar, 0 where nobody noted it.
func (s *Store) layerBytes(id string) int64 {
	text, err := os.ReadFile(filepath.Join(s.layerDir(id), bytesFile))
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// over lists the directories of an image that has layers over a base, whose
// own are given. A layer is one tree; where the base has a part of its own for
// a directory, the layer's part there lies over that.
func (s *Store) over(layers []string, base []Layer) []Layer {
	var all []Layer
	done := map[string]bool{}
	for _, b := range base {
		if !done[b.Target] {
			done[b.Target] = true
			for _, id := range slices.Backward(layers) {
				if part := filepath.Join(s.layerDir(id), "root", path.Clean("/"+b.Target)); isDir(part) {
					all = append(all, Layer{Path: part, Target: b.Target})
				}
			}
		}
		all = append(all, b)
	}
	return all
}

// sweepLayers sets aside the layers that no image has.
func (s *Store) sweepLayers(needed map[string]bool, gone string) error {
	entries, err := os.ReadDir(filepath.Join(s.dir, "layers"))
	if err != nil {
		return fmt.Errorf("list layers: %w", err)
	}
	for _, e := range entries {
		if needed[digestPrefix+e.Name()] {
			continue
		}
		if err := setAside(filepath.Join(s.dir, "layers", e.Name()), gone); err != nil {
			return fmt.Errorf("delete layer %s: %w", e.Name(), err)
		}
	}
	return nil
}
