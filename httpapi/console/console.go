package console

import (
	"context"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/runtime"
)

// Request limits of the pages, for each address.
const (
	requests = 100_000
	window   = 15 * time.Minute
)

// Prefix is what every path of the pages begins with.
const Prefix = "/c/"

// Sessions let in by a token.
type Sessions interface {
	// Admit finds the valid session of a token, of one of the kinds.
	Admit(ctx context.Context, token string, kinds ...state.SessionKind) (state.AccessSession, error)
	// While returns a context that ends when the session no longer lets in.
	While(context.Context, state.AccessSession) (context.Context, context.CancelFunc)
}

// Computers are reached through any node.
type Computers interface {
	Guest(state.AccountID, state.ComputerID) http.RoundTripper
	Desktop(context.Context, state.AccountID, state.ComputerID) (net.Conn, error)
	Files(context.Context, actors.Caller, state.ComputerID, actors.FileOp) (actors.FileResult, error)
	OpenFile(ctx context.Context, c actors.Caller, id state.ComputerID, name string) (*actors.FileReader, error)
	PutFile(ctx context.Context, c actors.Caller, id state.ComputerID, content io.Reader, place func() (actors.Place, error)) (actors.FileInfo, error)
}

// Diary has audited what is done.
type Diary interface {
	Note(ctx context.Context, action string, account state.AccountID, id state.ComputerID, names ...string)
}

// Images tell which have a desktop.
type Images interface {
	Find(ctx context.Context, image string) (runtime.Image, bool, error)
}

// Nouns are what the pages ask.
type Nouns struct {
	Sessions  Sessions
	Computers Computers
	Images    Images
	Diary     Diary
}

// Options is what the console stands on.
type Options struct {
	Nouns
	Shared door.Shared
	Links  door.Links
}

// Console serves the pages.
type Console struct {
	*door.Door
	Nouns
	links   door.Links
	sockets sockets
}

// New makes the console.
func New(o Options) *Console {
	return &Console{Nouns: o.Nouns, links: o.Links, sockets: sockets{open: map[state.ComputerID]int{}},
		Door: door.New(o.Shared, door.Dialect{Name: "console", Requests: requests, Window: window, Refuse: refuse})}
}

// refuse says what went wrong to the page's own scripts.
func refuse(_ *gin.Context, f *fault.Error) (int, any) {
	return door.Statuses[f.Kind], gin.H{"error": gin.H{"kind": f.Kind, "message": f.Error()}}
}

// Mount adds the routes to an engine. Their keys are cookies, so the door sees
// them as open to everybody, limited by address.
func (k *Console) Mount(e *gin.Engine) {
	browser := []state.SessionKind{state.BrowserSession}
	desktop := []state.SessionKind{state.BrowserSession, state.VNCSession}
	short := func(method, path string, serve visitor) door.Route {
		return door.Route{Method: method, Path: Prefix + ":id/api/" + path, Access: door.Public, Serve: k.inside(browser, serve)}
	}
	long := func(method, path string, serve visitor) door.Route {
		r := short(method, path, serve)
		r.Long = true
		return r
	}
	k.Door.Mount(e, []string{""}, []door.Route{
		{Method: "GET", Path: Prefix + "assets/:name", Access: door.Public, Serve: asset},
		{Method: "GET", Path: Prefix + ":id", Access: door.Public, Serve: k.page(state.BrowserSession, "computer.html")},
		{Method: "GET", Path: Prefix + ":id/desktop", Access: door.Public, Serve: k.page(state.VNCSession, "desktop.html")},
		{Method: "GET", Path: Prefix + ":id/desktop/socket", Access: door.Public, Long: true, Serve: k.inside(desktop, k.desktop)},
		{Method: "GET", Path: Prefix + ":id/tasks/:task", Access: door.Public, Serve: k.task},
		short("GET", "computer", k.computer),
		long("GET", "terminal", k.terminal),
		short("GET", "files", k.listFiles),
		long("GET", "file", k.download),
		long("PUT", "file", k.upload),
		short("DELETE", "file", k.remove),
		short("POST", "directory", k.makeDirectory),
		short("POST", "move", k.move),
		short("GET", "processes", k.processes),
		short("POST", "processes/:pid/signal", k.signal),
		short("GET", "ports", k.ports),
		short("GET", "ports/:port", k.openPort),
	})
}

// seen is a computer as its page shows it.
type seen struct {
	ID        state.ComputerID `json:"id"`
	Name      string           `json:"name"`
	Handle    string           `json:"handle,omitempty"`
	State     state.Phase      `json:"state"`
	Error     string           `json:"error,omitempty"`
	Image     string           `json:"image"`
	Desktop   bool             `json:"desktop"` // may be seen
	ExpiresAt time.Time        `json:"expires_at"`
	// SavedAt is the moment that its newest save shows, null without one, and
	// SavedWhole says that nothing was written since. On which node it is, is the
	// cluster's own, as it is for clients of the API.
	SavedAt    *time.Time `json:"saved_at"`
	SavedWhole bool       `json:"saved_whole"`
}

func (k *Console) computer(c *gin.Context, v visit) error {
	var m state.Computer
	if err := k.Look(c, func(view *state.View) (err error) { m, err = view.Computer(v.Account, v.Computer); return err }); err != nil {
		return err
	}
	s := seen{ID: m.ID, Name: m.Name, Handle: m.Handle, State: m.Phase, Error: m.Error, Image: m.Image, ExpiresAt: v.ExpiresAt, SavedWhole: m.Saved.Clean}
	if at := m.Saved.MadeAt; !at.IsZero() {
		s.SavedAt = &at
	}
	if s.Name == "" {
		s.Name = m.Handle
	}
	s.Desktop = k.mayDesktop(v.AccessSession) == nil && k.hasDesktop(c.Request.Context(), m.Image)
	k.Done(c, http.StatusOK, s)
	return nil
}

// hasDesktop reports whether computers of an image may have a display. One that
// only other nodes know may.
func (k *Console) hasDesktop(ctx context.Context, image string) bool {
	found, known, err := k.Images.Find(ctx, image)
	return err != nil || !known || found.Desktop
}
