package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"

	"github.com/bothy-computer/bothy/runtime/blob"
)

// errOtherBlob is of a store that loses what it is given.
var errOtherBlob = errors.New("what was read is not what was written")

// lookBlobs writes a blob to the store, reads it and deletes it, as saves do.
func lookBlobs(ctx context.Context, d *doctor) []finding {
	store, err := d.config.Blob.store()
	switch {
	case err != nil:
		return []finding{failed("Mend it in the file of the node.", "%v", err)}
	case store == nil:
		return []finding{warning("Name one that all nodes share: blob in the file of each node, or --blob-dir.",
			"no blob store: a computer's files are on its node alone, and die with the node's disk")}
	}
	if err := tryStore(ctx, store); err != nil {
		return []finding{failed("Check that it is there and may be written from here, as from every other node: a directory is mounted and not full, a bucket takes the keys.", "%s: %v", store, err)}
	}
	return []finding{good("%s takes and gives blobs", store)}
}

func tryStore(ctx context.Context, store blob.Store) error {
	text := []byte(rand.Text())
	key := "doctor/" + string(text)
	if err := store.Make(ctx, key, text); err != nil {
		return err
	}
	read, err := store.Get(ctx, key, int64(len(text)))
	if err == nil && !bytes.Equal(read, text) {
		err = errOtherBlob
	}
	if removed := store.Delete(ctx, []string{key}); err == nil {
		err = removed
	}
	return err
}
