package httpapi_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// part is one part of a form; name "" is a file named by filename, which is
// written as it is.
type part struct{ name, filename, content string }

func file(filename, content string) part { return part{"file", filename, content} }
func at(path string) part                { return part{"path", "", path} }

const boundary = "----formdata-undici-082868890405"

// form is a multipart body to the byte as browsers and fetch write it.
func form(parts ...part) string {
	var b strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=%q", boundary, p.name)
		if p.name == "file" {
			fmt.Fprintf(&b, "; filename=\"%s\"\r\nContent-Type: application/octet-stream", p.filename)
		}
		fmt.Fprintf(&b, "\r\n\r\n%s\r\n", p.content)
	}
	return b.String() + "--" + boundary + "--\r\n"
}

// uploads sends a form.
func (c *caller) uploads(path string, parts ...part) *reply {
	c.t.Helper()
	return c.do("POST", path, form(parts...), "Content-Type", "multipart/form-data; boundary="+boundary)
}

// environmentID is that of a new environment.
func (c *caller) environmentID(name string) string {
	c.t.Helper()
	var made wire.OneEnvironment
	c.do("POST", "/environments", `{"name":"`+name+`"}`).is(201).into(&made)
	return made.Environment.ID
}

// listed are the paths of a listing, directories with a slash.
func listed(r *reply) string {
	r.t.Helper()
	var list wire.FileList
	r.is(200).into(&list)
	var paths []string
	for _, e := range list.Data {
		if e.Type == "directory" {
			e.Path += "/"
		}
		paths = append(paths, e.Path)
	}
	return strings.Join(paths, " ")
}

func (r *reply) says(text string) {
	r.t.Helper()
	if string(r.body) != text {
		r.t.Fatalf("%q, not %q", r.body, text)
	}
}

// TestFilesAsTheSDKAsks plays the requests of the official client in order, on
// an environment that never ran.
func TestFilesAsTheSDKAsks(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	env := c.environmentID("production")
	for _, prefix := range []string{"", "/v1"} {
		files := prefix + "/environments/" + env + "/files"
		if got := listed(c.do("GET", files, nil)); got != "" {
			t.Fatalf("it has %q", got)
		}
		c.uploads(files+"/upload", file("app.py", "print(1)"), at("src")).is(200).
			says(`{"success":true,"environmentId":"` + env + `","filename":"app.py","path":"src/app.py","size":8}`)
		c.uploads(files+"/upload", file("app.py", "print(1)")).is(200).
			says(`{"success":true,"environmentId":"` + env + `","filename":"app.py","path":"app.py","size":8}`)
		c.uploads(files+"/upload", file("undefined", "print(2)"), at("src/app.py")).is(200).
			says(`{"success":true,"environmentId":"` + env + `","filename":"app.py","path":"src/app.py","size":8}`)
		c.uploads(files+"/upload", file("a b#c.py", "odd"), at("src")).is(200)
		if got, want := listed(c.do("GET", files, nil)), "app.py src/ src/a b#c.py src/app.py"; got != want {
			t.Fatalf("it has %q, not %q", got, want)
		}
		c.do("GET", files+"/src/a%20b%23c.py", nil, "Accept", "text/event-stream").is(200).says("odd")
		c.do("GET", files+"/src%2Fapp.py", nil).is(200).says("print(2)")
		c.do("GET", files+"/src/app.py", nil, "Accept", "text/event-stream").is(200).says("print(2)")
		c.do("GET", files+"/download/src/app.py", nil).is(200).says("print(2)")
		c.do("DELETE", files+"/src/app.py", nil).is(200).
			says(`{"success":true,"deleted":true,"environmentId":"` + env + `","filePath":"src/app.py"}`)
		c.do("POST", files+"/move", `{"sourcePath":"app.py","destPath":"b"}`).is(200).
			says(`{"success":true,"environmentId":"` + env + `","sourcePath":"app.py","destPath":"b"}`)
		c.do("POST", files+"/mkdir", `{"path":"/src/x"}`).is(200).
			says(`{"success":true,"path":"src/x","environmentId":"` + env + `"}`)
		if got, want := listed(c.do("GET", files+"?path=%2F&recursive=true", nil)), "b src/ src/a b#c.py src/x/"; got != want {
			t.Fatalf("it has %q, not %q", got, want)
		}
		c.do("DELETE", files+"/src?recursive=true", nil).is(200)
		c.do("DELETE", files+"/b", nil).is(200)
	}
	var status wire.EnvironmentStatus
	c.do("GET", "/environments/"+env+"/status", nil).is(200).into(&status)
	if status.Status != "stopped" {
		t.Fatalf("files made it %s", status.Status)
	}
}

