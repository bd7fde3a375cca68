package blob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/runtime"
)

// Errors that a caller acts on. What else fails is runtime.ErrNoStore, or
// runtime.ErrFull where the store says so.
var (
	ErrNotFound = errors.New("no such blob")
	ErrExists   = errors.New("the blob is there already")
)

// MaxKeyBytes bounds keys: S3 takes no longer ones.
const MaxKeyBytes = 1024

// Entry is what List finds.
type Entry struct {
	Name     string    // within the directory; that of a directory ends with /
	Modified time.Time // by the store's clock; zero for a directory
}

// Store keeps blobs. Its methods may be called from any goroutine, return soon
// after ctx is done, and may be repeated.
type Store interface {
	// Put stores a blob, in the place of one that is there.
	Put(ctx context.Context, key string, data []byte) error
	// Make is Put where none is there, and ErrExists where one is: of several at
	// once one succeeds.
	Make(ctx context.Context, key string, data []byte) error
	// Get reads a blob of at most maxBytes, or says ErrNotFound.
	Get(ctx context.Context, key string, maxBytes int64) ([]byte, error)
	// List visits what is directly in a directory, "" or ending with /, in no
	// order. One that is not there has nothing.
	List(ctx context.Context, dir string, visit func(Entry) error) error
	// Delete deletes blobs. Those that are not there are success.
	Delete(ctx context.Context, keys []string) error
	// String says where it is, for people, without secrets.
	String() string
}

// checkKey is runtime.ErrInvalid for what is no key.
func checkKey(key string) error {
	if !fs.ValidPath(key) || key == "." || len(key) > MaxKeyBytes || strings.ContainsAny(key, "\x00\\") {
		return fmt.Errorf("%w: %.100q is no key of a blob", runtime.ErrInvalid, key)
	}
	return nil
}

func checkDir(dir string) error {
	if dir == "" {
		return nil
	}
	name, ok := strings.CutSuffix(dir, "/")
	if !ok {
		return fmt.Errorf("%w: %.100q is no directory of blobs", runtime.ErrInvalid, dir)
	}
	return checkKey(name)
}

func tooLarge(key string, maxBytes int64) error {
	return fmt.Errorf("the blob %s is larger than %d bytes, so it is not one of ours", key, maxBytes)
}
