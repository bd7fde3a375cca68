package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/bothy-computer/bothy/runtime"
)

const (
	// maxNameBytesHeld bounds the memory for names while an image is packed or
	// unpacked: with a million entries there are 200 bytes for the path of each.
	maxNameBytesHeld = 256 << 20
	// nameCost is what a name takes in memory beside its own bytes.
	nameCost = 64
	// namesAtOnce is how many names of a directory are read at a time.
	namesAtOnce = 1024
)

// limits bound what an image may hold, or what is put into a root at once.
type limits struct {
	entries int      // names in all layers together
	bytes   int64    // that files hold, in all layers together, or an archive
	names   nameRoom // memory for names, in all layers together
}

var defaultLimits = limits{entries: 1_000_000, bytes: 32 << 30, names: roomFor(maxNameBytesHeld)}

// nameRoom is how many bytes of names may still be held, and how many at most.
type nameRoom struct{ left, most int64 }

func roomFor(bytes int64) nameRoom { return nameRoom{bytes, bytes} }

// hold takes room for a name of so many bytes; release gives it back.
func (r *nameRoom) hold(bytes int) error {
	if r.left -= int64(bytes) + nameCost; r.left < 0 {
		return fmt.Errorf("%w: its names take more than %d bytes of memory", runtime.ErrInvalid, r.most)
	}
	return nil
}

func (r *nameRoom) release(names []string) {
	for _, n := range names {
		r.left += int64(len(n)) + nameCost
	}
}

// list reads what a directory has, in order, and takes room for it.
func (r *nameRoom) list(ctx context.Context, dir *os.File) ([]string, error) {
	var all []string
	for {
		some, err := dir.Readdirnames(namesAtOnce)
		for _, n := range some {
			if err := r.hold(len(n)); err != nil {
				return nil, err
			}
		}
		all = append(all, some...)
		if errors.Is(err, io.EOF) {
			slices.Sort(all)
			return all, nil
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return nil, err
		}
	}
}
