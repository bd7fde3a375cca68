package bare

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/bothy-computer/bothy/bench/measure"
)

// Fsync appends entries of some bytes to a file in dir, each followed by an
// fsync, for a time: what one acknowledged write costs at least on this disk.
func Fsync(dir string, bytes int, during time.Duration) (*measure.Samples, time.Duration, error) {
	f, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		return nil, 0, fmt.Errorf("write and fsync: %w", err)
	}
	defer os.Remove(f.Name())
	entry := make([]byte, bytes)
	var all measure.Samples
	begun := time.Now()
	for time.Since(begun) < during && err == nil {
		err = all.Time(func() error {
			_, err := f.Write(entry)
			return errors.Join(err, f.Sync())
		})
	}
	took := time.Since(begun)
	return &all, took, errors.Join(err, f.Close())
}
