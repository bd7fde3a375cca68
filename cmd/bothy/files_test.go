package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const mebibyte = 1 << 20

// noise is content that is the same each time and packs badly.
func noise(n int) []byte {
	b := make([]byte, n)
	random := rand.NewChaCha8([32]byte{7})
	random.Read(b)
	return b
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// get asks for a file with headers, and returns the reply's status and body.
func (p *process) get(path string, headers ...string) (*http.Response, []byte) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.url+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.key())
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatalf("%s: %v after %d bytes", path, err, len(b))
	}
	return resp, b
}

// TestFilesAcrossNodes: what is uploaded through a node that does not own the
// computer is in it, and comes back through another when it is stopped.
func TestFilesAcrossNodes(t *testing.T) {
	t.Parallel()
	nodes := launch(t, "n1", "n2", "n3")
	env, err := clientOf(t, nodes[1]).Environments().Create(t.Context(), wire.WriteEnvironment{Name: wire.Some("files")})
	if err != nil {
		t.Fatal(err)
	}
	path := "/v1/environments/" + env.ID + "/files/"
	files := func(p *process) client.Files { return clientOf(t, p).Environments().Files(env.ID) }
	if _, err := files(nodes[1]).Upload(t.Context(), "first", strings.NewReader("early")); err != nil {
		t.Fatal(err)
	}
	resp, _ := nodes[0].get(path + "first")
	var here, there *process // not the owner, both
	for _, p := range nodes {
		if p.name != resp.Header.Get("X-Bothy-Owner") {
			here, there = p, here
		}
	}
	if there == nil {
		t.Fatalf("the owner is %q", resp.Header.Get("X-Bothy-Owner"))
	}
	content := noise(24*mebibyte + 7)
	done, err := files(here).Upload(t.Context(), "d/big", bytes.NewReader(content))
	if err != nil || done.Size != int64(len(content)) {
		t.Fatalf("%+v, %v", done, err)
	}
	inside := func(command string) string {
		t.Helper()
		out, code := there.bothy("exec", env.ComputerID, "--", "sh", "-c", command)
		if code != 0 {
			t.Fatalf("%s: exit %d, %s", command, code, out)
		}
		return strings.TrimSpace(out)
	}
	if got := inside("sha256sum < /workspace/d/big; stat -c %U:%a d d/big"); got != sum(content)+"  -\nnode:755\nnode:644" {
		t.Fatalf("the computer has %s", got)
	}
	t.Run("a full disk", func(t *testing.T) { fullDisk(t, files(here), inside) })
	if _, err := clientOf(t, here).Environments().Stop(t.Context(), env.ID); err != nil {
		t.Fatal(err)
	}
	t.Run("ranges", func(t *testing.T) { rangesOf(t, there, path+"d/big", content) })
	t.Run("cp", func(t *testing.T) {
		dir := t.TempDir()
		for _, args := range [][]string{{"cp", env.ID + ":d", dir + "/d"}, {"cp", dir + "/d", env.ComputerID + ":copy"}, {"cp", env.ComputerID + ":copy/big", dir}} {
			if out, code := there.bothy(args...); code != 0 {
				t.Fatalf("%v: exit %d, %s", args, code, out)
			}
		}
		if b, err := os.ReadFile(filepath.Join(dir, "big")); err != nil || sum(b) != sum(content) {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
	})
	status, err := clientOf(t, here).Environments().Status(t.Context(), env.ID)
	if err != nil || status.Status != "stopped" {
		t.Fatalf("files made it %+v, %v", status, err)
	}
}

// rangesOf downloads a file in pieces, and whole.
func rangesOf(t *testing.T, p *process, path string, content []byte) {
	resp, whole := p.get(path)
	tag := resp.Header.Get("ETag")
	if resp.StatusCode != http.StatusOK || sum(whole) != sum(content) || tag == "" {
		t.Fatalf("%s, %d bytes", resp.Status, len(whole))
	}
	for from := 0; from < len(content); from += 5*mebibyte - 3 {
		to := min(from+5*mebibyte-3, len(content))
		resp, part := p.get(path, "Range", fmt.Sprintf("bytes=%d-%d", from, to-1), "If-Range", tag)
		if resp.StatusCode != http.StatusPartialContent || !bytes.Equal(part, content[from:to]) {
			t.Fatalf("from %d: %s, %d bytes", from, resp.Status, len(part))
		}
	}
	if resp, b := p.get(path, "If-None-Match", tag); resp.StatusCode != http.StatusNotModified || len(b) != 0 {
		t.Fatalf("%s, %d bytes", resp.Status, len(b))
	}
	if resp, _ := p.get(path, "Range", "bytes=99999999-"); resp.StatusCode != http.StatusRequestedRangeNotSatisfiable {
		t.Fatal(resp.Status)
	}
}

// fullDisk fills the computer's storage but for some, and finds that what does
// not fit, and what its client gave up, takes none of that.
func fullDisk(t *testing.T, files client.Files, inside func(string) string) {
	const left, small = 48 * mebibyte, 30 * mebibyte
	inside(fmt.Sprintf("head -c %d /dev/zero > /workspace/ballast; sync", 512*mebibyte-24*mebibyte-left))
	before := inside("find /workspace | sort")
	_, err := files.Upload(t.Context(), "new/large", bytes.NewReader(noise(left+16*mebibyte)))
	if !fault.Is(err, fault.Full) {
		t.Fatalf("more than there is room for: %v", err)
	}
	ctx, vanish := context.WithCancel(t.Context())
	_, err = files.Upload(ctx, "new/gone", io.MultiReader(bytes.NewReader(noise(small)), readerFunc(func([]byte) (int, error) {
		vanish()
		return 0, context.Canceled
	})))
	if err == nil {
		t.Fatal("half a file was taken")
	}
	if after := inside("find /workspace | sort"); after != before {
		t.Fatalf("left:\n%s\nbefore:\n%s", after, before)
	}
	eventually(t, "room for a small file", startTime, func() error {
		_, err := files.Upload(t.Context(), "small", bytes.NewReader(noise(small)))
		return err
	})
	inside("rm /workspace/ballast /workspace/small")
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }
