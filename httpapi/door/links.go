package door

import (
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
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

// Paths of the gateway on the API's host.
const (
	PortPath  = "/p/" // <computer's label or id>/<port>/...
	SharePath = "/s/" // <token>
)

// Secure reports whether the client reaches this cluster by HTTPS.
func (l Links) Secure(r *http.Request) bool { return strings.HasPrefix(l.Base(r), "https://") }

// Port is where a published port is reached: a host of its own where there is a
// domain, on the port of the API unless the domain has one, else a path.
func (l Links) Port(r *http.Request, m state.Computer, port uint16) string {
	name, number := m.Label, strconv.Itoa(int(port))
	if name == "" {
		name = string(m.ID)
	}
	base := l.Base(r)
	if l.Domain == "" {
		return base + PortPath + name + "/" + number + "/"
	}
	at, err := url.Parse(base)
	if err != nil {
		at = &url.URL{Scheme: "https"} // only a PublicURL that was refused at start is none
	}
	host := number + "--" + name + "." + l.Domain
	if at.Port() != "" && !strings.Contains(l.Domain, ":") {
		host += ":" + at.Port()
	}
	return at.Scheme + "://" + host + "/"
}

// Share is the page of a share's link.
func (l Links) Share(r *http.Request, token string) string { return l.Base(r) + SharePath + token }

// Connect is what the procedures of an exec session are under.
func (l Links) Connect(r *http.Request) string { return l.Base(r) }

// Access is what a session opens, with its token.
func (l Links) Access(r *http.Request, s actors.Session) string {
	at := l.Base(r)
	switch s.Kind {
	case state.ExecSession:
		at = l.Connect(r) + "/"
	case state.VNCSession:
		at += "/c/" + string(s.Computer) + "/desktop"
	default:
		at += "/c/" + string(s.Computer)
	}
	return at + "?access_token=" + url.QueryEscape(s.Token)
}

// Task is the page of a task: one of its computer's, so that a session of that
// lets in.
func (l Links) Task(r *http.Request, t state.Thread) string {
	return l.Base(r) + "/c/" + string(t.Computer) + "/tasks/" + string(t.ID)
}

// Upload is where a file may be put with a token.
func (l Links) Upload(r *http.Request, token string) string {
	return l.Base(r) + "/v1/uploads/" + token
}
