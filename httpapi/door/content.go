package door

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

const (
	// maxRanges bounds the parts of a file in one reply; a request for more gets
	// the whole file, as one without ranges.
	maxRanges = 16
	// contentPiece is how much of a content is passed on at once.
	contentPiece = 256 << 10
	// plainPolicy is for what is in a computer: a browser runs nothing of it.
	plainPolicy = "default-src 'none'; sandbox"
)

// CodeBody marks the failures of a body as such: nothing more can be read of it.
const CodeBody = "BODY_UNREADABLE"

// Content is a request's body as it comes, of at most maxBytes, for routes that
// are Long. Each read has Patience.Body; failures are the client's.
func (d *Door) Content(c *gin.Context, maxBytes int64) io.Reader {
	return &content{body: http.MaxBytesReader(c.Writer, c.Request.Body, maxBytes), control: http.NewResponseController(c.Writer), patience: d.Patience.Body}
}

type content struct {
	body     io.Reader
	control  *http.ResponseController
	patience time.Duration
}

// Read implements io.Reader.
func (b *content) Read(p []byte) (int, error) {
	if err := b.wait(time.Now().Add(b.patience)); err != nil {
		return 0, err
	}
	n, err := b.body.Read(p)
	var large *http.MaxBytesError
	switch {
	case errors.Is(err, io.EOF):
		// What follows is not waited for, and must not end at this deadline.
		if err := b.wait(time.Time{}); err != nil {
			return n, err
		}
		return n, io.EOF
	case errors.As(err, &large):
		err = fault.New(fault.TooLarge, "The body is larger than %d bytes", large.Limit).WithCode(CodeBody)
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = fault.New(fault.Invalid, "Nothing of the body arrived for %s", b.patience).WithCode(CodeBody)
	case err != nil:
		err = fault.New(fault.Invalid, "The body did not arrive whole: %w", err).WithCode(CodeBody)
	}
	return n, err
}

func (b *content) wait(until time.Time) error {
	if err := b.control.SetReadDeadline(until); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("wait for a body: %w", err)
	}
	return nil
}

// SendFile answers with a file or the ranges of it that are asked for, if its
// ETag is or is not one that the client has. It closes the file. What it returns
// broke the reply off.
func (d *Door) SendFile(c *gin.Context, f *actors.FileReader, contentType string, attach bool) error {
	defer f.Close()
	h := c.Writer.Header()
	h.Set("ETag", `"`+f.Info.Stamp+`"`)
	h.Set("Content-Type", contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", plainPolicy)
	h.Set("Content-Disposition", disposition(path.Base(f.Info.Path), attach))
	if strings.Count(c.GetHeader("Range"), ",") >= maxRanges {
		c.Request.Header.Del("Range")
	}
	from := &failing{FileReader: f}
	to := &refusing{ResponseWriter: c.Writer}
	http.ServeContent(to, c.Request, "", f.Info.Modified, from)
	if to.refused != 0 {
		for _, name := range []string{"ETag", "Content-Disposition", "Content-Security-Policy", "Content-Type", "Content-Length", "Last-Modified", "Accept-Ranges"} {
			h.Del(name)
		}
		_, body := d.Refuse(c, refusals[to.refused])
		c.AbortWithStatusJSON(to.refused, body)
	}
	return from.err
}

// SendArchive answers with an archive as it comes, and closes it. One that cannot
// be read on cuts the connection, so that it does not look whole.
func (d *Door) SendArchive(c *gin.Context, archive io.ReadCloser, name string, format workspace.Format) error {
	defer archive.Close()
	buf := make([]byte, contentPiece)
	n, err := archive.Read(buf) // what fails at once is still refused with a status
	if n == 0 && err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	h := c.Writer.Header()
	h.Set("Content-Type", archiveTypes[format])
	h.Set("Content-Disposition", disposition(name+"."+string(format), true))
	c.Status(http.StatusOK)
	if _, err = c.Writer.Write(buf[:n]); err == nil {
		_, err = io.CopyBuffer(struct{ io.Writer }{c.Writer}, struct{ io.Reader }{archive}, buf)
	}
	if err != nil {
		d.Log.WarnContext(c.Request.Context(), "archive cut short", "route", c.FullPath(), "request", RequestID(c), "err", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

var archiveTypes = map[workspace.Format]string{workspace.Tar: "application/x-tar", workspace.TarGz: "application/gzip", workspace.Zip: "application/zip"}

// TypeOf is the content type that a file's name tells.
func TypeOf(name string) string {
	return cmp.Or(mime.TypeByExtension(path.Ext(name)), "application/octet-stream")
}

func disposition(name string, attach bool) string {
	kind := "inline"
	if attach {
		kind = "attachment"
	}
	if text := mime.FormatMediaType(kind, map[string]string{"filename": name}); text != "" {
		return text
	}
	return kind
}

// failing remembers why a file could not be read on.
type failing struct {
	*actors.FileReader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.FileReader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

// refusals are what http.ServeContent refuses in words of its own.
var refusals = map[int]*fault.Error{
	http.StatusPreconditionFailed:           fault.New(fault.Conflict, "The file is not, or no longer, the one that the request names").WithCode("PRECONDITION_FAILED"),
	http.StatusRequestedRangeNotSatisfiable: fault.New(fault.Invalid, "The file has no such range; Content-Range says how long it is").WithCode("RANGE_NOT_SATISFIABLE"),
}

// refusing holds back a refusal, for the dialect to word it.
type refusing struct {
	gin.ResponseWriter
	refused int
}

func (w *refusing) WriteHeader(status int) {
	if refusals[status] != nil {
		w.refused = status
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

// ReadFrom passes content on in large pieces.
func (w *refusing) ReadFrom(from io.Reader) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{w}, from, make([]byte, contentPiece))
}

func (w *refusing) Write(b []byte) (int, error) {
	if w.refused != 0 {
		return len(b), nil
	}
	return w.ResponseWriter.Write(b)
}
