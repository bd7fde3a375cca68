package console

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// tokenParameter carries an access token in a page's URL, once.
const tokenParameter = "access_token"

// maxCookies bounds how many cookies of one name are looked at: other hosts of
// the same domain may have set some.
const maxCookies = 4

// visit is a request that a session let in.
type visit struct{ state.AccessSession }

// visitor serves one.
type visitor func(*gin.Context, visit) error

// cookieName is a cookie of one computer and one way in.
func cookieName(id state.ComputerID, kind state.SessionKind) string {
	return "bothy-" + string(kind) + "-" + string(id)
}

// addressed is the computer that a path names.
func addressed(c *gin.Context) (state.ComputerID, error) {
	id := c.Param("id")
	if uuid.Validate(id) != nil || len(id) != 36 {
		return "", fault.New(fault.NotFound, "There is no such computer")
	}
	return state.ComputerID(id), nil
}

// inside serves those who hold the cookie of a session of one of the kinds, and
// nobody on behalf of another page.
func (k *Console) inside(kinds []state.SessionKind, serve visitor) gin.HandlerFunc {
	return func(c *gin.Context) {
		guarded(c.Writer.Header())
		c.Header("Cache-Control", "no-store")
		v, err := k.admit(c, kinds...)
		if err == nil {
			err = k.ownPage(c.Request)
		}
		if err == nil {
			c.Request = c.Request.WithContext(actors.ThroughSession(c.Request.Context(), v.AccessSession))
			err = serve(c, v)
		}
		if err != nil {
			k.Fail(c, err)
		}
	}
}

// ownPage refuses what a page of another origin has a browser do.
func (k *Console) ownPage(r *http.Request) error {
	own := http.NewCrossOriginProtection()
	for _, origin := range k.origins(r) {
		if err := own.AddTrustedOrigin(origin); err != nil {
			return fault.New(fault.Internal, "the public URL is no origin: %w", err)
		}
	}
	if err := own.Check(r); err != nil {
		return fault.New(fault.Forbidden, "This is only done from the computer's own page")
	}
	return nil
}

// admit finds the session that a request's cookies hold.
func (k *Console) admit(c *gin.Context, kinds ...state.SessionKind) (visit, error) {
	id, err := addressed(c)
	if err != nil {
		return visit{}, err
	}
	refused := error(fault.New(fault.Unauthorized, "There is no session for this computer here, or it has ended"))
	for _, kind := range kinds {
		for i, cookie := range c.Request.CookiesNamed(cookieName(id, kind)) {
			if i == maxCookies {
				break
			}
			s, err := k.enter(c, cookie.Value, id, kind)
			if err == nil {
				return visit{s}, nil
			}
			if !fault.Is(err, fault.Unauthorized) {
				refused = err
			}
		}
	}
	return visit{}, refused
}

// enter finds the session of a token, of a kind and a computer.
func (k *Console) enter(c *gin.Context, token string, id state.ComputerID, kind state.SessionKind) (state.AccessSession, error) {
	s, err := k.Sessions.Admit(c.Request.Context(), token, kind)
	if err == nil && s.Computer != id {
		err = fault.New(fault.Unauthorized, "This session is another computer's")
	}
	return s, err
}

// mayDesktop refuses a session that was opened with a link which does not let
// its holders see the desktop.
func (k *Console) mayDesktop(s state.AccessSession) error {
	if s.Share == "" || s.Kind == state.VNCSession {
		return nil
	}
	view := k.Records.StaleView() // a session that is here came after its share
	defer view.Close()
	share, err := view.Share(s.Account, s.Computer, s.Share)
	if err == nil && share.AllowVNC {
		return nil
	}
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	return fault.New(fault.Forbidden, "The link that you came by does not show this computer's desktop")
}

// page serves one, to whom a session of the kind or a browser session lets in.
// A token in the URL becomes a cookie, and the page is asked for again without
// it.
func (k *Console) page(kind state.SessionKind, name string) gin.HandlerFunc {
	return func(c *gin.Context) {
		id, err := addressed(c)
		if err == nil && c.Query(tokenParameter) != "" {
			err = k.exchange(c, id, kind)
			if err == nil {
				return
			}
		}
		if err == nil {
			_, err = k.admit(c, kind, state.BrowserSession)
		}
		if err != nil {
			k.refusePage(c, err)
			return
		}
		shown(c, name)
	}
}

// exchange makes a cookie of the token in a URL and leads to the URL without it.
func (k *Console) exchange(c *gin.Context, id state.ComputerID, kind state.SessionKind) error {
	token := c.Query(tokenParameter)
	s, err := k.enter(c, token, id, kind)
	if err != nil && kind != state.BrowserSession && fault.Is(err, fault.Unauthorized) {
		s, err = k.enter(c, token, id, state.BrowserSession)
	}
	if err != nil {
		return err
	}
	path := Prefix + string(id)
	if s.Kind == state.VNCSession {
		path += "/desktop"
	}
	http.SetCookie(c.Writer, &http.Cookie{Name: cookieName(id, s.Kind), Value: token, Path: path, Expires: s.ExpiresAt,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: k.links.Secure(c.Request)})
	guarded(c.Writer.Header())
	c.Header("Cache-Control", "no-store")
	c.Redirect(http.StatusSeeOther, c.Request.URL.Path)
	return nil
}
