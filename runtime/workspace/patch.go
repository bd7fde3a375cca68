package workspace

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io/fs"

	"github.com/bothy-computer/bothy/runtime"
)

// MaxEdits bounds the edits of one patch.
const MaxEdits = 256

// Edit replaces every occurrence of a text by another.
type Edit struct {
	Find    string `json:"find"`
	Replace string `json:"replace"`
}

// Version tells contents apart: the first 8 bytes of the SHA-256 as a
// big-endian number, its highest bit cleared.
func Version(content []byte) int64 {
	sum := sha256.Sum256(content)
	return int64(binary.BigEndian.Uint64(sum[:]) &^ (1 << 63))
}

// Patch applies edits to a file, one after the other, and returns the new
// content's version. A text that is not found changes nothing, as does a
// result of more than MaxContentBytes; both are runtime.ErrInvalid. The file
// keeps its mode. Who patches one file side by side with others has to take
// turns.
func (w *FS) Patch(ctx context.Context, name string, edits []Edit) (int64, error) {
	clean, err := w.notTheRoot(name)
	if err != nil {
		return 0, err
	}
	info, err := w.root.Lstat(clean)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		err = fmt.Errorf("%w: it is a link; patch the file that it leads to", runtime.ErrInvalid)
	}
	if err != nil {
		return 0, plain("patch", clean, err)
	}
	content, err := w.ReadFile(name, MaxContentBytes)
	if err != nil {
		return 0, err
	}
	if content, err = apply(content, edits); err != nil {
		return 0, err
	}
	_, err = w.Write(ctx, name, bytes.NewReader(content), WriteOptions{})
	return Version(content), err
}

// apply is what edits make of a content.
func apply(content []byte, edits []Edit) ([]byte, error) {
	if err := checkEdits(edits); err != nil {
		return nil, err
	}
	for i, e := range edits {
		count := bytes.Count(content, []byte(e.Find))
		if count == 0 {
			return nil, wrong(fmt.Sprintf("edits[%d].find", i), "it is not in the file: %.100q", e.Find)
		}
		// Counted before it is made: a short file can become a huge one.
		if size := len(content) + count*(len(e.Replace)-len(e.Find)); size > MaxContentBytes {
			return nil, wrong(fmt.Sprintf("edits[%d].replace", i), "the file would have %d bytes, more than %d", size, MaxContentBytes)
		}
		content = bytes.ReplaceAll(content, []byte(e.Find), []byte(e.Replace))
	}
	return content, nil
}

func checkEdits(edits []Edit) error {
	if len(edits) == 0 || len(edits) > MaxEdits {
		return wrong("edits", "there are %d; without set_contents there are from 1 to %d", len(edits), MaxEdits)
	}
	for i, e := range edits {
		if e.Find == "" {
			return wrong(fmt.Sprintf("edits[%d].find", i), "it is empty")
		}
	}
	return nil
}
