package image

import (
	"errors"
	"io"
)

// errCut ends the reading of what a writer could not write to its end.
var errCut = errors.New("the writer failed")

// piped reads what is written at the same time. read ends at the stream's end, or
// fails; then what is written still fails too. The error is that of who failed
// first.
func piped(write func(to io.Writer) error, read func(from io.Reader) error) error {
	from, to := io.Pipe()
	wrote := make(chan error, 1)
	go func() {
		err := write(to)
		if err != nil {
			to.CloseWithError(errCut)
		}
		to.Close()
		wrote <- err
	}()
	err := read(from)
	from.CloseWithError(err)
	writeErr := <-wrote
	if err == nil || errors.Is(err, errCut) {
		return writeErr
	}
	return err
}
