package image

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/bothy-computer/bothy/runtime"
)

// openRegistry serves a registry for one user, and images that nobody may
// change below /v2/damaged.
func openRegistry(t *testing.T) (host string, auth authn.Authenticator) {
	t.Helper()
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "ann" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/v2/damaged/blobs/") {
			r.URL.Path = strings.Replace(r.URL.Path, "damaged", "app", 1)
			out := httptest.NewRecorder()
			handler.ServeHTTP(out, r)
			body := out.Body.Bytes()
			body[len(body)/2] ^= 0xff
			_, _ = w.Write(body)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	return strings.TrimPrefix(server.URL, "http://"), &authn.Basic{Username: "ann", Password: "secret"}
}

func TestPull(t *testing.T) {
	host, auth := openRegistry(t)
	at := func(text string) name.Reference {
		t.Helper()
		ref, err := name.ParseReference(host + "/" + text)
		if err != nil {
			t.Fatal(err)
		}
		return ref
	}
	img := twoLayers(t)
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: testImage(t, "vax", tarOf(t, file("x"))),
		Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "vax"}}}, mutate.IndexAddendum{Add: img})
	if err := errors.Join(remote.Write(at("app:1"), img, remote.WithAuth(auth)), remote.Write(at("damaged:1"), img, remote.WithAuth(auth)),
		remote.WriteIndex(at("many:1"), index, remote.WithAuth(auth))); err != nil {
		t.Fatal(err)
	}
	want, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	s, ann := openStore(t, Options{machine: testMachine(t)}), Login{"ann", "secret"}
	for _, text := range []string{"damaged:1", "none:1", "app:1", "many:1"} {
		digest, err := s.Pull(t.Context(), host+"/"+text, "name", ann)
		switch {
		case text == "damaged:1":
			if !errors.Is(err, runtime.ErrInvalid) && !errors.Is(err, runtime.ErrUnready) {
				t.Errorf("damaged: %v", err)
			}
		case text == "none:1":
			if !errors.Is(err, runtime.ErrNoImage) {
				t.Errorf("an unknown one: %v", err)
			}
		case err != nil || digest != want.String():
			t.Errorf("%s: %s, %v", text, digest, err)
		}
		expectNothingUnfinished(t, s)
	}
	layers, err := s.Layers(t.Context(), want.String())
	if err != nil || tree(t, merged(t, layers)) != "etc/ etc/b srv/ srv/c" {
		t.Errorf("%v, %v", layers, err)
	}
	if imported, err := s.Import(t.Context(), "x", writeLayout(t, img)); err != nil || imported != want.String() {
		t.Errorf("imported it is %s, %v", imported, err)
	}
	for _, login := range []Login{{}, {"ann", "wrong"}} {
		if _, err := s.Pull(t.Context(), host+"/app:1", "name", login); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("as %q: %v", login.User, err)
		}
	}
	for _, bad := range []string{"", "UPPER/Case", "a b"} {
		if _, err := s.Pull(t.Context(), bad, "name", ann); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := s.Pull(t.Context(), "127.0.0.1:1/app:1", "name", ann); !errors.Is(err, runtime.ErrUnready) {
		t.Errorf("nobody answers: %v", err)
	}
}
