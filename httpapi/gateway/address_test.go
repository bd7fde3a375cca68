package gateway

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestHosted(t *testing.T) {
	tests := map[string]struct {
		host, domain string
		want         address
		taken        bool
	}{
		"a label":                {"3000--my-box.example.com", "example.com", address{name: "my-box", port: 3000}, true},
		"with the server's port": {"3000--box.example.com:8080", "example.com", address{name: "box", port: 3000}, true},
		"in capitals, with root": {"3000--BOX.Example.COM.", "example.com", address{name: "box", port: 3000}, true},
		"an id":                  {"80--0190b2c4-1234-7abc-8def-0123456789ab.d.io", "d.io", address{name: "0190b2c4-1234-7abc-8def-0123456789ab", port: 80}, true},
		"two hyphens in a name":  {"80--a--b.d.io", "d.io", address{name: "a--b", port: 80}, true},
		"no domain is set":       {"3000--box.example.com", "", address{}, false},
		"another domain":         {"3000--box.example.org", "example.com", address{}, false},
		"a domain that ends so":  {"3000--box.badexample.com", "example.com", address{}, false},
		"the domain itself":      {"example.com", "example.com", address{}, false},
		"the API under it":       {"api.example.com", "example.com", address{}, false},
		"port 0":                 {"0--box.example.com", "example.com", address{}, true},
		"a port too high":        {"65536--box.example.com", "example.com", address{}, true},
		"a port with a zero":     {"080--box.example.com", "example.com", address{}, true},
		"a signed port":          {"+80--box.example.com", "example.com", address{}, true},
		"no name":                {"80--.example.com", "example.com", address{}, true},
		"a deeper name":          {"80--a.b.example.com", "example.com", address{}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if at, taken := hosted(tt.host, tt.domain); at != tt.want || taken != tt.taken {
				t.Fatalf("%+v, %v", at, taken)
			}
		})
	}
}

func TestPathed(t *testing.T) {
	for path, want := range map[string]address{
		"/p/box/3000/":            {"box", 3000, "/p/box/3000", "/"},
		"/p/box/3000":             {"box", 3000, "/p/box/3000", ""},
		"/p/box/3000/a%2Fb/../c":  {"box", 3000, "/p/box/3000", "/a%2Fb/../c"},
		"/p/box/3000//other.com/": {"box", 3000, "/p/box/3000", "//other.com/"},
		"/p/":                     {},
		"/p/box":                  {},
		"/p/box/":                 {},
		"/p/../3000/":             {},
		"/p/b%6Fx/3000/":          {},
		"/%70/box/3000/":          {},
		"/p/box/3000x/":           {},
		"/p/Box/3000/":            {},
	} {
		if at := pathed(path); at != want {
			t.Errorf("%s: %+v", path, at)
		}
	}
}

func FuzzAddress(f *testing.F) {
	for _, s := range []string{"3000--box.d.io", "--", "1--a.d.io:9", "1--a..d.io", "\x00--a.d.io", "/p/box/1/", "/p//1/", "/p/a/00001/", "/p/-a/1/x?y#z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		check := func(at address) {
			if at == (address{}) {
				return
			}
			if at.port == 0 || at.name == "" || len(at.name) > maxLabelBytes || strings.ContainsAny(at.name, "./\\%:@ \x00") {
				t.Fatalf("%q names %+v", s, at)
			}
		}
		at, taken := hosted(s, "d.io")
		check(at)
		if at != (address{}) && !taken {
			t.Fatalf("%q is read and not taken", s)
		}
		at = pathed(s)
		check(at)
		if at != (address{}) && at.prefix+at.rest != s && strings.HasPrefix(s, "/p/") {
			t.Fatalf("%q is taken apart as %q and %q", s, at.prefix, at.rest)
		}
	})
}

