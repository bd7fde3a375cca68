package door

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/state"
)

// Links makes the URLs in replies.
type Links struct {
	// PublicURL is where clients reach the cluster; "" is whatever they used.
	PublicURL string
	// Domain is what computers' hosts end in, by wildcard DNS; "" is none.
	Domain string
}

// hosts are names that a request may give as its own and get back in a URL.
var hosts = regexp.MustCompile(`^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$`)

// Base is the URL that the client reaches this cluster by, without a slash at
// its end.
func (l Links) Base(r *http.Request) string {
	if l.PublicURL != "" {
		return strings.TrimRight(l.PublicURL, "/")
	}
	host := r.Host
	if !hosts.MatchString(host) {
		host = "localhost"
	}
	if r.TLS != nil {
		return "https://" + host
	}
	return "http://" + host
}

// Computer is the page of a computer.
func (l Links) Computer(c *gin.Context, m state.Computer) string {
	return l.Base(c.Request) + "/c/" + string(m.ID)
}

// Desktop is the page of a computer's desktop.
func (l Links) Desktop(c *gin.Context, m state.Computer) string {
	return l.Computer(c, m) + "/desktop"
}
