package main

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	push "github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// serveRegistry serves a registry that lets ann in, with one image, and returns
// the reference of that.
func serveRegistry(t *testing.T) string {
	t.Helper()
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "ann" || password != "s3cret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	layer, err := tarball.LayerFromReader(bytes.NewReader(tarOf(t, map[string][]byte{"reader": programOf(t, "reader"), "etc/motd": []byte("hello\n"),
		"etc/passwd": []byte("root:x:0:0::/:/reader\n"), "etc/group": []byte("root:x:0:\n")})))
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: goruntime.GOARCH, RootFS: v1.RootFS{Type: "layers"}})
	if err != nil {
		t.Fatal(err)
	}
	if img, err = mutate.AppendLayers(img, layer); err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/team/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := push.Write(ref, img, push.WithAuth(&authn.Basic{Username: "ann", Password: "s3cret"})); err != nil {
		t.Fatal(err)
	}
	return ref.Name()
}

// An image of a registry that asks for a login is pulled by one node, built on by
// whichever builds, and run by the other; who has no login has nothing of it.
func TestAnImageOfARegistryOnRealNodes(t *testing.T) {
	t.Parallel()
	reference := serveRegistry(t)
	host, _, _ := strings.Cut(reference, "/")
	nodes := launchWith(t, "outside: {allow: [127.0.0.1]}\n", "n1", "n2")
	c := clientOf(t, nodes...)
	e, err := c.Environments().Create(t.Context(), wire.WriteEnvironment{Name: wire.Some("e")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Environments().Start(t.Context(), e.ID); err != nil {
		t.Fatal(err)
	}
	at, err := c.Computers().Get(t.Context(), e.ComputerID)
	if err != nil || at.Node == nil {
		t.Fatalf("%+v, %v", at, err)
	}
	near, far := nodes[0], nodes[1]
	if *at.Node == far.name {
		near, far = far, near
	}
	there := clientOf(t, far)
	for ask, says := range map[string]string{reference: "the registry refuses", "127.0.0.2:1/app:1": "a private address"} {
		if i, err := there.Images().Pull(t.Context(), wire.PullImage{Reference: ask, Name: "none"}); err != nil || i.Status != "failed" || !strings.Contains(i.FailureReason, says) {
			t.Fatalf("%s: %+v, %v", ask, i, err)
		}
	}
	if _, err := there.Registries().Set(t.Context(), host, wire.SetRegistry{Username: "ann", Password: "s3cret"}); err != nil {
		t.Fatal(err)
	}
	if out, code := far.bothy("images", "pull", reference, "--as", "app"); code != 0 {
		t.Fatalf("%d %s", code, out)
	}
	if _, err := c.Environments().Update(t.Context(), e.ID, wire.WriteEnvironment{BaseImage: wire.Some("app"),
		DockerfileExtensions: wire.Some("COPY --from=" + reference + " /etc/motd /opt/copied\n")}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Environments().Build(t.Context(), e.ID, false); err != nil {
		t.Fatal(err)
	}
	if s := built(t, c, e.ID); s.BuildStatus != "ready" {
		t.Fatalf("%+v", s)
	}
	for _, act := range []func() error{
		func() error { _, err := c.Environments().Stop(t.Context(), e.ID); return err },
		func() error { _, err := c.Environments().Start(t.Context(), e.ID); return err },
	} {
		if err := act(); err != nil {
			t.Fatal(err)
		}
	}
	if out, code := far.bothy("exec", e.ComputerID, "--", "/reader", "/etc/motd", "/opt/copied"); code != 0 || out != "hello\nhello\n" {
		t.Errorf("inside: %q, %d", out, code)
	}
	if !strings.Contains(near.out.String(), "image fetched from another node") {
		t.Error("the image was at its node from the beginning")
	}
	var archive bytes.Buffer
	if err := clientOf(t, near).Images().Export(t.Context(), "app", &archive); err != nil || archive.Len() == 0 {
		t.Errorf("%d bytes, %v", archive.Len(), err)
	}
	stranger(t, c, near, reference)
	for _, p := range nodes {
		if strings.Contains(p.out.String(), "s3cret") {
			t.Errorf("%s logs the password", p.name)
		}
	}
}

// stranger builds on the same image as an account without a login.
func stranger(t *testing.T, c *client.Client, at *process, reference string) {
	t.Helper()
	account, err := c.Accounts().Create(t.Context(), "other", nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := c.Keys().Create(t.Context(), account.ID, wire.CreateKey{})
	if err != nil {
		t.Fatal(err)
	}
	other, err := client.New([]string{at.url}, key.Text)
	if err != nil {
		t.Fatal(err)
	}
	for base, says := range map[string]string{reference: "the registry refuses", "app": "no such image"} {
		e, err := other.Environments().Create(t.Context(), wire.WriteEnvironment{Name: wire.Some("mine"), BaseImage: wire.Some(base)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Environments().Build(t.Context(), e.ID, false); err != nil {
			t.Fatal(err)
		}
		s := built(t, other, e.ID)
		if s.BuildStatus != "failed" || s.BuildError == nil || !strings.HasPrefix(*s.BuildError, "Build failed at step 1/") || !strings.Contains(*s.BuildError, says) {
			t.Errorf("%s: %+v", base, s)
		}
	}
}
