package fake

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// file is one of a workspace; of a link, data is where it leads.
type file struct {
	name string
	mode fs.FileMode
	data string
}

func (f file) equal(other file) bool { return f == other }

// readFiles reads a directory's files, in the order of their names; one that is
// not there has none.
func readFiles(dir string) ([]file, error) {
	var all []file
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		f, err := readFile(path, entry)
		if f.name, _ = filepath.Rel(dir, path); err == nil {
			all = append(all, f)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return all, err
}

func readFile(path string, entry fs.DirEntry) (file, error) {
	info, err := entry.Info()
	if err != nil {
		return file{}, err
	}
	f := file{mode: info.Mode()}
	var data []byte
	switch {
	case f.mode.IsRegular():
		data, err = os.ReadFile(path)
		f.data = string(data)
	case f.mode&fs.ModeSymlink != 0:
		f.data, err = os.Readlink(path)
	}
	return f, err
}

// writeFiles makes a directory of what readFiles found.
func writeFiles(dir string, files []file) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		var err error
		switch {
		case f.mode.IsDir():
			err = os.Mkdir(path, f.mode.Perm())
		case f.mode&os.ModeSymlink != 0:
			err = os.Symlink(f.data, path)
		default:
			err = os.WriteFile(path, []byte(f.data), f.mode.Perm())
		}
		if err != nil {
			return err
		}
	}
	return nil
}
