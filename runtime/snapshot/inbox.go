package snapshot

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/blob"
	"github.com/bothy-computer/bothy/runtime/volume"
)

// inboxReserveBytes of the disk are never taken for what is sent: what a pool has
// to leave.
const inboxReserveBytes = volume.DiskReserveBytes

// Inbox is a store on this machine alone, in which other machines put disks that
// are to go on here.
type Inbox struct {
	*Saver
	http.Handler // for other machines
	dir          string
	opened       time.Time
	free         func() (int64, error)

	mu      sync.Mutex
	last    map[runtime.ID]time.Time // when somebody asked or sent
	leaving map[runtime.ID]bool      // that are being forgotten
}

// OpenInbox opens the inbox in a directory, which is made.
func OpenInbox(ctx context.Context, dir string) (*Inbox, error) {
	store := blob.NewDir(dir)
	s, err := Open(ctx, Options{Store: store, IDFile: filepath.Clean(dir) + ".json"})
	if err != nil {
		return nil, err
	}
	i := &Inbox{Saver: s, dir: dir, opened: time.Now(), last: map[runtime.ID]time.Time{}, leaving: map[runtime.ID]bool{}}
	i.free = i.diskFree
	i.Handler = blob.Serve(store, i.take)
	return i, nil
}

// Outbox is the inbox of another machine, at the end of way, as a Saver.
func Outbox(ctx context.Context, way http.RoundTripper) (*Saver, error) {
	return Open(ctx, Options{Store: blob.NewRemote(way)})
}

// take lets a request in that reads, or sends so many bytes, below a computer. One
// that sends needs room.
func (i *Inbox) take(key string, bytes int) error {
	if key == storeKey && bytes == 0 {
		return nil
	}
	name, ok := strings.CutPrefix(key, computersDir)
	id, _, below := strings.Cut(name, "/")
	if !ok || !below || volume.CheckName(id) != nil {
		return fmt.Errorf("%w: %.100q is below no computer", runtime.ErrInvalid, key)
	}
	if bytes > 0 {
		free, err := i.free()
		if err == nil && free-inboxReserveBytes < int64(bytes) {
			err = fmt.Errorf("%w: %d MiB are free there, and %d MiB are kept free", runtime.ErrFull, free>>20, int64(inboxReserveBytes)>>20)
		}
		if err != nil {
			return err
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.leaving[runtime.ID(id)] {
		return fmt.Errorf("what was sent of %s before is being deleted", id)
	}
	i.last[runtime.ID(id)] = time.Now()
	return nil
}

func (i *Inbox) diskFree() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(i.dir, &st); err != nil {
		return 0, fmt.Errorf("look for room: %w", err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// Forget deletes all that a computer has here, unless somebody sent or asked for
// some of it after last. Who does meanwhile is refused.
func (i *Inbox) Forget(ctx context.Context, id runtime.ID, last time.Time) error {
	i.mu.Lock()
	if i.leaving[id] || i.last[id].After(last) {
		i.mu.Unlock()
		return nil
	}
	i.leaving[id] = true
	i.mu.Unlock()
	err := i.Saver.Forget(ctx, id)
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.leaving, id)
	if err == nil {
		delete(i.last, id)
	}
	return err
}

// Sent visits the computers of which something is here, with when the last of it
// came; of what came before the inbox was opened, that.
func (i *Inbox) Sent(ctx context.Context, visit func(runtime.ID, time.Time) error) error {
	return i.Computers(ctx, func(id runtime.ID) error {
		i.mu.Lock()
		at, known := i.last[id]
		i.mu.Unlock()
		if !known {
			at = i.opened
		}
		return visit(id, at)
	})
}
