package meter

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/bothy-computer/bothy/runtime"
)

// Book holds the pages of a node's computers. Its methods may be called from
// many goroutines.
type Book struct {
	path string

	mu    sync.Mutex
	pages map[string]account
}

// Open reads the book kept at path, or begins one.
func Open(path string) (*Book, error) {
	b := &Book{path: path, pages: map[string]account{}}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open meter: %w", err)
	}
	if err := json.Unmarshal(data, &b.pages); err != nil {
		return nil, fmt.Errorf("open meter %s: %w", path, err)
	}
	return b, nil
}

// Add counts a sample and returns what was used in all.
func (b *Book) Add(id string, s Sample) runtime.Usage {
	b.mu.Lock()
	defer b.mu.Unlock()
	page := b.pages[id].add(s)
	b.pages[id] = page
	return page.Total
}

// Last is the newest sample of a computer, zero when there is none.
func (b *Book) Last(id string) Sample {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pages[id].Last
}

// Forget drops a computer that was removed.
func (b *Book) Forget(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.pages, id)
}

// Save writes the book so that it survives a power cut. What was added since
// is lost in one, and only then.
func (b *Book) Save() error {
	b.mu.Lock()
	data, err := json.Marshal(b.pages)
	b.mu.Unlock()
	if err != nil {
		return fmt.Errorf("save meter: %w", err)
	}
	f, err := os.OpenFile(b.path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("save meter: %w", err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(b.path+".new", b.path)
	}
	if err != nil {
		return fmt.Errorf("save meter: %w", err)
	}
	return nil
}
