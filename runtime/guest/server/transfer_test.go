package server

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// form is a multipart body with files by name.
func form(files ...string) (kind, body string) {
	var b strings.Builder
	for i := 0; i < len(files); i += 2 {
		fmt.Fprintf(&b, "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=%q\r\n\r\n%s\r\n", files[i], files[i+1])
	}
	b.WriteString("--edge--\r\n")
	return "multipart/form-data; boundary=edge", b.String()
}

func zipped(t *testing.T, content string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestUpload(t *testing.T) {
	d := serve(t)
	w := d.workdir
	at := func(path string) string { return "/files?username=nobody&path=" + url.QueryEscape(path) }
	one, oneBody := form("ignored/name", "first")
	many, manyBody := form(w+"/many/dir/a", "A", w+"/many/b", "")
	for name, tt := range map[string]struct {
		path, kind, body string
		header           []string
		want             map[string]string // path to content
	}{
		"a form with a path":    {path: at(w + "/one"), kind: one, body: oneBody, want: map[string]string{"/one": "first"}},
		"a form of many":        {path: "/files", kind: many, body: manyBody, want: map[string]string{"/many/dir/a": "A", "/many/b": ""}},
		"bytes":                 {path: at(w + "/deep/er/raw"), kind: "application/octet-stream", body: "raw\x00", want: map[string]string{"/deep/er/raw": "raw\x00"}},
		"compressed bytes":      {path: at(w + "/zip"), kind: "application/octet-stream", body: zipped(t, "unpacked"), header: []string{"Content-Encoding", "gzip"}, want: map[string]string{"/zip": "unpacked"}},
		"over something longer": {path: at(w + "/one"), kind: "application/octet-stream", body: "2", want: map[string]string{"/one": "2"}},
	} {
		if name == "over something longer" {
			write(t, w+"/one", "longer")
		}
		res := d.post(t, tt.path, tt.kind, tt.body, tt.header...)
		answer := text(t, res)
		var files []uploaded
		if err := json.Unmarshal([]byte(answer), &files); err != nil || len(files) != len(tt.want) || files[0].Type != "file" {
			t.Errorf("%s: %d %s", name, res.StatusCode, answer)
		}
		for path, content := range tt.want {
			if got, err := os.ReadFile(w + path); err != nil || string(got) != content {
				t.Errorf("%s: %s holds %q, %v", name, path, got, err)
			}
		}
	}
	var got struct{ Entry entry }
	d.filesInto(t, "Stat", `{"path":"`+w+`/deep/er"}`, &got)
	if got.Entry.Owner != "nobody" {
		t.Errorf("the directory above belongs to %s", got.Entry.Owner)
	}
}

func TestMetadata(t *testing.T) {
	d := serve(t)
	path := d.workdir + "/tagged"
	res := d.post(t, "/files?path="+path, "application/octet-stream", "x", "X-Metadata-Source", "a test", "X-Metadata-n", "1")
	if answer := text(t, res); res.StatusCode != 200 || !strings.Contains(answer, `"metadata":{"n":"1","source":"a test"}`) {
		t.Errorf("%d %s", res.StatusCode, answer)
	}
	var got struct{ Entry entry }
	d.filesInto(t, "Stat", `{"path":"`+path+`"}`, &got)
	if len(got.Entry.Metadata) != 2 || got.Entry.Metadata["source"] != "a test" {
		t.Errorf("%+v", got.Entry)
	}
	for _, bad := range [][]string{
		{"X-Metadata-" + strings.Repeat("k", maxMetadataKeyBytes+1), "x"}, {"X-Metadata-A", "caf\xc3\xa9"},
		{"X-Metadata-A", strings.Repeat("v", maxMetadataBytes)},
	} {
		if res := d.post(t, "/files?path="+path, "application/octet-stream", "x", bad...); res.StatusCode != 400 {
			t.Errorf("%.30s: %d %s", bad[0], res.StatusCode, text(t, res))
		}
	}
}

func TestUploadFailures(t *testing.T) {
	d := serve(t)
	w := d.workdir
	fifo := w + "/fifo"
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	twice, twiceBody := form(w+"/same", "1", w+"/./same", "2")
	nameless, namelessBody := form("", "1")
	raw := "application/octet-stream"
	for name, tt := range map[string]struct {
		path, kind, body, encoding string
		want                       int
	}{
		"twice the same":   {path: "/files", kind: twice, body: twiceBody, want: 400},
		"no name":          {path: "/files", kind: nameless, body: namelessBody, want: 400},
		"no path":          {path: "/files", kind: raw, want: 400},
		"no type":          {path: "/files?path=x", want: 400},
		"another type":     {path: "/files?path=x", kind: "text/plain", want: 400},
		"cut early":        {path: "/files", kind: twice, body: twiceBody[:40], want: 400},
		"no file":          {path: "/files", kind: twice, body: "--edge--\r\n", want: 400},
		"cut form":         {path: "/files", kind: twice, body: twiceBody[:len(twiceBody)-12], want: 400},
		"onto a directory": {path: "/files?path=" + w, kind: raw, want: 400},
		"onto a pipe":      {path: "/files?path=" + fifo, kind: raw, want: 400},
		"under a file":     {path: "/files?path=/etc/passwd/x", kind: raw, want: 400},
		"NUL":              {path: "/files?path=a%00b", kind: raw, want: 400},
		"unknown user":     {path: "/files?path=x&username=nobody-here", kind: raw, want: 401},
		"no gzip":          {path: "/files?path=" + w + "/z", kind: raw, body: "plain text", encoding: "gzip", want: 400},
		"other encoding":   {path: "/files?path=" + w + "/z", kind: raw, encoding: "br", want: 400},
	} {
		t.Run(name, func(t *testing.T) {
			res := d.post(t, tt.path, tt.kind, tt.body, "Content-Encoding", tt.encoding)
			var got failure
			if err := json.Unmarshal([]byte(text(t, res)), &got); err != nil || res.StatusCode != tt.want || got.Code != tt.want || got.Message == "" {
				t.Errorf("got %d %+v, want %d", res.StatusCode, got, tt.want)
			}
		})
	}
}

func TestFullDiskIs507(t *testing.T) {
	d := serve(t)
	small := t.TempDir()
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(small, 0); err != nil {
			t.Error(err)
		}
	})
	res := d.post(t, "/files?path="+small+"/big", "application/octet-stream", strings.Repeat("x", 1<<20))
	if answer := text(t, res); res.StatusCode != http.StatusInsufficientStorage || !strings.Contains(answer, `"code":507`) {
		t.Errorf("%d %s", res.StatusCode, answer)
	}
}