func TestListingRules(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	env := c.environmentID("e")
	files := "/environments/" + env + "/files"
	c.uploads(files+"/upload", file("a", "1"), at("d/e/f"), file("b", "22"), at("d"), file("c.txt", "333")).is(200)
	for query, want := range map[string]string{
		"":                             "c.txt d/ d/b d/e/ d/e/f/ d/e/f/a",
		"?recursive=false":             "c.txt d/",
		"?path=":                       "c.txt d/",
		"?path=/":                      "c.txt d/",
		"?path=/workspace/d":           "d/b d/e/",
		"?path=d":                      "d/b d/e/",
		"?path=d%2Fe":                  "d/e/f/",
		"?path=/d/&recursive=true":     "d/b d/e/ d/e/f/ d/e/f/a",
		"?depth=1":                     "c.txt d/",
		"?depth=0":                     "c.txt d/",
		"?depth=2":                     "c.txt d/ d/b d/e/",
		"?path=d&depth=-1":             "d/b d/e/ d/e/f/ d/e/f/a",
		"?recursive=true&depth=1":      "c.txt d/",
		"?path=/home/node/workspace/d": "d/b d/e/",
	} {
		if got := listed(c.do("GET", files+query, nil)); got != want {
			t.Errorf("%s lists %q, not %q", query, got, want)
		}
	}
	var list wire.FileList
	c.do("GET", files+"?path=d", nil).is(200).into(&list)
	one := list.Files[0]
	if list.Path != "/d" || list.Depth != 1 || list.Count != 2 || list.TotalCount != 2 || list.EnvironmentID != env || list.Object != "list" ||
		one.Name != "b" || one.Size != 2 || one.Type != "file" || one.MimeType == nil || one.ModifiedAt.IsZero() || one.ModifiedAt != one.LastModified {
		t.Fatalf("%+v", list)
	}
	c.do("GET", files+"?path=gone", nil).refused(404, "gone")
	c.do("GET", files+"?path=d/b", nil).refused(400, "d/b")
	c.do("GET", files+"?depth=129", nil).refused(400, "128")
	c.do("GET", files+"?recursive=some", nil).refused(400, "recursive")
	if e := c.do("GET", files+"?path=..", nil).refused(400, ".."); fmt.Sprint(e.Details) == "" {
		t.Fatalf("%+v", e)
	}
}

