package computeragents

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

const (
	// maxParts bounds the parts of a form: files, their paths, and others.
	maxParts = 2*maxUploadFiles + 100
	// formPiece is how much of a form is read from its sender at once.
	formPiece = 256 << 10
	// formTail is more than the form's reader reads ahead.
	formTail = 16 << 10
)

// form is a multipart body, read as it comes.
type form struct {
	parts *multipart.Reader
	body  *tail
	last  []byte // the line that ends it
	count int
	over  bool
}

// form reads a request's multipart body.
func (a *API) form(c *gin.Context, maxBytes int64) (*form, error) {
	kind, params, err := mime.ParseMediaType(c.GetHeader("Content-Type"))
	if err != nil || kind != "multipart/form-data" || params["boundary"] == "" {
		return nil, fault.New(fault.Invalid, "The body must be multipart/form-data with a boundary").WithField("file")
	}
	return newForm(a.Content(c, maxBytes), params["boundary"]), nil
}

func newForm(body io.Reader, boundary string) *form {
	t := &tail{from: bufio.NewReaderSize(body, formPiece)}
	return &form{parts: multipart.NewReader(t, boundary), body: t, last: []byte("--" + boundary + "--")}
}

// next is the form's next part. io.EOF alone says that the form is whole.
func (f *form) next() (*multipart.Part, error) {
	if f.over {
		return nil, io.EOF
	}
	if f.count++; f.count > maxParts {
		return nil, fault.New(fault.TooLarge, "A form has at most %d parts", maxParts).WithCode(door.CodeBody)
	}
	part, err := f.parts.NextRawPart()
	if err == io.EOF && bytes.Contains(f.body.seen, f.last) { // it is the same when a part's head was cut
		f.over = true
		return nil, io.EOF
	}
	return part, badForm(err)
}

// badForm is a failure of the body's sender, unless it has a kind.
func badForm(err error) error {
	var known *fault.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	return fault.New(fault.Invalid, "The form cannot be read: %v", err).WithCode(door.CodeBody)
}

// tail keeps the last bytes that it gave.
type tail struct {
	from io.Reader
	seen []byte
}

func (t *tail) Read(b []byte) (int, error) {
	n, err := t.from.Read(b)
	t.seen = append(t.seen, b[:n]...)
	if extra := len(t.seen) - formTail; extra > 0 {
		t.seen = append(t.seen[:0], t.seen[extra:]...)
	}
	return n, err
}

// formContent is what is in a part. A read fills its buffer: the form's reader
// gives a page at a time, which is little to write to a file or to another node.
type formContent struct{ part *multipart.Part }

func (f formContent) Read(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var more int
		more, err = f.part.Read(b[n:])
		n += more
	}
	if err == io.EOF {
		return n, err
	}
	return n, badForm(err)
}

func pathField(part *multipart.Part) (string, error) {
	text, err := io.ReadAll(io.LimitReader(formContent{part}, workspace.MaxPathBytes+1))
	if err == nil && len(text) > workspace.MaxPathBytes {
		err = invalid("path", "path must be at most %d bytes", workspace.MaxPathBytes)
	}
	return string(text), err
}

// filenameOf is a part's file name with its directories, which multipart's own
// method takes away.
func filenameOf(part *multipart.Part) string {
	_, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil {
		return ""
	}
	return params["filename"]
}
