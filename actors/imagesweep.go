package actors

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/build"
)

// sweepImagesEvery is how often a node deletes images that nothing needs.
const sweepImagesEvery = 5 * time.Minute

// sweepImages takes names of images away that belong to nothing any more, and
// deletes what nothing needs. It decides on records confirmed by the
// cluster, and about a name only when it was without an environment for long:
// the record of a build comes after its image.
func (s *System) sweepImages(ctx context.Context) error {
	driver, ok := s.o.Driver.(runtime.ImageSweeper)
	if !ok {
		return nil
	}
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	untagErr := s.untagImages(ctx, driver)
	keep, err := s.keptImages(ctx)
	if err != nil {
		return errors.Join(untagErr, fmt.Errorf("confirm which images stay: %w", err))
	}
	n, err := driver.SweepImages(ctx, keep)
	if n > 0 {
		s.log.Info("images deleted", "count", n)
	}
	return errors.Join(untagErr, err)
}

// keptImages lists the images that have records of their own, by digest.
func (s *System) keptImages(ctx context.Context) (keep []string, err error) {
	return view(ctx, s.o.Cluster, func(v *state.View) ([]string, error) {
		err := v.ReadyImages(func(i state.Image) bool { keep = append(keep, i.Digest); return true })
		return keep, err
	})
}

func (s *System) untagImages(ctx context.Context, driver runtime.ImageSweeper) error {
	lister, ok := s.o.Driver.(runtime.Imager)
	if !ok {
		return nil
	}
	all, err := lister.ListImages(ctx) // before the records, so that those know of them
	if err != nil {
		return fmt.Errorf("list this machine's images: %w", err)
	}
	v, err := s.o.Cluster.Read(ctx)
	if err != nil {
		return fmt.Errorf("confirm this machine's images: %w", err)
	}
	defer v.Close()
	unknown, err := untagged(v, all)
	if err != nil {
		return err
	}
	maps.DeleteFunc(s.untagged, func(name string, _ time.Time) bool { return !unknown[name] })
	for name := range unknown {
		first, seen := s.untagged[name]
		switch now := s.o.Now(); {
		case !seen:
			s.untagged[name] = now
		case now.Sub(first) >= orphanAge:
			s.log.Info("forgetting the name of an image", "image", name)
			err = errors.Join(err, driver.ForgetImage(ctx, name))
			delete(s.untagged, name)
		}
	}
	return err
}

// untagged are the names of environments' images that no environment has, and
// of shared images that are no more, or are others by now.
func untagged(v *state.View, all []runtime.Image) (map[string]bool, error) {
	unknown := map[string]bool{}
	for _, i := range all {
		var known bool
		var err error
		switch {
		case i.BuiltIn:
			continue
		case build.IsTag(i.Name):
			_, known, err = v.EnvironmentTagged(i.Name)
		default:
			var shared state.Image
			shared, known, err = v.SharedImage(i.Name)
			known = known && shared.Digest == i.Digest
		}
		if err != nil {
			return nil, fmt.Errorf("find who has image %s: %w", i.Name, err)
		}
		if !known {
			unknown[i.Name] = true
		}
	}
	return unknown, nil
}
