package gateway

import (
	"net"
	"strconv"
	"strings"

	"github.com/bothy-computer/bothy/httpapi/door"
)

// address names a port of a computer as a URL does. The zero address names
// none.
type address struct {
	name string // a computer's label or id
	port uint16
	// prefix is what comes before the computer's own path, without a slash at
	// its end; "" where the port has a host of its own.
	prefix string
	// rest is the computer's own path, escaped; "" for a prefix alone, whose
	// relative links would lead astray.
	rest string
}

// pathForm reports whether the port is a path of the API's host.
func (a address) pathForm() bool { return a.prefix != "" }

// hosted reads a request's host as <port>--<name>.<domain>. taken says that the
// host is of that form, also where it names nothing.
func hosted(host, domain string) (at address, taken bool) {
	if domain == "" {
		return at, false
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	domain, _, _ = strings.Cut(domain, ":")
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	own, under := strings.CutSuffix(host, "."+strings.ToLower(domain))
	if !under || !strings.Contains(own, "--") {
		return at, false
	}
	number, name, _ := strings.Cut(own, "--")
	return named(name, number), true
}

// pathed reads a request's escaped path as /p/<name>/<port>/<rest>.
func pathed(path string) address {
	name, rest, _ := strings.Cut(strings.TrimPrefix(path, door.PortPath), "/")
	number, rest, whole := strings.Cut(rest, "/")
	at := named(name, number)
	if at == (address{}) {
		return at
	}
	at.prefix = door.PortPath + name + "/" + number
	if whole {
		at.rest = "/" + rest
	}
	return at
}

// named checks the two parts of an address.
func named(name, number string) address {
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil || port == 0 || number != strconv.FormatUint(port, 10) || len(name) > maxLabelBytes || !isLabel(name) {
		return address{}
	}
	return address{name: name, port: uint16(port)}
}

// maxLabelBytes is DNS's own bound.
const maxLabelBytes = 63

func isLabel(name string) bool {
	for i, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= '0' && r <= '9'
		if !letter && (r != '-' || i == 0 || i == len(name)-1) {
			return false
		}
	}
	return name != ""
}
