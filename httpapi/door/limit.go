package door

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
)

// Limits counts requests in fixed windows that all nodes share.
type Limits interface {
	// Take takes one request out of the scope's window.
	Take(ctx context.Context, scope string, limit int, span time.Duration) (actors.Decision, error)
}

// limiterPatience is how long a request waits for its place in a window. When
// the cluster cannot count (no leader), the request is admitted uncounted:
// nothing can be changed or spent then, and reads go on.
const limiterPatience = 2 * time.Second

// take admits the request into the scope's window or refuses it.
func (d *Door) take(c *gin.Context, scope string) error {
	ctx, cancel := context.WithTimeout(c.Request.Context(), limiterPatience)
	defer cancel()
	got, err := d.Limits.Take(ctx, scope, d.Requests, d.Window)
	switch {
	case fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Moved) || (err != nil && ctx.Err() != nil):
		d.Metrics.limited(d.Name, limitUncounted)
		return nil
	case err != nil:
		return err
	}
	wait := max(got.Resets.Sub(d.Now()), 0)
	c.Header("RateLimit-Limit", strconv.Itoa(got.Limit))
	c.Header("RateLimit-Remaining", strconv.Itoa(max(got.Left, 0)))
	c.Header("RateLimit-Reset", seconds(wait))
	c.Header("RateLimit-Policy", strconv.Itoa(got.Limit)+";w="+seconds(d.Window))
	if got.Allowed {
		d.Metrics.limited(d.Name, limitAdmitted)
		return nil
	}
	d.Metrics.limited(d.Name, limitRefused)
	return fault.New(fault.Exhausted, "Rate limit exceeded. Please try again later.").
		WithCode("RATE_LIMIT_EXCEEDED").WithRetry(max(wait, time.Second))
}

// addressScope is the window of requests without a valid key. An IPv6 client
// owns a /64, so that is what is counted.
func (d *Door) addressScope(c *gin.Context) string {
	host, _, err := net.SplitHostPort(c.Request.RemoteAddr)
	if err != nil {
		host = c.Request.RemoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return d.Name + ":addr:unknown"
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return d.Name + ":addr:" + p.Addr().String()
		}
	}
	return d.Name + ":addr:" + addr.String()
}