func TestDownload(t *testing.T) {
	d := serve(t)
	write(t, d.workdir+"/file", "0123456789")
	write(t, d.workdir+"/empty", "")
	if err := unix.Mkfifo(d.workdir+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		query  string
		header []string
		status int
		body   string
	}{
		"whole":               {"path=" + d.workdir + "/file", []string{"Accept-Encoding", "identity"}, 200, "0123456789"},
		"a range":             {"path=" + d.workdir + "/file", []string{"Range", "bytes=2-4"}, 206, "234"},
		"no such range":       {"path=" + d.workdir + "/file", []string{"Range", "bytes=20-"}, 416, ""},
		"a range beats gzip":  {"path=" + d.workdir + "/file", []string{"Range", "bytes=0-0", "Accept-Encoding", "gzip"}, 206, "0"},
		"empty":               {"path=" + d.workdir + "/empty", []string{"Accept-Encoding", "gzip"}, 200, ""},
		"a directory":         {"path=" + d.workdir, nil, 400, ""},
		"a pipe":              {"path=" + d.workdir + "/fifo", nil, 400, ""},
		"missing":             {"path=" + d.workdir + "/no", nil, 404, ""},
		"unknown user":        {"path=x&username=nobody-here", nil, 401, ""},
		"no encoding is good": {"path=" + d.workdir + "/file", []string{"Accept-Encoding", "br, identity;q=0"}, 406, ""},
	} {
		t.Run(name, func(t *testing.T) {
			res := d.send(t, "GET", "/files?"+tt.query, "", "", tt.header...)
			got := text(t, res)
			if res.StatusCode != tt.status || (tt.status < 300 && got != tt.body) {
				t.Errorf("got %d %q, want %d %q", res.StatusCode, got, tt.status, tt.body)
			}
			if name == "empty" && res.Header.Get("Content-Length") != "0" {
				t.Errorf("the length of an empty file is %q", res.Header.Get("Content-Length"))
			}
		})
	}
	res := d.send(t, "GET", "/files?path="+d.workdir+"/file", "", "", "Accept-Encoding", "gzip, br")
	if got := text(t, res); res.Header.Get("Content-Encoding") != "gzip" || got != zippedFast(t, "0123456789") {
		t.Errorf("%v %q", res.Header, got)
	}
}

func zippedFast(t *testing.T, content string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestCompose(t *testing.T) {
	d := serve(t)
	w := d.workdir
	write(t, w+"/1", "one ")
	write(t, w+"/2", "")
	write(t, w+"/3", "three")
	body := fmt.Sprintf(`{"source_paths":["%s/1","%s/2","%s/3"],"destination":"%s/sub/all","username":"nobody"}`, w, w, w, w)
	res := d.post(t, "/files/compose", plainJSON, body)
	if answer := text(t, res); res.StatusCode != 200 || !strings.Contains(strings.ReplaceAll(answer, " ", ""), `"owner":"nobody"`) {
		t.Errorf("%d %s", res.StatusCode, answer)
	}
	if got, err := os.ReadFile(w + "/sub/all"); err != nil || string(got) != "one three" {
		t.Errorf("%q %v", got, err)
	}
	for body, want := range map[string]int{
		`{`: 400, `{"destination":"x"}`: 400,
		`{"source_paths":["` + w + `/no"],"destination":"x"}`:                 404,
		`{"source_paths":["` + w + `/1"],"destination":"` + w + `/1"}`:        400,
		`{"source_paths":["` + w + `"],"destination":"` + w + `/from-a-dir"}`: 400,
	} {
		if res := d.post(t, "/files/compose", plainJSON, body); res.StatusCode != want {
			t.Errorf("%s: %d %s", body, res.StatusCode, text(t, res))
		}
	}
}

func FuzzResolve(f *testing.F) {
	for _, seed := range []string{"", "~", "~/x", "~user", "../../etc", "/a/../..", "a\x00b", "x//y/.", "~/../.."} {
		f.Add(seed)
	}
	user := account{workdir: "/workspace"}
	user.Home = "/home/node"
	f.Fuzz(func(t *testing.T, path string) {
		got, err := user.resolve(path)
		if err != nil {
			if !strings.ContainsRune(path, 0) {
				t.Errorf("%q: %v", path, err)
			}
			return
		}
		again, err := user.resolve(got)
		if err != nil || again != got || got[0] != '/' {
			t.Errorf("%q gives %q, which gives %q, %v", path, got, again, err)
		}
	})
}
