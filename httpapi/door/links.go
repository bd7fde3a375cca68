package door

import (
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
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
	// SSHAddr is host:port of the SSH door, as clients reach it; without a
	// host, that of PublicURL or of the request; "" is none.
	SSHAddr string
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

// noDomain ends the server names of computers where there is no domain: nobody
// looks them up, they only tell the SSH door which computer is meant.
const noDomain = "bothy.internal"

// SSH is where the SSH door is, as the client reaches it; port 0 is nowhere.
func (l Links) SSH(r *http.Request) (host string, port int) {
	host, text, err := net.SplitHostPort(l.SSHAddr)
	if err != nil {
		return "", 0
	}
	if port, err = strconv.Atoi(text); err != nil {
		return "", 0
	}
	if host == "" {
		host = l.host(r)
	}
	return host, port
}

// host is the name or address that the client reaches this cluster by.
func (l Links) host(r *http.Request) string {
	u, err := url.Parse(l.Base(r))
	if err != nil {
		return "localhost"
	}
	return u.Hostname()
}

// Suffix is what a computer's server name ends in.
func (l Links) Suffix(r *http.Request) string {
	if l.Domain != "" {
		domain, _, _ := strings.Cut(l.Domain, ":")
		return domain
	}
	if host := l.host(r); net.ParseIP(host) == nil && strings.Contains(host, ".") {
		return host
	}
	return noDomain
}
