package warden

import (
	"fmt"
	"os"
	"path/filepath"
)

// inDirectory calls do with another name of path that is short enough for a
// unix socket (108 bytes), however deep its directory lies.
func inDirectory(path string, do func(short string) error) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return do(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)))
}
