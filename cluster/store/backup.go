package store

import (
	"errors"
	"fmt"
	"io"
)

// Archive writes the store as it is at some moment during the call, with at least
// every update made before it, in the form that Draft.Write takes. Meanwhile
// there is a draft of this id; the store goes on.
func (sh *Shelf) Archive(id string, w io.Writer) (err error) {
	d, err := sh.Begin(id)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Cancel()) }()
	if err := d.Take(); err != nil {
		return err
	}
	p, err := pack(sh.s.fs, d.path(dataDir), d.applied)
	if err == nil {
		err = p.writeTo(w)
	}
	if err != nil {
		return fmt.Errorf("archive the store: %w", err)
	}
	return nil
}
