package httpapi_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestFilesOfThePage(t *testing.T) {
	g := openPages(t)
	g.enter("browser")
	content := bytes.Repeat([]byte("0123456789abcdef"), 100_000) // several pieces
	g.answers(204, "PUT", "/api/file?path=dir/a%20file", bytes.NewReader(content))
	if got := g.answers(200, "GET", "/api/file?path=dir/a%20file", nil); got != string(content) {
		t.Errorf("%d bytes came back", len(got))
	}
	if got := g.answers(206, "GET", "/api/file?path=dir/a%20file", nil, "Range", "bytes=1048570-1048585"); got != string(content[1048570:1048586]) {
		t.Errorf("a range is %q", got)
	}
	g.answers(416, "GET", "/api/file?path=dir/a%20file", nil, "Range", "bytes=99999999-")
	resp, _ := fetch(t, g.page, "GET", g.at("/api/file?path=dir/a%20file"))
	if resp.Header.Get("Content-Disposition") != `attachment; filename="a file"` || resp.Header.Get("Content-Type") != "application/octet-stream" ||
		!strings.Contains(resp.Header.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("headers %v", resp.Header)
	}
	g.answers(204, "PUT", "/api/file?path=empty", nil)
	g.answers(204, "PUT", "/api/file?path=dir/a%20file", strings.NewReader("shorter"))
	if got := g.answers(200, "GET", "/api/file?path=dir/a%20file", nil); got != "shorter" {
		t.Errorf("replaced by %q", got)
	}
	g.answers(400, "PUT", "/api/file?path=dir", strings.NewReader("x"))
	g.answers(400, "PUT", "/api/file?path=../out", strings.NewReader("x"))
	g.answers(400, "GET", "/api/file?path=dir", nil)
	g.answers(404, "GET", "/api/file?path=none", nil)
	g.answers(204, "POST", "/api/move?path=empty&to=moved", nil)
	if got := g.answers(200, "GET", "/api/files", nil); !strings.Contains(got, `"moved"`) || strings.Contains(got, "empty") || strings.Contains(got, ".bothy") {
		t.Errorf("%s", got)
	}
	g.answers(400, "DELETE", "/api/file?path=dir", nil)
	g.answers(204, "DELETE", "/api/file?path=dir&recursive=true", nil)
	// It is there also while the computer is stopped.
	g.do("POST", "/v1/computers/box/actions/stop", nil).is(202)
	g.answers(200, "GET", "/api/file?path=moved", nil)
}

func TestADownloadIsCutWithItsSession(t *testing.T) {
	g := openPages(t)
	s := g.enter("browser")
	const size = 32 << 20 // more than lies in sockets
	g.answers(204, "PUT", "/api/file?path=long", bytes.NewReader(make([]byte, size)))
	req, err := http.NewRequestWithContext(t.Context(), "GET", g.at("/api/file?path=long"), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := g.page.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	g.do("DELETE", "/v1/computers/box/access-sessions/"+s.ID, nil).is(204)
	if n, err := io.Copy(io.Discard, resp.Body); err == nil || n == size {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestABrokenUploadLeavesWhatWasThere(t *testing.T) {
	g := openPages(t)
	s := g.enter("browser")
	g.answers(204, "PUT", "/api/file?path=kept", strings.NewReader("as it was"))
	conn, err := net.Dial("tcp", strings.TrimPrefix(g.house.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	head := "PUT /c/" + g.box + "/api/file?path=kept HTTP/1.1\r\nHost: x\r\nCookie: bothy-browser-" + g.box + "=" + s.ConnectToken + "\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nnew\r\n"
	if _, err := io.WriteString(conn, head); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(conn); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if got := g.answers(200, "GET", "/api/file?path=kept", nil); got != "as it was" {
		t.Errorf("%q", got)
	}
	if got := g.answers(200, "GET", "/api/files", nil); strings.Contains(got, ".bothy") {
		t.Errorf("left behind: %s", got)
	}
}
