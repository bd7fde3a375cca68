package image

import (
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

const (
	// reserveBytes of the disk are never taken for images: the node's log and
	// store live there too.
	reserveBytes = 1 << 30
	// roomEvery is how many bytes of a file are written between two looks for room.
	roomEvery = 16 << 20
)

// free is how many bytes of the disk are.
func (s *Store) free() (int64, error) {
	if s.disk != nil {
		return s.disk(), nil
	}
	var st unix.Statfs_t
	if err := unix.Statfs(s.dir, &st); err != nil {
		return 0, fmt.Errorf("look for room: %w", err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// hasRoom is runtime.ErrFull where so many bytes more would not leave the reserve.
func (s *Store) hasRoom(bytes int64) error {
	free, err := s.free()
	if err == nil && free-reserveBytes < bytes {
		err = fmt.Errorf("%w: images need %d MiB more of disk, %d MiB are free and %d MiB are kept free",
			runtime.ErrFull, bytes>>20, free>>20, reserveBytes>>20)
	}
	return err
}

// stillRoom is hasRoom for what is written without knowing how much it will be.
func (s *Store) stillRoom() error { return s.hasRoom(0) }

// roomy is a file that is written only while room has no error; nil looks for
// none.
type roomy struct {
	to   io.Writer
	room func() error
	left int64 // until the next look
}

func (r *roomy) Write(p []byte) (int, error) {
	if r.left -= int64(len(p)); r.left < 0 && r.room != nil {
		if err := r.room(); err != nil {
			return 0, err
		}
		r.left = roomEvery
	}
	return r.to.Write(p)
}
