package snapshot

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/blob"
	"github.com/bothy-computer/bothy/runtime/volume"
)

// Options say where disks are saved. Store is required.
type Options struct {
	Store blob.Store
	// IDFile is where this machine keeps the store's id, for when the store does
	// not answer. "" is a store that has its id and is asked for it each time.
	IDFile string
	// Uploads is how many pieces are sent at once, of all saves together; 0 means
	// DefaultUploads, and MaxUploads is the most.
	Uploads int
	// Grace is how old what nobody needs must be for a sweep, by the store's clock;
	// 0 means DefaultGrace. Clocks may differ by so much.
	Grace time.Duration
	// Bandwidth bounds the bytes that are sent in a second; 0 is no bound.
	Bandwidth int64
}

// Saver saves disks into a store and restores them. Its methods may be called
// from any goroutine; a computer is saved and swept by one at a time, others
// wait.
type Saver struct {
	store blob.Store
	id    string
	line  *line
	grace time.Duration
	busy  busy
	// saves and restores are full while so many go on as may.
	saves, restores chan struct{}
}

// storeKey is where a store's own id is.
const (
	storeKey     = "store"
	maxIDBytes   = 64
	computersDir = "computers/"
)

// Open makes a Saver over a store. The store must answer only when this machine
// sees it for the first time.
func Open(ctx context.Context, o Options) (*Saver, error) {
	if o.Uploads == 0 {
		o.Uploads = DefaultUploads
	}
	if o.Uploads < 1 || o.Uploads > MaxUploads || o.Bandwidth < 0 {
		return nil, fmt.Errorf("open the blob store: %w: uploads are 1 to %d, and bandwidth is not negative", runtime.ErrInvalid, MaxUploads)
	}
	s := &Saver{store: o.Store, grace: cmp.Or(o.Grace, DefaultGrace), busy: busy{held: map[runtime.ID]*turn{}},
		saves: make(chan struct{}, savesAtOnce), restores: make(chan struct{}, restoresAtOnce)}
	var err error
	if s.line, err = newLine(o.Uploads, o.Bandwidth); err != nil {
		return nil, fmt.Errorf("open the blob store: %w", err)
	}
	if s.id, err = identify(ctx, o.Store, o.IDFile); err != nil {
		return nil, fmt.Errorf("open the blob store: %w", err)
	}
	return s, nil
}

// ID is the store's own, the same on every machine that reaches it.
func (s *Saver) ID() string { return s.id }

// String says where the store is, for people.
func (s *Saver) String() string { return s.store.String() }

// awake checks that the store answers, and that it is the one that it was: an
// empty directory where a share was mounted is not.
func (s *Saver) awake(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	id, err := s.store.Get(ctx, storeKey, maxIDBytes)
	if errors.Is(err, blob.ErrNotFound) || err == nil && string(id) != s.id {
		return fmt.Errorf("%w: %s is not the store that this node knows; is a share not mounted, or a bucket another? To begin with another store, remove the file store.json from the node's directory", runtime.ErrNoStore, s.store)
	}
	return err
}

// known is a store that this machine has met.
type known struct {
	Where string `json:"where"`
	ID    string `json:"id"`
}

// identify finds a store's id, or gives it one.
func identify(ctx context.Context, store blob.Store, file string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	if file == "" {
		id, err := store.Get(ctx, storeKey, maxIDBytes)
		return string(id), err
	}
	var met known
	if data, err := os.ReadFile(file); err == nil && json.Unmarshal(data, &met) == nil && met.Where == store.String() && met.ID != "" {
		return met.ID, nil
	}
	id := rand.Text()
	err := store.Make(ctx, storeKey, []byte(id))
	if errors.Is(err, blob.ErrExists) {
		var found []byte
		found, err = store.Get(ctx, storeKey, maxIDBytes)
		id = string(found)
	}
	if err != nil {
		return "", err
	}
	if volume.CheckName(id) != nil {
		return "", fmt.Errorf("%w: %s/%s is not the mark of a store of ours; use an empty directory or prefix", runtime.ErrInvalid, store, storeKey)
	}
	data, err := json.Marshal(known{store.String(), id})
	if err == nil {
		err = writeSynced(file, data)
	}
	return id, err
}

// writeSynced replaces a file, whole or not at all.
func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return rename(path+".new", path)
}

func rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func computerDir(id runtime.ID) string          { return computersDir + string(id) + "/" }
func savesDir(id runtime.ID) string             { return computerDir(id) + "saves/" }
func sentDir(id runtime.ID, save string) string { return computerDir(id) + "pieces/" + save + "/" }
func saveKey(of runtime.Save) string            { return savesDir(of.Computer) + of.Name }

func pieceKey(id runtime.ID, at ref) string { return sentDir(id, at.save) + at.sum.String() }

// check is runtime.ErrInvalid for what cannot name a save.
func check(of runtime.Save) error {
	return errors.Join(volume.CheckName(string(of.Computer)), volume.CheckName(of.Name))
}

// Manifest reads what a save is, or says runtime.ErrNoSave.
func (s *Saver) Manifest(ctx context.Context, of runtime.Save) (*Manifest, error) {
	m, err := s.manifest(ctx, of)
	if err != nil {
		return nil, fmt.Errorf("save %s of %s: %w", of.Name, of.Computer, err)
	}
	return m, nil
}

func (s *Saver) manifest(ctx context.Context, of runtime.Save) (*Manifest, error) {
	if err := check(of); err != nil {
		return nil, err
	}
	if err := s.awake(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	data, err := s.store.Get(ctx, saveKey(of), maxManifestBytes)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, runtime.ErrNoSave
	}
	if err != nil {
		return nil, err
	}
	m, err := parseManifest(data)
	if err == nil && (m.Computer != of.Computer || m.Name != of.Name) {
		err = fmt.Errorf("%w: it says that it is %.100q of %.100q", errForm, m.Name, m.Computer)
	}
	return m, err
}

// Computers visits those whose saves are in the store, or parts of some.
func (s *Saver) Computers(ctx context.Context, visit func(runtime.ID) error) error {
	if err := s.awake(ctx); err != nil {
		return err
	}
	return s.store.List(ctx, computersDir, func(e blob.Entry) error {
		name, ok := strings.CutSuffix(e.Name, "/")
		if !ok || volume.CheckName(name) != nil {
			return nil // not ours
		}
		return visit(runtime.ID(name))
	})
}

// sorted are the pieces that are used, by their senders and names.
func sorted(pieces catalog) []*piece {
	var all []*piece
	for _, p := range pieces {
		if p.used {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b *piece) int {
		return cmp.Or(strings.Compare(a.save, b.save), slices.Compare(a.sum[:], b.sum[:]))
	})
	return all
}
