package door

import (
	"io"
	"net/http"

	"github.com/gin-gonic/gin"
)

// Download answers with a file of a name that is written as it is made. What
// fails before the first byte is refused with a status; what fails later cuts the
// connection, so that it does not look whole.
func (d *Door) Download(c *gin.Context, contentType, name string, write func(io.Writer) error) error {
	out := &download{c: c, contentType: contentType, name: name}
	err := write(out)
	if err != nil && out.begun {
		d.Log.WarnContext(c.Request.Context(), "a download was cut short", "route", c.FullPath(), "request", RequestID(c), "err", err)
		panic(http.ErrAbortHandler)
	}
	return err
}

type download struct {
	c                 *gin.Context
	contentType, name string
	begun             bool
}

func (o *download) Write(p []byte) (int, error) {
	if !o.begun {
		o.begun = true
		o.c.Header("Content-Type", o.contentType)
		o.c.Header("Content-Disposition", disposition(o.name, true))
		o.c.Status(http.StatusOK)
	}
	return o.c.Writer.Write(p)
}
