package actors

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/runtime/fake"
)

func TestWhatTenantsNameLeadsToNothingInside(t *testing.T) {
	reached := 0
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	t.Cleanup(inside.Close)
	port := inside.URL[strings.LastIndex(inside.URL, ":"):]
	// The way in is allowed by its own address alone, and leads on.
	lure := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, inside.URL, http.StatusTemporaryRedirect)
	}))
	listener, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	lure.Listener.Close()
	lure.Listener = listener
	lure.Start()
	t.Cleanup(lure.Close)
	way := outside(fake.New(fake.Options{}), []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")})
	t.Cleanup(way.CloseIdleConnections)
	client := &http.Client{Transport: way}
	for _, url := range []string{inside.URL, "http://localhost" + port, "http://[::ffff:127.0.0.1]" + port, "http://2130706433" + port, lure.URL} {
		res, err := client.Get(url)
		if err == nil {
			res.Body.Close()
			t.Errorf("%s was reached: %s", url, res.Status)
		} else if !strings.Contains(err.Error(), "private address") && !strings.Contains(err.Error(), "no such host") {
			t.Errorf("%s: %v", url, err)
		}
	}
	if reached > 0 {
		t.Errorf("something inside was reached %d times", reached)
	}
}