func TestRangesAndETags(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	files := "/environments/" + c.environmentID("e") + "/files"
	c.uploads(files+"/upload", file("d.txt", "0123456789")).is(200)
	path := files + "/d.txt"
	whole := c.do("GET", path, nil).is(200)
	tag := whole.header.Get("ETag")
	if string(whole.body) != "0123456789" || len(tag) < 4 || whole.header.Get("Accept-Ranges") != "bytes" || whole.header.Get("Last-Modified") == "" ||
		!strings.HasPrefix(whole.header.Get("Content-Type"), "text/plain") || whole.header.Get("Content-Disposition") != "inline; filename=d.txt" {
		t.Fatalf("%s %v", whole.body, whole.header)
	}
	if got := c.do("GET", path+"?download=true", nil).header.Get("Content-Disposition"); got != "attachment; filename=d.txt" {
		t.Fatal(got)
	}
	part := c.do("GET", path, nil, "Range", "bytes=2-4").is(206)
	part.says("234")
	if got := part.header.Get("Content-Range"); got != "bytes 2-4/10" {
		t.Fatal(got)
	}
	c.do("GET", path, nil, "Range", "bytes=-3").is(206).says("789")
	c.do("GET", path, nil, "Range", "bytes=7-").is(206).says("789")
	c.do("GET", path, nil, "Range", "bytes=2-4", "If-Range", tag).is(206).says("234")
	c.do("GET", path, nil, "Range", "bytes=2-4", "If-Range", `"other"`).is(200).says("0123456789")
	c.do("GET", path, nil, "If-None-Match", tag).is(304).says("")
	c.do("GET", path, nil, "If-Match", tag).is(200)
	c.do("GET", path, nil, "If-Match", `"other"`).refused(412, "no longer")
	beyond := c.do("GET", path, nil, "Range", "bytes=10-")
	if e := beyond.refused(416, "range"); e.Code != "RANGE_NOT_SATISFIABLE" || beyond.header.Get("Content-Range") != "bytes */10" {
		t.Fatalf("%+v %v", e, beyond.header)
	}
	two := c.do("GET", path, nil, "Range", "bytes=0-1,8-9").is(206)
	if kind := two.header.Get("Content-Type"); !strings.HasPrefix(kind, "multipart/byteranges") || strings.Count(string(two.body), "Content-Range: bytes") != 2 {
		t.Fatalf("%s: %s", kind, two.body)
	}
	c.do("GET", path, nil, "Range", "bytes=0-0"+strings.Repeat(",1-1", 16)).is(200)
	head := c.do("HEAD", path, nil).is(200)
	if head.header.Get("Content-Length") != "10" || head.header.Get("ETag") != tag || len(head.body) != 0 {
		t.Fatalf("%v", head.header)
	}
	c.uploads(files+"/upload", file("d.txt", "9876543210")).is(200)
	if again := c.do("GET", path, nil).is(200); again.header.Get("ETag") == tag {
		t.Fatal("the same ETag for another content")
	}
	c.do("GET", path, nil, "Range", "bytes=2-4", "If-Range", tag).is(200).says("9876543210")
}

func TestUploadsOfManyFiles(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	env := c.environmentID("e")
	files := "/environments/" + env + "/files"
	up := files + "/upload"
	c.uploads(up, at("base"), file("a", "1"), file("/x/b", "22"), at("other"), part{"note", "", "ignored"}, file("c", "333")).is(200).
		says(`{"success":true,"environmentId":"` + env + `","files":[{"filename":"a","path":"base/a","size":1},` +
			`{"filename":"b","path":"other/x/b","size":2},{"filename":"c","path":"base/c","size":3}],"errors":[]}`)
	var got wire.UploadedMany
	c.uploads(up, file("../out", "1"), at("d"), file("base", "2"), file("fine", "3"), file("undefined", "4")).is(200).into(&got)
	if got.Success || len(got.Files) != 1 || got.Files[0].Path != "fine" || len(got.Errors) != 3 ||
		!strings.Contains(got.Errors[0].Error, "..") || got.Errors[1].Path != "base" || !strings.Contains(got.Errors[2].Error, "no filename") {
		t.Fatalf("%+v", got)
	}
	if got, want := listed(c.do("GET", files, nil)), "base/ base/a base/c fine other/ other/x/ other/x/b"; got != want {
		t.Fatalf("it has %q, not %q", got, want)
	}
	c.uploads(up).refused(400, "file")
	c.uploads(up, at("d")).refused(400, "file")
	c.uploads(up, file("..", "1")).refused(400, "..")
	c.uploads(up, file("undefined", "1"), at("base")).refused(400, "base")
	c.uploads(up, file("x", "1"), at("a\nb")).refused(400, "line break")
	c.uploads(up, file("x", "1"), at(strings.Repeat("a", 256))).refused(400, "255")
	c.do("POST", up, `{}`).refused(400, "multipart/form-data")
	whole := form(file("cut", strings.Repeat("x", 1000)))
	c.do("POST", up, whole[:700], "Content-Type", "multipart/form-data; boundary="+boundary).refused(400, "form")
	c.do("GET", files+"/cut", nil).refused(404, "cut")
}

