package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/blob"
	"github.com/bothy-computer/bothy/runtime/volume"
)

// deleteBatch is how many blobs are deleted at once.
const deleteBatch = 1000

// Sweep deletes the saves of a computer that are not in keep, and the pieces that
// only they have. Those of keep must be there, else nothing is deleted.
//
// It takes nothing from a newer owner, however late it is: what was younger than
// the grace when the sweep began is left for a later one, and what a newer owner
// sends has names of its own, even if the same was there before.
func (s *Saver) Sweep(ctx context.Context, id runtime.ID, keep []string) error {
	if err := volume.CheckName(string(id)); err != nil {
		return err
	}
	w := sweep{s: s, id: id, keep: keep, before: time.Now().Add(-s.grace), kept: map[ref]bool{}}
	end, err := s.busy.take(ctx, id)
	if err != nil {
		return err
	}
	defer end()
	if err := w.run(ctx); err != nil {
		return fmt.Errorf("sweep the saves of %s: %w", id, err)
	}
	return nil
}

type sweep struct {
	s      *Saver
	id     runtime.ID
	keep   []string
	before time.Time // what is younger stays
	kept   map[ref]bool
	batch  []string
}

func (w *sweep) run(ctx context.Context) error {
	if err := w.s.awake(ctx); err != nil {
		return err
	}
	for _, name := range w.keep {
		m, err := w.s.manifest(ctx, runtime.Save{Computer: w.id, Name: name})
		if err != nil {
			return fmt.Errorf("read the save %s, which is to be kept: %w", name, err)
		}
		pieces, _, err := m.read()
		if err != nil {
			return fmt.Errorf("read the save %s, which is to be kept: %w", name, err)
		}
		for _, p := range pieces {
			w.kept[p.ref] = true
		}
	}
	// Manifests go before their pieces, so that no save is there without them.
	err := w.each(ctx, savesDir(w.id), func(e blob.Entry) error {
		if slices.Contains(w.keep, e.Name) || e.Modified.After(w.before) {
			return nil
		}
		return w.delete(ctx, savesDir(w.id)+e.Name)
	})
	if err == nil {
		err = w.flush(ctx)
	}
	if err != nil {
		return err
	}
	err = w.s.store.List(ctx, computerDir(w.id)+"pieces/", func(e blob.Entry) error {
		save, ok := strings.CutSuffix(e.Name, "/")
		if !ok {
			return nil
		}
		return w.each(ctx, sentDir(w.id, save), func(e blob.Entry) error {
			name, ok := parseSum(e.Name)
			if !ok || w.kept[ref{save, name}] || e.Modified.After(w.before) {
				return nil
			}
			return w.delete(ctx, sentDir(w.id, save)+e.Name)
		})
	})
	return errors.Join(err, w.flush(ctx))
}

// each visits blobs in a directory. What comes while it does may be left out.
func (w *sweep) each(ctx context.Context, dir string, visit func(blob.Entry) error) error {
	return w.s.store.List(ctx, dir, func(e blob.Entry) error {
		if strings.HasSuffix(e.Name, "/") {
			return nil
		}
		return visit(e)
	})
}

func (w *sweep) delete(ctx context.Context, key string) error {
	w.batch = append(w.batch, key)
	if len(w.batch) < deleteBatch {
		return nil
	}
	return w.flush(ctx)
}

func (w *sweep) flush(ctx context.Context) error {
	if len(w.batch) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	err := w.s.store.Delete(ctx, w.batch)
	w.batch = w.batch[:0]
	return err
}

// Forget deletes all that a computer has in the store.
func (s *Saver) Forget(ctx context.Context, id runtime.ID) error {
	if err := volume.CheckName(string(id)); err != nil {
		return err
	}
	end, err := s.busy.take(ctx, id)
	if err != nil {
		return err
	}
	defer end()
	if err := s.awake(ctx); err != nil {
		return err
	}
	w := sweep{s: s, id: id}
	for _, dir := range []string{savesDir(id), computerDir(id) + "pieces/"} {
		if err := w.everything(ctx, dir); err != nil {
			return fmt.Errorf("forget the saves of %s: %w", id, err)
		}
	}
	return nil
}

func (w *sweep) everything(ctx context.Context, dir string) error {
	err := w.s.store.List(ctx, dir, func(e blob.Entry) error {
		if strings.HasSuffix(e.Name, "/") {
			return w.everything(ctx, dir+e.Name)
		}
		return w.delete(ctx, dir+e.Name)
	})
	return errors.Join(err, w.flush(ctx))
}
