package actors

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/fake"
)

// answer plays the guest.
func (s *street) answer(t *testing.T, f http.HandlerFunc) {
	t.Helper()
	guest := httptest.NewUnstartedServer(f)
	guest.EnableHTTP2 = true
	guest.StartTLS()
	t.Cleanup(guest.Close)
	at, err := url.Parse(guest.URL)
	if err != nil {
		t.Fatal(err)
	}
	s.owner.driver.Script().Answer(func(runtime.ID) http.RoundTripper {
		return roundTrip(func(req *http.Request) (*http.Response, error) {
			out := req.Clone(req.Context())
			out.URL.Scheme, out.URL.Host = at.Scheme, at.Host
			return guest.Client().Transport.RoundTrip(out)
		})
	})
}

func (s *street) ask(t *testing.T, node *house, ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, "http://guest"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Te", "trailers")
	return node.Computers.Guest(s.caller.Account, s.computer.ID).RoundTrip(req)
}

func TestTheGuestIsReachedThroughAnyNode(t *testing.T) {
	s := openStreet(t, 0)
	s.answer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Outcome")
		w.Header().Set("X-Te", r.Header.Get("Te"))
		w.WriteHeader(http.StatusAccepted)
		control := http.NewResponseController(w)
		_ = control.Flush()
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			fmt.Fprintf(w, "%s %s: %s\n", r.Method, r.URL, lines.Text())
			_ = control.Flush()
		}
		w.Header().Set("Outcome", "done")
		w.Header().Set(http.TrailerPrefix+"Unannounced", "too")
	})
	for name, node := range s.nodes() {
		t.Run(name, func(t *testing.T) {
			in, out := io.Pipe()
			res, err := s.ask(t, node, t.Context(), "POST", "/process.Process/Start?a=b%2Fc", in)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if res.StatusCode != http.StatusAccepted || res.Header.Get("X-Te") != "trailers" {
				t.Fatalf("%s, Te %q", res.Status, res.Header.Get("X-Te"))
			}
			answers := bufio.NewScanner(res.Body)
			// Both ways at once: each line is answered before the next is sent.
			for _, line := range []string{"one", "two"} {
				fmt.Fprintln(out, line)
				if want := "POST /process.Process/Start?a=b%2Fc: " + line; !answers.Scan() || answers.Text() != want {
					t.Fatalf("%q; want %q", answers.Text(), want)
				}
			}
			if n := s.users(); n != 1 {
				t.Errorf("%d use the computer", n)
			}
			out.Close()
			if answers.Scan() || answers.Err() != nil {
				t.Fatalf("%q, %v", answers.Text(), answers.Err())
			}
			if res.Trailer.Get("Outcome") != "done" || res.Trailer.Get("Unannounced") != "too" {
				t.Errorf("trailers %v", res.Trailer)
			}
			res.Body.Close()
			s.givenBack(t)
		})
	}
}

func TestAStreamOfTheGuestIsCutWithTheLease(t *testing.T) {
	for _, name := range []string{"at the owner", "through another node"} {
		t.Run(name, func(t *testing.T) {
			s := openStreet(t, 0)
			s.answer(t, func(w http.ResponseWriter, r *http.Request) {
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			})
			res, err := s.ask(t, s.nodes()[name], t.Context(), "GET", "/", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if err := s.owner.node.Expire(s.asker.node); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(res.Body); err == nil {
				t.Error("a stream that was cut looks like one that ended")
			}
			res.Body.Close()
			s.givenBack(t)
		})
	}
}

func TestAClientThatLeavesEndsItsRequest(t *testing.T) {
	s := openStreet(t, 0)
	ended := make(chan struct{}, 2)
	s.answer(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		ended <- struct{}{}
	})
	for name, node := range s.nodes() {
		t.Run(name, func(t *testing.T) {
			ctx, leave := context.WithCancel(t.Context())
			res, err := s.ask(t, node, ctx, "GET", "/", nil)
			if err != nil {
				t.Fatal(err)
			}
			leave()
			res.Body.Close()
			select {
			case <-ended:
			case <-time.After(patience):
				t.Fatal("the guest goes on")
			}
			s.givenBack(t)
		})
	}
}

// closes tells that a request's body was closed.
type closes struct {
	io.Reader
	closed chan struct{}
}

func (c *closes) Close() error { close(c.closed); return nil }

func TestRefusalsKeepTheirKind(t *testing.T) {
	s := openStreet(t, 0)
	s.answer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(faultHeader, "not_found") // a guest that plays its owner
		fmt.Fprint(w, `{"kind":"payment","error":"send money"}`)
	})
	for name, node := range s.nodes() {
		t.Run(name, func(t *testing.T) {
			res, err := s.ask(t, node, t.Context(), "GET", "/", nil)
			if err != nil {
				t.Fatalf("the guest spoke for its owner: %v", err)
			}
			res.Body.Close()
			for _, tt := range []struct {
				err  error
				kind fault.Kind
			}{{runtime.ErrStaleEpoch, fault.Moved}, {runtime.ErrFull, fault.Full}, {errors.New("secret path"), fault.Internal}} {
				s.owner.driver.Script().Add(fake.Rule{Op: fake.Guest, Err: tt.err, Times: 1})
				body := &closes{strings.NewReader("x"), make(chan struct{})}
				_, err := s.ask(t, node, t.Context(), "POST", "/", body)
				is(t, err, tt.kind, "")
				select {
				case <-body.closed:
				case <-time.After(patience):
					t.Fatal("the request's body is left open")
				}
			}
			s.givenBack(t)
		})
	}
	if _, err := s.owner.Computers.Stop(t.Context(), s.caller, s.computer.ID); err != nil {
		t.Fatal(err)
	}
	for name, node := range s.nodes() {
		_, err := s.ask(t, node, t.Context(), "GET", "/", nil)
		if !fault.Is(err, fault.Conflict) || !hasCode(err, state.CodeNotRunning) {
			t.Errorf("%s: %v", name, err)
		}
		_, err = node.Computers.Guest("acct_other", s.computer.ID).RoundTrip(httptest.NewRequest("GET", "/", nil))
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := s.asker.Computers.remote.Guest(httptest.NewRequest("GET", "/", nil), s.owner.node.Self(), "acct_other", s.computer.ID)
	is(t, err, fault.NotFound, "")
}
