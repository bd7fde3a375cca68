package workspace

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// putRange writes a range so that a full disk leaves what was. All room is taken
// before a byte of the file changes: what it grows by, and, where the file
// system writes what is new beside what is old, the new blocks.
func (w *FS) putRange(f *os.File, size, offset int64, data []byte) error {
	end := offset + int64(len(data))
	inside := min(int64(len(data)), max(0, size-offset))
	before := make([]byte, inside)
	n, err := f.ReadAt(before, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	fresh, err := w.stage(f, offset, data[:inside])
	if err != nil {
		return err
	}
	defer fresh.close()
	if from := max(offset, size); end > from {
		err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, from, end-from)
		if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
			return err
		}
	}
	if err = fresh.put(f, offset, data); err == nil {
		return nil
	}
	undo := pwrite(f, before[:n], offset)
	if end > size {
		undo = errors.Join(undo, f.Truncate(size))
	}
	return errors.Join(err, undo)
}

// staged are whole blocks of new content in a file of their own, which can be
// put in place without more room. With part nil there are none.
type staged struct {
	part       *os.File
	at, length int64 // where they belong
}

// stage writes the whole blocks of a range into a file that has no name. Only
// btrfs needs that: others write over a block where it is.
func (w *FS) stage(f *os.File, offset int64, data []byte) (staged, error) {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &fs); err != nil {
		return staged{}, err
	}
	block := int64(fs.Bsize)
	at := (offset + block - 1) / block * block
	length := (offset+int64(len(data)))/block*block - at
	if fs.Type != unix.BTRFS_SUPER_MAGIC || length <= 0 {
		return staged{}, nil
	}
	part, err := w.unnamed()
	if err != nil {
		return staged{}, err
	}
	s := staged{part, at, length}
	if err := pwrite(part, data[at-offset:at-offset+length], 0); err != nil {
		s.close()
		return staged{}, err
	}
	return s, nil
}

func (s staged) close() {
	if s.part != nil {
		s.part.Close()
	}
}

// put puts a range in place: whole blocks at once, and what is left of the
// blocks at its ends byte by byte.
func (s staged) put(f *os.File, offset int64, data []byte) error {
	if s.part == nil {
		return pwrite(f, data, offset)
	}
	head, tail := s.at-offset, s.at-offset+s.length
	if err := pwrite(f, data[:head], offset); err != nil {
		return err
	}
	err := unix.IoctlFileCloneRange(int(f.Fd()), &unix.FileCloneRange{
		Src_fd: int64(s.part.Fd()), Src_length: uint64(s.length), Dest_offset: uint64(s.at)})
	if errors.Is(err, unix.EINVAL) { // a file that is never written beside itself shares no blocks
		err = pwrite(f, data[head:tail], s.at)
	}
	if err != nil {
		return err
	}
	return pwrite(f, data[tail:], s.at+s.length)
}

func pwrite(f *os.File, data []byte, offset int64) error {
	if len(data) == 0 {
		return nil
	}
	_, err := f.WriteAt(data, offset)
	return err
}
