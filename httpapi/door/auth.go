package door

import (
	"context"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// Keys tells who shows a key.
type Keys interface {
	// Authenticate returns the key with this text, or Unauthorized.
	Authenticate(ctx context.Context, text string) (state.Key, error)
}

// maxKeyBytes bounds a key's text; longer ones are not looked up.
const maxKeyBytes = 256

const callerKey = "bothy.caller"

// admit lets a request with a valid key in. A wrong key is counted against the
// address it comes from, so that keys cannot be guessed at speed.
func (d *Door) admit(c *gin.Context, r Route) error {
	key, err := d.authenticate(c)
	if err != nil {
		if fault.Is(err, fault.Unauthorized) {
			if limited := d.take(c, d.addressScope(c)); limited != nil {
				return limited
			}
			c.Header("WWW-Authenticate", "Bearer")
		}
		return err
	}
	c.Set(callerKey, actors.Caller{Account: key.Account, User: key.User, Key: key})
	because(c, state.Cause{Request: RequestID(c), Account: key.Account, User: key.User, Key: key.ID})
	if !key.NoLimit {
		if err := d.take(c, d.Name+":key:"+string(key.ID)); err != nil {
			return err
		}
	}
	if r.Access == ByAdmin && !key.Admin {
		return fault.New(fault.Forbidden, "This route needs an admin key")
	}
	return allowed(key, r.Scopes)
}

func (d *Door) authenticate(c *gin.Context) (state.Key, error) {
	text := keyText(c)
	if text == "" || len(text) > maxKeyBytes {
		return state.Key{}, unauthorized()
	}
	key, err := d.Keys.Authenticate(c.Request.Context(), text)
	if fault.Is(err, fault.Unauthorized) || fault.Is(err, fault.NotFound) {
		return key, unauthorized()
	}
	return key, err
}

func unauthorized() error { return fault.New(fault.Unauthorized, "Invalid or missing API key") }

// keyHeaders are the headers that hold nothing but a key, in the dialects'
// spellings.
var keyHeaders = []string{"X-API-Key", "API_KEY", "API-Key"}

// keyText finds the key in Authorization: Bearer or one of keyHeaders.
func keyText(c *gin.Context) string {
	if scheme, text, ok := strings.Cut(c.GetHeader("Authorization"), " "); ok && strings.EqualFold(scheme, "bearer") {
		return strings.TrimSpace(text)
	}
	for _, name := range keyHeaders {
		if text := strings.TrimSpace(c.GetHeader(name)); text != "" {
			return text
		}
	}
	return ""
}

// ShowsKey reports whether a request holds a key, valid or not.
func ShowsKey(c *gin.Context) bool { return keyText(c) != "" }

func allowed(key state.Key, scopes []string) error {
	if len(scopes) == 0 {
		return nil
	}
	for _, scope := range scopes {
		if key.Allows(scope) {
			return nil
		}
	}
	return fault.New(fault.Forbidden, "This key lacks the scope %s", strings.Join(scopes, " or "))
}

// CallerOf is who made the request, as the guard found. Idempotency is set by
// [Door.Caller].
func CallerOf(c *gin.Context) actors.Caller {
	caller, _ := c.Value(callerKey).(actors.Caller)
	return caller
}

// Require refuses a caller without the scope, for what only a request's body
// reveals.
func Require(c *gin.Context, scope string) error {
	return allowed(CallerOf(c).Key, []string{scope})
}
