package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// wholeFile writes a file that is there, durably, once it is whole; "-" is the
// standard output. Nobody else may read it.
func wholeFile(t *terminal, path string, write func(io.Writer) error) (err error) {
	if path == "-" {
		return write(t.out)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
