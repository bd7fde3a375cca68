package image

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
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
	s := openStore(t, Options{machine: testMachine(t)})
	pull := func(reference, user, password string) (string, error) {
		brought, err := s.Pull(t.Context(), runtime.Pull{Reference: reference, Owner: user, User: user, Password: password, Way: http.DefaultTransport})
		if err != nil {
			return "", err
		}
		brought.Release()
		return brought.Digest, nil
	}
	for _, text := range []string{"damaged:1", "none:1", "app:1", "many:1"} {
		digest, err := pull(host+"/"+text, "ann", "secret")
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
	if imported, err := importPath(t, s, "x", writeLayout(t, img)); err != nil || imported != want.String() {
		t.Errorf("imported it is %s, %v", imported, err)
	}
	for _, user := range []string{"", "ann"} {
		if _, err := pull(host+"/app:1", user, user+"wrong"); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("as %q: %v", user, err)
		}
	}
	for _, bad := range []string{"", "UPPER/Case", "a b"} {
		if _, err := pull(bad, "ann", "secret"); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := pull("127.0.0.1:1/app:1", "ann", "secret"); !errors.Is(err, runtime.ErrUnready) {
		t.Errorf("nobody answers: %v", err)
	}
}

// A way that leads nowhere inside ends a pull there, whoever leads it.
func TestAPullGoesTheWayItIsGiven(t *testing.T) {
	leads := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.2:1"+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer leads.Close()
	way := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasPrefix(address, "127.0.0.2:") {
			return nil, &net.OpError{Op: "dial", Net: network, Err: runtime.ErrInside}
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	defer way.CloseIdleConnections()
	s := openStore(t, Options{machine: testMachine(t), Insecure: []string{"127.0.0.2:1"}})
	for _, host := range []string{"127.0.0.2:1", strings.TrimPrefix(leads.URL, "http://")} {
		_, err := s.Pull(t.Context(), runtime.Pull{Reference: host + "/app:1", Owner: "a", Way: way})
		if !errors.Is(err, runtime.ErrInside) || !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("%s: %v", host, err)
		}
	}
	expectNothingUnfinished(t, s)
}

// What one has pulled another has not: a registry that says it has an image must
// send every layer of it.
func TestWhatOneHasPulledAnotherHasNot(t *testing.T) {
	img := twoLayers(t)
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	blobs, lies := 0, false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			config, err := img.ConfigName()
			if blobs++; err != nil || lies && !strings.HasSuffix(r.URL.Path, config.String()) {
				_, _ = io.WriteString(w, "I have it, believe me")
				return
			}
		}
		handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	reference := strings.TrimPrefix(server.URL, "http://") + "/app:1"
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, Options{machine: testMachine(t)})
	pull := func(owner string) error {
		brought, err := s.Pull(t.Context(), runtime.Pull{Reference: reference, Owner: owner, Way: http.DefaultTransport})
		if err == nil {
			brought.Release()
		}
		return err
	}
	if err := errors.Join(pull("a"), pull("b")); err != nil || blobs != 6 {
		t.Fatalf("%d blobs, %v: each comes to each owner", blobs, err)
	}
	if err := pull("a"); err != nil || blobs != 6 {
		t.Errorf("%d blobs, %v: it comes once", blobs, err)
	}
	lies = true
	if err := pull("c"); !errors.Is(err, runtime.ErrInvalid) && !errors.Is(err, runtime.ErrUnready) {
		t.Errorf("an owner without the layers: %v", err)
	}
}

func TestNamesOfRegistries(t *testing.T) {
	for text, want := range map[string]string{"docker.io": "docker.io", "index.docker.io": "docker.io", "GHCR.io": "ghcr.io", "registry.lab:5000": "registry.lab:5000",
		"": "", "a b": "", "host/path": "", "http://x": ""} {
		if got, err := CheckRegistry(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{"python:3.12": "docker.io", "docker.io/library/python": "docker.io", "Registry.lab:5000/x/y": "registry.lab:5000", "UP/x": ""} {
		if got, err := RegistryOf(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}
