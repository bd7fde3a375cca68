package httpapi_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/bothy-computer/bothy/runtime"
)

// display plays the display of every computer: it says back what it hears.
func (g *guestOfPages) display() {
	script := g.house.Driver.Script()
	script.Show(5901)
	script.Listen(func(_ context.Context, _ runtime.ID, port uint16) (net.Conn, error) {
		if port != 5901 {
			return nil, runtime.ErrRefused
		}
		ours, theirs := net.Pipe()
		go func() { defer ours.Close(); _, _ = io.Copy(ours, ours) }()
		return theirs, nil
	})
}

func (g *guestOfPages) echoes(ws *websocket.Conn) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	if err := ws.Write(ctx, websocket.MessageBinary, []byte("RFB")); err != nil {
		g.t.Fatal(err)
	}
	if _, b, err := ws.Read(ctx); err != nil || string(b) != "RFB" {
		g.t.Fatalf("%q, %v", b, err)
	}
}

func TestADesktopIsCutWithItsSession(t *testing.T) {
	g := openPages(t)
	g.display()
	s := g.enter("vnc")
	g.answers(401, "GET", "/api/computer", nil)
	g.answers(401, "GET", "", nil)
	if _, err := g.dial("/api/terminal"); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("a terminal: %v", err)
	}
	ws := g.socket("/desktop/socket")
	g.echoes(ws)
	g.do("DELETE", "/v1/computers/box/access-sessions/"+s.ID, nil).is(204)
	if code := g.ends(ws); code != 4401 {
		t.Errorf("closed with %d", code)
	}
	if _, err := g.dial("/desktop/socket"); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("again: %v", err)
	}
	g.enter("browser") // which shows the desktop too
	g.echoes(g.socket("/desktop/socket"))
}

func TestAShareShowsTheDesktopOnlyIfItSaysSo(t *testing.T) {
	g := openPages(t)
	g.display()
	for allow, want := range map[string]websocket.StatusCode{"false": 4403, "true": -1} {
		var made struct {
			Share struct {
				URL string `json:"share_url"`
			}
		}
		g.do("POST", "/v1/computers/box/shares/links", `{"allow_browser":true,"allow_vnc":`+allow+`}`).is(201).into(&made)
		resp, _ := fetch(t, g.page, "POST", made.Share.URL)
		g.page = visitor(t, g.house)
		g.follow(resp.Header.Get("Location"))
		ws := g.socket("/desktop/socket")
		if want == -1 {
			g.echoes(ws)
		} else if code := g.ends(ws); code != want {
			t.Errorf("closed with %d, want %d", code, want)
		}
	}
}

func TestWhyThereIsNoDesktop(t *testing.T) {
	g := openPages(t)
	g.enter("vnc")
	if code := g.ends(g.socket("/desktop/socket")); code != 4501 {
		t.Errorf("no display: closed with %d", code)
	}
	g.display()
	ws := g.socket("/desktop/socket")
	g.echoes(ws)
	drained := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		drained <- g.house.Server.Drain(ctx)
	}()
	if code := g.ends(ws); code != websocket.StatusGoingAway {
		t.Errorf("drained: closed with %d", code)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}