func TestWhoMayNotSeeFiles(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	env := c.environmentID("e")
	files := "/environments/" + env + "/files"
	c.uploads(files+"/upload", file("f", "1")).is(200)
	_, key := h.NewAccount("rival", 10_000_000)
	reader := h.NewKey(actors.NewKey{Account: h.Account.ID, Scopes: []string{"environments:read"}})
	for _, who := range []struct {
		key         string
		read, write int
	}{{key, 404, 404}, {"tb_wrong", 401, 401}, {reader, 200, 403}} {
		o := as(t, h, who.key)
		for _, path := range []string{"", "/f", "?path=/"} {
			o.do("GET", files+path, nil).is(who.read)
		}
		o.uploads(files+"/upload", file("g", "1")).is(who.write)
		o.do("DELETE", files+"/f", nil).is(who.write)
		o.do("POST", files+"/mkdir", `{"path":"d"}`).is(who.write)
		o.do("POST", files+"/move", `{"sourcePath":"f","destPath":"g"}`).is(who.write)
	}
	c.do("GET", "/environments/env_none/files", nil).is(404)
	for _, path := range []string{"..", "a/../..", "a%2F..%2F..", "%00"} {
		c.do("GET", files+"/"+path, nil).is(400)
	}
	c.do("GET", files+"/f/x", nil).is(400)
	c.do("GET", files+"/", nil).refused(400, "directory")
	c.do("POST", files+"/mkdir", `{}`).refused(400, "path")
	c.do("POST", files+"/move", `{"sourcePath":"f"}`).refused(400, "destPath")
	c.do("POST", files+"/move", `{"sourcePath":"gone","destPath":"x"}`).refused(404, "gone")
	c.do("POST", files+"/mkdir", `{"path":"d/e"}`).is(200)
	c.do("POST", files+"/mkdir", `{"path":"d/e"}`).is(200)
	c.do("DELETE", files+"/d", nil).refused(400, "recursive")
	c.do("DELETE", files+"/gone", nil).refused(404, "gone")
	c.do("DELETE", files+"/?recursive=true", nil).refused(400, "workspace itself")
	c.do("DELETE", files+"//workspace/?recursive=true", nil).refused(400, "workspace itself")
	c.do("POST", files+"/mkdir", `{"path":"workspace/x"}`).is(200)
	c.do("DELETE", files+"/workspace?recursive=true", nil).is(200)
	// A deleted environment's files are read until it is restored or gone.
	c.do("DELETE", "/environments/"+env, nil).is(200)
	c.do("GET", files+"/f", nil).is(200).says("1")
	for path, body := range map[string]string{"/mkdir": `{"path":"x"}`, "/move": `{"sourcePath":"f","destPath":"g"}`} {
		c.do("POST", files+path, body).refused(409, "restore")
	}
	c.uploads(files+"/upload", file("g", "1")).refused(409, "restore")
	c.do("DELETE", files+"/f", nil).refused(409, "restore")
	c.do("DELETE", "/environments/"+env+"?hard=true", nil).is(200)
	c.do("GET", files, nil).is(404)
}

