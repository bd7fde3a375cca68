package door

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// Bounds of a request.
const (
	MaxJSONBytes           = 1 << 20 // a JSON body
	maxIdempotencyKeyBytes = 255
)

const bodyKey = "bothy.body"

// Read reads a JSON body that must be there.
func (d *Door) Read(c *gin.Context, into any) error { return d.read(c, into, MaxJSONBytes) }

// maxLargeBodies bounds the bodies over MaxJSONBytes that are held at once.
const maxLargeBodies = 32

// ReadLarge is Read with another bound, for routes whose JSON carries a file.
// done gives back the body's place among the large ones.
func (d *Door) ReadLarge(c *gin.Context, into any, maxBytes int64) (done func(), err error) {
	done = func() {}
	if n := c.Request.ContentLength; n < 0 || n > MaxJSONBytes {
		select {
		case d.large <- struct{}{}:
			done = func() { <-d.large }
		default:
			return done, fault.New(fault.Unavailable, "%d large files are on their way through this node already", maxLargeBodies).WithRetry(time.Second)
		}
	}
	if err = d.read(c, into, maxBytes); err != nil {
		done()
		done = func() {}
	}
	return done, err
}

func (d *Door) read(c *gin.Context, into any, maxBytes int64) error {
	raw, err := d.body(c, maxBytes)
	if err != nil {
		return err
	}
	if len(raw) == 0 {
		return fault.New(fault.Invalid, "The body is empty; send a JSON object")
	}
	return Decode(raw, into)
}

// ReadAny reads a JSON body that may be absent.
func (d *Door) ReadAny(c *gin.Context, into any) error {
	raw, err := d.body(c, MaxJSONBytes)
	if err != nil || len(raw) == 0 {
		return err
	}
	return Decode(raw, into)
}

// body reads the request's body once, within a bound and Patience.Body.
func (d *Door) body(c *gin.Context, maxBytes int64) ([]byte, error) {
	if raw, ok := c.Get(bodyKey); ok {
		return raw.([]byte), nil
	}
	control := http.NewResponseController(c.Writer)
	// A writer that cannot set deadlines (a recorder) has no slow peer either.
	deadlines := control.SetReadDeadline(time.Now().Add(d.Patience.Body)) == nil
	raw, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxBytes))
	if deadlines && err == nil {
		err = control.SetReadDeadline(time.Time{})
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, fault.New(fault.TooLarge, "The body is larger than %d bytes", maxBytes)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, fault.New(fault.Invalid, "The body did not arrive within %s", d.Patience.Body)
	case err != nil:
		return nil, fault.New(fault.Invalid, "The body cannot be read: %v", err)
	}
	c.Set(bodyKey, raw)
	return raw, nil
}

// Caller is who asks, with the request's Idempotency-Key. Call it after the
// body was read.
func (d *Door) Caller(c *gin.Context) (actors.Caller, error) {
	caller := CallerOf(c)
	key := c.GetHeader("Idempotency-Key")
	if key == "" {
		return caller, nil
	}
	if len(key) > maxIdempotencyKeyBytes || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
		return caller, fault.New(fault.Invalid, "Idempotency-Key must be at most %d printable ASCII characters",
			maxIdempotencyKeyBytes).WithField("Idempotency-Key")
	}
	raw, err := d.body(c, MaxJSONBytes) // as it was read before
	if err != nil {
		return caller, err
	}
	h := sha256.New()
	// The same route bare and under /v1 is the same request.
	for _, part := range []string{c.Request.Method, strings.TrimPrefix(c.Request.URL.Path, "/v1"), string(raw)} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	caller.Idempotency = &state.Idempotency{Key: key, Hash: hex.EncodeToString(h.Sum(nil))}
	return caller, nil
}

// Upload is a request's body as it comes, within a bound. It fails when nothing
// comes for Patience.Body.
func (d *Door) Upload(c *gin.Context, maxBytes int64) io.Reader {
	return &upload{from: http.MaxBytesReader(c.Writer, c.Request.Body, maxBytes), control: http.NewResponseController(c.Writer), patience: d.Patience.Body}
}

// upload waits anew for each piece of a body.
type upload struct {
	from     io.Reader
	control  *http.ResponseController
	patience time.Duration
}

func (u *upload) Read(p []byte) (int, error) {
	// A writer that cannot set deadlines (a recorder) has no slow peer either.
	if err := u.control.SetReadDeadline(time.Now().Add(u.patience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, fault.New(fault.Invalid, "The body cannot be read: %v", err)
	}
	n, err := u.from.Read(p)
	var large *http.MaxBytesError
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		// A deadline that passes later would look as if the client had gone.
		if err := u.control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return n, fault.New(fault.Invalid, "The body cannot be read: %v", err)
		}
	case errors.As(err, &large):
		err = fault.New(fault.TooLarge, "The body is larger than %d bytes", large.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = fault.New(fault.Invalid, "Nothing more of the body arrived within %s", u.patience)
	default:
		err = fault.New(fault.Invalid, "The body cannot be read: %v", err)
	}
	return n, err
}