func TestWhatIsOursIsKeptFromTheComputer(t *testing.T) {
	h := http.Header{"Authorization": {"Bearer bxs_secret"}, "X-Api-Key": {"ak_secret"}, "Api-Key": {"theirs"},
		"Cookie": {`a=1; agentcomputer_access_session=bxs_secret; b="2"; c=tb_secret`}}
	cleaned(h)
	if got := h.Get("Cookie"); got != `a=1; b="2"` || h.Get("Authorization") != "" || h.Get("X-Api-Key") != "" || h.Get("Api-Key") != "theirs" {
		t.Fatalf("%v", h)
	}
	h = http.Header{"Authorization": {"Bearer eyJtheirs"}}
	if cleaned(h); h.Get("Authorization") == "" {
		t.Error("a key of the program's own is lost")
	}
	h = http.Header{}
	(&http.Request{Header: h}).SetBasicAuth("node", "bxs_secret")
	if cleaned(h); len(h) != 0 {
		t.Errorf("%v", h)
	}
	if got := withoutTokens("a=%2F&access_token=bxs_x&b&access%5Ftoken=bxs_y&access_token=own", ""); got != "a=%2F&b&access_token=own" {
		t.Errorf("%q", got)
	}
}

func FuzzWithoutTokens(f *testing.F) {
	for _, s := range []string{"", "a=b", "access_token=bxs_1", "%61ccess_token=bxs_1", "x=%62xs_1", "a=%zz&;=bxs_", "&&="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		left := withoutTokens(raw, TokenParameter)
		values, _ := url.ParseQuery(left)
		for name, all := range values {
			if name == TokenParameter || slices.ContainsFunc(all, ours) {
				t.Fatalf("%q leaves %q", raw, left)
			}
		}
	})
}

func TestAComputersAnswerIsConfined(t *testing.T) {
	answer := func() http.Header {
		return http.Header{"Set-Cookie": {"a=1; Domain=example.com; Path=/", "agentcomputer_access_session=x", "b=2; Path=/app; HttpOnly"},
			"Clear-Site-Data": {`"*"`}, "Strict-Transport-Security": {"max-age=1"}, "Location": {"/login"},
			"Content-Security-Policy": {"default-src 'self'"}}
	}
	h := answer()
	confined(h, address{name: "box", port: 80, prefix: "/p/box/80", rest: "/"})
	if got := h.Values("Set-Cookie"); !slices.Equal(got, []string{"a=1; Path=/p/box/80/", "b=2; Path=/p/box/80/app; HttpOnly"}) {
		t.Errorf("cookies %q", got)
	}
	if h.Get("Location") != "/p/box/80/login" || h.Get("Clear-Site-Data") != "" || h.Get("Strict-Transport-Security") != "" ||
		!slices.Equal(h.Values("Content-Security-Policy"), []string{"default-src 'self'", sandboxPolicy}) {
		t.Errorf("%v", h)
	}
	h = answer()
	confined(h, address{name: "box", port: 80})
	if got := h.Values("Set-Cookie"); !slices.Equal(got, []string{"a=1; Path=/", "b=2; Path=/app; HttpOnly"}) || h.Get("Location") != "/login" || len(h.Values("Content-Security-Policy")) != 1 {
		t.Errorf("%v", h)
	}
}

func TestAnAnswerToACallIsNoPage(t *testing.T) {
	h := http.Header{"Content-Type": {"text/html"}, "Set-Cookie": {"agentcomputer_access_session=x; Path=/"}, "Location": {"https://example.com"},
		"Refresh": {"0; url=/"}, "Clear-Site-Data": {`"*"`}, "Content-Security-Policy": {"sandbox allow-scripts"}, "Grpc-Status": {"0"}}
	inert(h)
	want := http.Header{"Content-Type": {"text/html"}, "Grpc-Status": {"0"},
		"Content-Security-Policy": {"sandbox; default-src 'none'"}, "X-Content-Type-Options": {"nosniff"}}
	if !maps.EqualFunc(h, want, slices.Equal) {
		t.Errorf("%v", h)
	}
}

func TestACrowdIsBounded(t *testing.T) {
	g := New(Options{})
	var leave []func()
	for range MaxTraffic {
		l, err := g.crowd.enter("c")
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, l)
	}
	if _, err := g.crowd.enter("c"); err == nil {
		t.Fatal("no bound")
	}
	if _, err := g.crowd.enter("other"); err != nil {
		t.Fatal("one computer's traffic stands in another's way")
	}
	for _, l := range leave {
		l()
	}
	if _, err := g.crowd.enter("c"); err != nil || len(g.crowd.in) != 2 {
		t.Fatalf("%v, %v", err, g.crowd.in)
	}
}
