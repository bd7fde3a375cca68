package console

import (
	"embed"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/door"
)

// dist holds the assets once they are made, and else only who says how.
//
//go:embed dist
var dist embed.FS

// policy lets a page load and call nothing but its own host. Styles may be
// written by scripts: the terminal measures its letters.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; " +
	"font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// guarded sets what keeps a browser from doing more with a reply than it is
// meant for.
func guarded(h http.Header) {
	h.Del("Access-Control-Allow-Origin") // the cookie is a key, which other pages do not hold
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}

// shown answers with a page that was made.
func shown(c *gin.Context, name string) {
	guarded(c.Writer.Header())
	c.Header("Cache-Control", "no-store")
	b, err := dist.ReadFile("dist/" + name)
	if err != nil {
		notice(c, http.StatusServiceUnavailable, said{Title: "This page was not built",
			Text: "This bothy was built without its pages. Run make assets in its source and build it again."})
		return
	}
	c.Data(http.StatusOK, "text/html; charset=utf-8", b)
}

// asset answers with a script or a style. They hold nothing of anybody's.
func asset(c *gin.Context) {
	guarded(c.Writer.Header())
	name := c.Param("name")
	kind := mime.TypeByExtension(path.Ext(name))
	b, err := dist.ReadFile("dist/" + name)
	if err != nil || !fs.ValidPath(name) || kind == "" || path.Ext(name) == ".html" {
		notice(c, http.StatusNotFound, said{Title: "Not found", Text: "There is no such asset."})
		return
	}
	c.Header("Cache-Control", "no-cache") // another build has others by the same names
	c.Data(http.StatusOK, kind, b)
}

// said is a page of one thought.
type said struct{ Title, Text, Hint string }

var saying = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{{.Title}}</title><link rel="stylesheet" href="/c/assets/page.css">
<body class="notice"><main><h1>{{.Title}}</h1><p>{{.Text}}</p>{{with .Hint}}<pre>{{.}}</pre>{{end}}</main></body></html>
`))

func notice(c *gin.Context, status int, s said) {
	guarded(c.Writer.Header())
	c.Header("Cache-Control", "no-store")
	c.Header("Content-Type", "text/html; charset=utf-8")
	c.Status(status)
	_ = saying.Execute(c.Writer, s) // a client that is gone cannot be told
	c.Abort()
}

// refusePage says to a person why there is no page.
func (k *Console) refusePage(c *gin.Context, err error) {
	status := door.Statuses[fault.Of(err)]
	switch fault.Of(err) {
	case fault.Unauthorized:
		if c.GetHeader("Sec-Fetch-Site") == "cross-site" || c.GetHeader("Sec-Fetch-Site") == "same-site" {
			// A page of another site led here, so the browser kept the cookie
			// back. A page of ours leads here again, once.
			c.Header("Refresh", "0")
		}
		notice(c, status, said{Title: "No session", Text: "This computer's page is opened with an access session, which is missing here or has ended. " +
			"Whoever holds a key of the computer's account makes one, and opens its access_url:",
			Hint: "curl -X POST " + k.links.Base(c.Request) + "/v1/computers/" + c.Param("id") + "/access-sessions \\\n" +
				"  -H 'Authorization: Bearer <key>' -H 'Content-Type: application/json' -d '{\"kind\": \"browser\"}'"})
	case fault.NotFound:
		notice(c, status, said{Title: "Not found", Text: "There is no such computer."})
	default:
		k.Log.WarnContext(c.Request.Context(), "page refused", "route", c.FullPath(), "request", door.RequestID(c), "err", err)
		c.Header("Retry-After", "1")
		notice(c, http.StatusServiceUnavailable, said{Title: "Not now", Text: "The cluster cannot answer just now; try again shortly."})
	}
}
