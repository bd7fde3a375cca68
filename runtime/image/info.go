package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/runtime"
)

// Config is what an image says about processes started from it.
type Config struct {
	Env        []string `json:"env,omitempty"` // KEY=value
	Entrypoint []string `json:"entrypoint,omitempty"`
	Cmd        []string `json:"cmd,omitempty"`
	User       string   `json:"user,omitempty"`    // name or uid, maybe with :group
	WorkDir    string   `json:"workDir,omitempty"` // absolute, or "" for none
	// Desktop is the absolute path, inside, of a program that has the
	// computer's display up for the user that runs it: called with a port, it
	// returns 0 when the display answers on 127.0.0.1 there, however often it
	// is called. "" for an image without a desktop. An OCI image says it with
	// the label DesktopLabel.
	Desktop string `json:"desktop,omitempty"`
}

// Equal reports whether two configurations say the same.
func (c Config) Equal(o Config) bool {
	return slices.Equal(c.Env, o.Env) && slices.Equal(c.Entrypoint, o.Entrypoint) && slices.Equal(c.Cmd, o.Cmd) &&
		c.User == o.User && c.WorkDir == o.WorkDir && c.Desktop == o.Desktop
}

// Info describes an image.
type Info struct {
	Names   []string  `json:"-"` // sorted; empty when only its digest names it
	Digest  string    `json:"digest"`
	Bytes   int64     `json:"bytes"` // that its own files hold; the host's /usr not counted
	Created time.Time `json:"created"`
	Config  Config    `json:"config"`
	// Base is the digest of the image that this one stands on, "" for none, and
	// Layers the digests of the layers over that, or over nothing, the lowest
	// first; none for an image with a root of its own.
	Base   string   `json:"base,omitempty"`
	Layers []string `json:"layers,omitempty"`
	// Diffs are the layers of an imported image by what they were imported from.
	Diffs map[string]string `json:"diffs,omitempty"`
	// Root is what a root of its own packs to, nil until somebody asks.
	Root *Packed `json:"root,omitempty"`
	// Description is a line for people; "" when nobody wrote one.
	Description string `json:"description,omitempty"`
	// State is Active, but for what List tells of images that are not here
	// yet: those have a name and no digest.
	State State `json:"-"`
	// Reason is why the image failed, or the step that its making is at.
	Reason string `json:"-"`
}

// Info describes the image of a digest.
func (s *Store) Info(ctx context.Context, digest string) (Info, error) {
	if _, err := s.Layers(ctx, digest); err != nil {
		return Info{}, err
	}
	all, err := s.active(ctx)
	if err != nil {
		return Info{}, err
	}
	for _, info := range all {
		if info.Digest == digest {
			return info, nil
		}
	}
	return Info{}, fmt.Errorf("image %s: %w", digest, runtime.ErrNoImage)
}

// List describes all images here, by digest, and before them those that would
// be made when asked for. The host image is in it, and is made for that if it
// has to be.
func (s *Store) List(ctx context.Context) ([]Info, error) {
	absent := s.absent() // first, so that one that is made meanwhile is not missed
	all, err := s.active(ctx)
	if err != nil {
		return nil, err
	}
	for _, here := range all {
		absent = slices.DeleteFunc(absent, func(i Info) bool { return slices.Contains(here.Names, i.Names[0]) })
	}
	return append(absent, all...), nil
}

// absent describes the recipes without an image, by name.
func (s *Store) absent() []Info {
	var all []Info
	for _, name := range slices.Sorted(maps.Keys(s.makings.recipes)) {
		if _, err := s.named(name); !errors.Is(err, runtime.ErrNoImage) {
			continue
		}
		r := s.makings.recipes[name]
		info := Info{Names: []string{name}, Config: r.Config, Description: r.Description}
		info.State, info.Reason = s.makings.state(name)
		all = append(all, info)
	}
	return all
}

// active describes all images here.
func (s *Store) active(ctx context.Context) ([]Info, error) {
	if _, err := s.host.ensure(); err != nil {
		s.log.Warn("no host image", "err", err)
	}
	names, err := s.names()
	if err != nil {
		return nil, err
	}
	var all []Info
	for _, kind := range []string{"host", "images"} {
		entries, err := os.ReadDir(filepath.Join(s.dir, kind))
		if err != nil {
			return nil, fmt.Errorf("list images: %w", err)
		}
		for _, e := range entries {
			info, err := readInfo(filepath.Join(s.dir, kind, e.Name()))
			if errors.Is(err, fs.ErrNotExist) {
				continue // swept meanwhile
			}
			if err = errors.Join(err, ctx.Err()); err != nil {
				return nil, fmt.Errorf("list images: %w", err)
			}
			info.Names, info.State = names[info.Digest], Active
			all = append(all, info)
		}
	}
	slices.SortFunc(all, func(a, b Info) int { return strings.Compare(a.Digest, b.Digest) })
	return all, nil
}

func writeInfo(dir string, info Info) error {
	text, err := json.Marshal(info)
	if err != nil {
		return fmt.Errorf("describe an image: %w", err)
	}
	return os.WriteFile(filepath.Join(dir, "info.json"), text, 0o600)
}

func readInfo(dir string) (Info, error) {
	var info Info
	text, err := os.ReadFile(filepath.Join(dir, "info.json"))
	if err != nil {
		return info, err
	}
	return info, json.Unmarshal(text, &info)
}
