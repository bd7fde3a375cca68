package console

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

const (
	// MaxUploadBytes bounds one file; the computer's storage does so sooner.
	MaxUploadBytes = 64 << 30
	// readBytes and writeBytes are the pieces that files are moved in. A client
	// has Patience.Body for each that it sends.
	readBytes  = 1 << 20
	writeBytes = 256 << 10
	// tidyTime bounds the removal of what a broken upload left.
	tidyTime = 10 * time.Second
)

// plainPolicy is for what is in a computer: a browser shows nothing of it.
const plainPolicy = "default-src 'none'; sandbox"

// download sends a file, or ranges of it.
func (k *Console) download(c *gin.Context, v visit) error {
	name := c.Query("path")
	res, err := k.op(c, v, actors.FileOp{Verb: workspace.Stat, Path: name})
	if err != nil {
		return err
	}
	if res.Stat.Type != workspace.File || res.Stat.SizeBytes == nil {
		return fault.New(fault.Invalid, "%.200q is no file", name).WithField("path")
	}
	ctx, cancel := k.Sessions.While(c.Request.Context(), v.AccessSession)
	defer cancel()
	c.Request = c.Request.WithContext(ctx)
	c.Header("Content-Security-Policy", plainPolicy)
	c.Header("Content-Type", "application/octet-stream")
	c.Header("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": path.Base(name)}))
	file := &remoteFile{size: *res.Stat.SizeBytes, read: func(at, n int64) ([]byte, error) {
		res, err := k.op(c, v, actors.FileOp{Verb: workspace.ReadRange, Path: name, Offset: at, Length: n})
		return res.ContentBase64, err
	}}
	http.ServeContent(c.Writer, c.Request, "", time.Time{}, file)
	if file.err != nil {
		return file.err // the reply is cut: it has its length in its head
	}
	return nil
}

// remoteFile is a file of a computer, read in pieces.
type remoteFile struct {
	size, at int64
	read     func(at, n int64) ([]byte, error)
	piece    []byte // what comes at at
	err      error
}

// Read implements io.Reader.
func (f *remoteFile) Read(p []byte) (int, error) {
	if f.at >= f.size {
		return 0, io.EOF
	}
	if len(f.piece) == 0 {
		if f.piece, f.err = f.read(f.at, min(readBytes, f.size-f.at)); f.err != nil {
			return 0, f.err
		}
		if len(f.piece) == 0 {
			f.err = fault.New(fault.Conflict, "the file became shorter while it was read")
			return 0, f.err
		}
	}
	n := copy(p, f.piece)
	f.piece, f.at = f.piece[n:], f.at+int64(n)
	return n, nil
}

// Seek implements io.Seeker.
func (f *remoteFile) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.at
	case io.SeekEnd:
		offset += f.size
	}
	if offset < 0 {
		return 0, fmt.Errorf("seek: %w", os.ErrInvalid)
	}
	if offset != f.at {
		f.piece = nil
	}
	f.at = offset
	return offset, nil
}

// upload takes a file. It grows beside its place and takes that when it is
// whole: until then, and when the upload breaks, what was there stays.
func (k *Console) upload(c *gin.Context, v visit) error {
	name := c.Query("path")
	if c.Request.ContentLength > MaxUploadBytes {
		return fault.New(fault.TooLarge, "A file may have %d bytes", int64(MaxUploadBytes))
	}
	ctx, cancel := k.Sessions.While(c.Request.Context(), v.AccessSession)
	defer cancel()
	c.Request = c.Request.WithContext(ctx)
	mode, err := k.modeFor(c, v, name)
	if err != nil {
		return err
	}
	growing := path.Join(path.Dir(name), ".upload-"+rand.Text())
	err = k.receive(c, v, growing, mode)
	if err == nil {
		_, err = k.op(c, v, actors.FileOp{Verb: workspace.Move, Path: growing, To: name})
	}
	if err != nil {
		k.tidy(v, growing)
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

// modeFor is the mode of the file that an upload replaces, or 0.
func (k *Console) modeFor(c *gin.Context, v visit, name string) (int64, error) {
	res, err := k.op(c, v, actors.FileOp{Verb: workspace.Stat, Path: name})
	var known *fault.Error
	switch {
	case errors.As(err, &known) && known.Code == actors.CodeNoFile:
		return 0, nil
	case err != nil:
		return 0, err
	case res.Stat.Type == workspace.Directory:
		return 0, fault.New(fault.Conflict, "%.200q is a directory", name).WithField("path")
	}
	return int64(res.Stat.Mode), nil
}

// receive writes a request's body to a file, piece by piece.
func (k *Console) receive(c *gin.Context, v visit, name string, mode int64) error {
	if _, err := k.op(c, v, actors.FileOp{Verb: workspace.WriteBytes, Path: name, Mode: mode}); err != nil {
		return err
	}
	body := http.MaxBytesReader(c.Writer, c.Request.Body, MaxUploadBytes)
	control := http.NewResponseController(c.Writer)
	buf := make([]byte, writeBytes)
	for at := int64(0); ; {
		if err := control.SetReadDeadline(time.Now().Add(k.Patience.Body)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return fmt.Errorf("receive a file: %w", err)
		}
		n, err := fill(body, buf)
		if n > 0 {
			if _, err := k.op(c, v, actors.FileOp{Verb: workspace.WriteRange, Path: name, Offset: at, ContentBase64: buf[:n]}); err != nil {
				return err
			}
			at += int64(n)
		}
		var large *http.MaxBytesError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &large):
			return fault.New(fault.TooLarge, "A file may have %d bytes", large.Limit)
		case err != nil:
			return fault.New(fault.Invalid, "The file did not arrive whole: %w", err)
		}
	}
}

// fill reads until buf is full or the body has ended. Unlike io.ReadFull it
// tells a body that has ended from one that was cut.
func fill(body io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var more int
		more, err = body.Read(buf[n:])
		n += more
	}
	return n, err
}

// tidy removes what a broken upload left. Should that fail, its user sees it.
func (k *Console) tidy(v visit, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), tidyTime)
	defer cancel()
	_, err := k.Computers.Files(ctx, actors.Caller{Account: v.Account}, v.Computer, actors.FileOp{Verb: workspace.Remove, Path: name})
	if err != nil && !fault.Is(err, fault.NotFound) {
		k.Log.Warn("a broken upload is left", "computer", v.Computer, "err", err)
	}
}
