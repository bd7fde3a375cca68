package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Draft is a snapshot being made, from this node's store (Take) or from
// another node's archive (Write). Nothing of it is on the shelf before Keep.
type Draft struct {
	sh      *Shelf
	id      string
	applied uint64
	stream  *io.PipeWriter
	done    chan struct{} // closed when the stream is unpacked
	failed  error         // why it could not be; read after done
}

// Begin starts a snapshot. A draft of the same id is discarded.
func (sh *Shelf) Begin(id string) (*Draft, error) {
	if !legalName(id) {
		return nil, fmt.Errorf("begin a snapshot: %q is not a legal id", id)
	}
	d := &Draft{sh: sh, id: id}
	if err := sh.s.fs.RemoveAll(d.path()); err != nil {
		return nil, fmt.Errorf("begin the snapshot %s: %w", id, err)
	}
	if err := makeDir(sh.s.fs, d.path()); err != nil {
		return nil, fmt.Errorf("begin the snapshot %s: %w", id, err)
	}
	return d, nil
}

func (d *Draft) path(parts ...string) string {
	return d.sh.path(append([]string{draftName + d.id}, parts...)...)
}

// Take makes the draft a checkpoint of the store. When it returns, the store
// itself is durable up to the checkpoint.
func (d *Draft) Take() (err error) {
	if d.applied, err = d.sh.s.Checkpoint(d.path(dataDir)); err != nil {
		return fmt.Errorf("take the snapshot %s: %w", d.id, err)
	}
	return d.sh.s.o.Crash("snapshot: taken")
}

// Write takes the next bytes of an archive.
func (d *Draft) Write(p []byte) (int, error) {
	if d.stream == nil {
		r, w := io.Pipe()
		d.stream, d.done = w, make(chan struct{})
		go func() {
			defer close(d.done)
			d.applied, d.failed = unpack(r, d.sh.s.fs, d.path(dataDir))
			r.CloseWithError(d.failed)
		}()
	}
	return d.stream.Write(p)
}

// Keep puts the finished snapshot on the shelf, durably, and removes older
// ones. about is JSON.
func (d *Draft) Keep(about []byte) (Item, error) {
	if err := d.finish(); err != nil {
		return Item{}, fmt.Errorf("receive the snapshot %s: %w", d.id, err)
	}
	it, err := d.describe(about)
	if err != nil {
		return Item{}, fmt.Errorf("keep the snapshot %s: %w", d.id, err)
	}
	if err := d.sh.s.o.Crash("snapshot: described"); err != nil {
		return Item{}, err
	}
	fs := d.sh.s.fs
	if err := fs.Rename(d.path(), d.sh.path(d.id)); err != nil {
		return Item{}, fmt.Errorf("keep the snapshot %s: %w", d.id, err)
	}
	if err := syncDir(fs, d.sh.dir); err != nil {
		return Item{}, fmt.Errorf("keep the snapshot %s: %w", d.id, err)
	}
	if err := d.sh.s.o.Crash("snapshot: kept"); err != nil {
		return Item{}, err
	}
	if err := d.sh.reap(); err != nil {
		return Item{}, fmt.Errorf("remove old snapshots: %w", err)
	}
	return it, d.sh.s.o.Crash("snapshot: reaped")
}

// finish waits until a stream is unpacked.
func (d *Draft) finish() error {
	if d.stream == nil {
		return nil
	}
	err := d.stream.Close()
	<-d.done
	return errors.Join(err, d.failed)
}

func (d *Draft) describe(about []byte) (Item, error) {
	p, err := pack(d.sh.s.fs, d.path(dataDir), d.applied)
	if err != nil {
		return Item{}, err
	}
	it := Item{ID: d.id, Applied: d.applied, Size: p.size(), About: about}
	b, err := json.Marshal(itemRecord{Version: 1, Applied: it.Applied, Size: it.Size, About: about})
	if err != nil {
		return Item{}, err
	}
	return it, replaceFile(d.sh.s.fs, d.path(), metaFile, b)
}

// Cancel discards the draft.
func (d *Draft) Cancel() error {
	if d.stream != nil {
		d.stream.CloseWithError(errors.New("the snapshot was cancelled"))
		<-d.done
	}
	return d.sh.s.fs.RemoveAll(d.path())
}