// TestOddNamesComeBack: what a client sends is what it finds.
func TestOddNamesComeBack(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	files := "/environments/" + c.environmentID("e") + "/files"
	for _, name := range []string{"100%.txt", "a%2Fb", "ünï cödé 名前", "-rf", "a;b=c", "download", "q?x#y", strings.Repeat("n", 255), "a\\b"} {
		sent := strings.ReplaceAll(strings.ReplaceAll(name, `\`, `\\`), `"`, `\"`)
		c.uploads(files+"/upload", file(sent, name)).is(200)
		got := c.do("GET", files+"/"+url.PathEscape(name), nil).is(200)
		got.says(name)
	}
	if resp := c.do("GET", files+"/download", nil); resp.status != http.StatusOK {
		t.Fatal(resp.status)
	}
}

func TestArchivesOfFiles(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	env := c.environmentID("e")
	files := "/environments/" + env + "/files"
	c.uploads(files+"/upload", file("a", "1"), at("d"), file("b", "22"), at("d/e")).is(200)
	for format, kind := range map[string]string{"": "application/gzip", "tar": "application/x-tar", "tgz": "application/gzip", "zip": "application/zip"} {
		query := "?path=d"
		if format != "" {
			query += "&format=" + format
		}
		got := c.do("GET", files+"/archive"+query, nil).is(200)
		if got.header.Get("Content-Type") != kind || !strings.HasPrefix(got.header.Get("Content-Disposition"), "attachment; filename=d.") {
			t.Fatalf("%v", got.header)
		}
		c.do("POST", files+"/archive?path=/copy", string(got.body), "Content-Type", kind).is(200).
			says(`{"success":true,"environmentId":"` + env + `","path":"copy","count":2,"directories":1,"size":3,"skipped":0,"errors":[]}`)
		if got := listed(c.do("GET", files+"?path=copy&recursive=true", nil)); got != "copy/a copy/e/ copy/e/b" {
			t.Fatalf("%s holds %q", format, got)
		}
		c.do("DELETE", files+"/copy?recursive=true", nil).is(200)
	}
	whole := c.do("GET", files+"/archive", nil).is(200)
	if got := whole.header.Get("Content-Disposition"); got != "attachment; filename=workspace.tar.gz" {
		t.Fatal(got)
	}
	c.uploads(files+"/archive?path=x", file("w.tgz", string(whole.body))).is(200)
	if got := listed(c.do("GET", files+"?path=x&recursive=true", nil)); got != "x/d/ x/d/a x/d/e/ x/d/e/b" {
		t.Fatalf("%q", got)
	}
	// A file may be named archive; what has a query is an archive all the same.
	c.uploads(files+"/upload", file("archive", "a file")).is(200)
	c.do("GET", files+"/archive", nil).is(200).says("a file")
	if got := c.do("GET", files+"/archive?format=zip", nil).is(200); !strings.HasPrefix(string(got.body), "PK") {
		t.Fatalf("%.20q", got.body)
	}
	c.do("GET", files+"/archive?path=gone", nil).refused(404, "gone")
	c.do("GET", files+"/archive?format=rar", nil).refused(400, "zip")
	c.do("POST", files+"/archive", "no archive", "Content-Type", "application/x-tar").refused(400, "cannot be read")
	c.do("POST", files+"/archive?path=..", "", "Content-Type", "application/x-tar").refused(400, "..")
	c.do("POST", files+"/archive?path=d/a", string(whole.body), "Content-Type", "application/gzip").refused(409, "d/a")
	c.uploads(files+"/archive", at("x")).refused(400, "file")
	c.do("DELETE", "/environments/"+env, nil).is(200)
	c.do("GET", files+"/archive?path=d", nil).is(200)
	c.do("POST", files+"/archive", string(whole.body), "Content-Type", "application/gzip").refused(409, "restore")
	_, key := h.NewAccount("rival", 10_000_000)
	as(t, h, key).do("GET", files+"/archive?path=d", nil).is(404)
}

func TestAFormThatIsCutIsNotWhole(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.FullKey())
	files := "/environments/" + c.environmentID("e") + "/files"
	whole := form(file("f", "content"), at("d"), file("g", "more"))
	for n := 0; n < len(whole)-len("--\r\n"); n += 3 {
		if got := c.do("POST", files+"/upload", whole[:n], "Content-Type", "multipart/form-data; boundary="+boundary); got.status != 400 {
			t.Fatalf("%d of %d bytes: %d %s", n, len(whole), got.status, got.body)
		}
	}
}
