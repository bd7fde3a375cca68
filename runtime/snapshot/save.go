package snapshot

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/blob"
	"github.com/bothy-computer/bothy/runtime/idmap"
	"github.com/bothy-computer/bothy/runtime/volume"
)

// Source is a disk to be saved.
type Source struct {
	Path string      // of a tree that nobody changes
	IDs  idmap.Range // whose ids own the files
	// Empty are directories, relative to Path, that are saved without what is in
	// them.
	Empty []string
	// Index is the file where this machine keeps what it saved last of the
	// computer; "" is none.
	Index string
	State volume.State // of the volume, as the tree shows it
	// Layout is nil where the file system tells nothing.
	Layout Layout

	Image  string
	MadeAt time.Time // no later than the moment that the tree shows
	Bytes  int64
	Note   []byte // JSON that Manifest gives back
}

// Save puts a disk into the store under a name. What is the same in the save
// called base, "" for none, is not sent again, and not read again if the index is
// of it. Devices, which no computer can make, are left out. A save that is there
// already is success. An error may leave pieces, which the same save made again
// does not send again. runtime.ErrNoStore and ErrFull are the store's.
func (s *Saver) Save(ctx context.Context, of runtime.Save, from Source, base string) (runtime.Saved, error) {
	if err := check(of); err != nil {
		return runtime.Saved{}, err
	}
	end, err := s.busy.take(ctx, of.Computer)
	if err != nil {
		return runtime.Saved{}, err
	}
	defer end()
	leave, err := enter(ctx, s.saves)
	if err != nil {
		return runtime.Saved{}, err
	}
	defer leave()
	made, err := s.save(ctx, of, from, base)
	if err != nil {
		return runtime.Saved{}, fmt.Errorf("save %s of %s: %w", of.Name, of.Computer, err)
	}
	return made, nil
}

func (s *Saver) save(ctx context.Context, of runtime.Save, from Source, base string) (runtime.Saved, error) {
	m, err := s.manifest(ctx, of)
	if err == nil {
		return m.saved(), nil
	}
	if !errors.Is(err, runtime.ErrNoSave) {
		return runtime.Saved{}, err
	}
	v := &saving{Source: from, s: s, to: of}
	defer func() { v.base.close(); v.index.close() }()
	if err := v.open(ctx, base); err != nil {
		return runtime.Saved{}, err
	}
	if err := v.run(ctx); err != nil {
		if errors.Is(err, errForm) { // the index: without it the disk can be read
			err = errors.Join(err, os.Remove(from.Index))
		}
		return runtime.Saved{}, err
	}
	return v.finish(ctx)
}

// saving is one save on its way.
type saving struct {
	Source
	s  *Saver
	to runtime.Save

	base  *index // nil where nothing is known
	index *indexWriter
	up    *uploads
	names nameRoom
	links map[uint64][]segment // of files with several names

	record  *entry   // of a file that is being read
	queue   []queued // what comes before and waits for the pack
	part    part
	parts   []*piece
	entries int64
	read    int64
}

type queued struct {
	entry entry
	local local
}

// open finds out what the store has already.
func (v *saving) open(ctx context.Context, base string) error {
	v.links = map[uint64][]segment{}
	pieces := catalog{}
	if base != "" {
		if v.Index != "" {
			// One that cannot be read is as good as none.
			if x, err := openIndex(v.Index, v.s.id, base, v.State.ID); err == nil {
				v.base, pieces = x, x.pieces
			}
		}
		if v.base == nil {
			m, err := v.s.manifest(ctx, runtime.Save{Computer: v.to.Computer, Name: base})
			if err == nil {
				pieces, _, err = m.read()
			}
			if err != nil && !errors.Is(err, runtime.ErrNoSave) {
				return fmt.Errorf("read the base %s: %w", base, err)
			}
		}
	}
	for _, p := range pieces {
		p.stale = p.live*staleShare < uint64(p.size)
		p.live = 0
	}
	// What an earlier try has sent.
	listing, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	err := v.s.store.List(listing, sentDir(v.to.Computer, v.to.Name), func(e blob.Entry) error {
		if name, ok := parseSum(e.Name); ok && pieces[name] == nil {
			pieces[name] = &piece{ref: ref{v.to.Name, name}}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if v.index, err = newIndex(v.Index); err != nil {
		return err
	}
	v.up = &uploads{s: v.s, to: v.to, pieces: pieces}
	v.up.group, v.up.ctx = errgroup.WithContext(ctx)
	return nil
}

// run sends all pieces.
func (v *saving) run(ctx context.Context) error {
	err := v.tree(ctx)
	if err == nil {
		err = v.flush()
	}
	if err == nil {
		err = v.endPart()
	}
	if err != nil {
		v.up.group.Go(func() error { return err }) // the others need not end first
	}
	return v.up.group.Wait()
}

// push adds an entry to the list.
func (v *saving) push(e entry, l local) error {
	v.queue = append(v.queue, queued{e, l})
	if v.up.pack == nil {
		return v.drain()
	}
	if len(v.queue) >= maxPending {
		return v.flush()
	}
	return nil
}

// flush ends the pack, so that what waits for it can be listed.
func (v *saving) flush() error {
	was, is, err := v.up.flush()
	if err != nil {
		return err
	}
	if was == nil {
		return v.drain()
	}
	for i := range v.queue {
		settle(v.queue[i].entry.segments, was, is)
	}
	if v.record != nil {
		settle(v.record.segments, was, is)
	}
	return v.drain()
}

func settle(segments []segment, was, is *piece) {
	for i := range segments {
		if segments[i].piece == was {
			segments[i].piece = is
		}
	}
}

// drain lists what waited.
func (v *saving) drain() error {
	for i := range v.queue {
		e := &v.queue[i].entry
		for _, s := range e.segments {
			s.piece.used = true
			s.piece.live += uint64(s.length)
		}
		v.part.add(e, v.queue[i].local)
		v.entries++
		if v.part.ends(e) {
			if err := v.endPart(); err != nil {
				return err
			}
		}
	}
	clear(v.queue)
	v.queue = v.queue[:0]
	return nil
}

func (v *saving) endPart() error {
	data := v.part.bytes()
	p, err := v.up.piece(data)
	if err != nil {
		return err
	}
	p.used = true
	p.live += uint64(p.size)
	v.parts = append(v.parts, p)
	err = v.index.add(data, v.part.locals)
	v.part = part{}
	return err
}

// finish makes the save, once all pieces are there.
func (v *saving) finish(ctx context.Context) (runtime.Saved, error) {
	m := &Manifest{Format: format, Computer: v.to.Computer, Name: v.to.Name, Image: v.Image, MadeAt: v.MadeAt, Bytes: v.Bytes,
		Note: v.Note, Entries: v.entries}
	m.write(v.up.pieces, v.parts)
	err := v.index.finish(header{Store: v.s.id, Manifest: m, State: v.State, Sure: v.MadeAt.Add(-racyTime)})
	if err != nil {
		return runtime.Saved{}, err
	}
	sent, err := v.s.putManifest(ctx, m)
	if err != nil {
		return runtime.Saved{}, err
	}
	if err := v.index.place(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return runtime.Saved{}, err
	}
	made := m.saved()
	made.Read, made.Sent = v.read, v.up.sent.Load()+sent
	return made, nil
}

func hashed(name string, one uint32) bool {
	h := fnv.New32a()
	h.Write([]byte(name))
	return h.Sum32()%one == 0
}
