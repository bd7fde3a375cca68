package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/actors/agent/catalog"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	// dialPatience bounds one connection that a check makes.
	dialPatience = 3 * time.Second
	// expiresSoon is when a certificate that does not renew itself is worth a word.
	expiresSoon = 14 * 24 * time.Hour
	// unsynchronised is the state of a clock that nothing sets (adjtimex(2)).
	unsynchronised = 5
)

func lookClock(ctx context.Context, d *doctor) (all []finding) {
	switch state, err := unix.Adjtimex(&unix.Timex{}); {
	case err != nil:
		all = append(all, warning("", "the state of the clock cannot be read: %v", err))
	case state == unsynchronised:
		all = append(all, warning("Have the clock set: apt-get install chrony, or systemd-timesyncd.", "nothing sets this machine's clock"))
	default:
		all = append(all, good("the clock is set by another"))
	}
	for _, n := range d.others() {
		if off, err := clockOf(ctx, n); err == nil && off.Abs() > maxClockError {
			all = append(all, warning("Have both clocks set, by chrony for example.", "the clock of %s is %s from this one", n.Name, off.Round(time.Second)))
		}
	}
	return all
}

// others are the nodes beside the one that answers.
func (d *doctor) others() (all []wire.NodeStatus) {
	if d.status == nil {
		return nil
	}
	for _, n := range d.status.Nodes {
		if n.Name != d.status.Node {
			all = append(all, n)
		}
	}
	return all
}

// clockOf is how far a node's clock is ahead of this machine's, as its replies
// are dated.
func clockOf(ctx context.Context, n wire.NodeStatus) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.HTTP+"/healthz", nil)
	if err != nil {
		return 0, err
	}
	asked := time.Now()
	reply, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer reply.Body.Close()
	there, err := http.ParseTime(reply.Header.Get("Date"))
	if err != nil {
		return 0, err
	}
	between := asked.Add(time.Since(asked) / 2)
	return there.Add(time.Second / 2).Sub(between), nil // dates have whole seconds
}

// lookPorts tries to listen where the node does, unless it listens there.
func lookPorts(ctx context.Context, d *doctor) (all []finding) {
	runs := answers(ctx, clientURL(d.config.HTTP.Addr)+"/healthz")
	for _, l := range d.config.listeners() {
		ln, err := net.Listen("tcp", l.addr)
		switch {
		case err == nil:
			err = ln.Close()
			if runs {
				all = append(all, warning("Give doctor the flags and the file of the node.", "%s: nothing listens at %s, though a node runs here", l.name, l.addr))
				continue
			}
			all = append(all, good("%s: %s is free", l.name, l.addr))
		case errors.Is(err, unix.EADDRINUSE) && runs:
			all = append(all, good("%s: %s, in use while the node runs", l.name, l.addr))
		case errors.Is(err, unix.EADDRINUSE):
			_, port, _ := net.SplitHostPort(l.addr)
			all = append(all, failed(fmt.Sprintf("ss -ltnp 'sport = :%s' tells who; or choose another: %s in the file, or its flag.", port, l.name), "%s: another program listens at %s", l.name, l.addr))
		default:
			all = append(all, failed("Choose an address of this machine.", "%s: %v", l.name, err))
		}
	}
	return all
}

func answers(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	reply, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	return reply.Body.Close() == nil && reply.StatusCode == http.StatusOK
}

func lookCertificates(ctx context.Context, d *doctor) (all []finding) {
	c := d.config
	for _, p := range []struct{ name, certificate, key string }{{"tls", c.TLS.Certificate, c.TLS.Key}, {"ssh", c.SSH.TLSCert, c.SSH.TLSKey}} {
		if p.certificate == "" {
			continue
		}
		pair, err := tls.LoadX509KeyPair(p.certificate, p.key)
		if err != nil {
			all = append(all, failed("Put a PEM certificate with its chain and the key that belongs to it there.", "%s: %v", p.name, err))
			continue
		}
		all = append(all, lasting(p.name+": "+p.certificate, pair.Leaf.NotAfter, "Put a newer one in its place; nodes read it by themselves."))
	}
	for _, name := range c.TLS.ACME.Domains {
		all = append(all, lookACME(ctx, c, name))
	}
	if len(all) == 0 {
		all = append(all, good("none configured: clients use plain HTTP, or a proxy ends TLS before the node"))
	}
	return all
}

func lasting(what string, until time.Time, remedy string) finding {
	switch left := time.Until(until); {
	case left < 0:
		return failed(remedy, "%s has expired at %s", what, until.Format(time.DateTime))
	case left < expiresSoon:
		return warning(remedy, "%s expires at %s", what, until.Format(time.DateTime))
	}
	return good("%s, until %s", what, until.Format(time.DateTime))
}

// lookACME asks the running node for a name's certificate, as a client would.
func lookACME(ctx context.Context, c Config, name string) finding {
	remedy := "Let " + name + " lead to this node: port 443 to tls.addr, or port 80 to http.addr. The node's log says what the authority said."
	at := strings.TrimPrefix(clientURL(c.TLS.Addr), "http://")
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: dialPatience}, Config: &tls.Config{ServerName: name}}
	conn, err := dialer.DialContext(ctx, "tcp", at)
	if errors.Is(err, unix.ECONNREFUSED) {
		return warning("Start the node; it gets the certificate by itself.", "%s: nothing answers at %s", name, at)
	}
	if err != nil {
		return failed(remedy, "%s: %v", name, err)
	}
	defer conn.Close()
	return lasting("acme: "+name, conn.(*tls.Conn).ConnectionState().PeerCertificates[0].NotAfter, remedy)
}

func lookCluster(ctx context.Context, d *doctor) []finding {
	switch {
	case d.status == nil && fault.Is(d.statusErr, fault.Unauthorized):
		return []finding{warning("Set "+keyVariable+" to an admin key.", "the node answers, and wants a key before it tells of others")}
	case d.status == nil:
		return []finding{warning("Start it with `bothy up`, or set "+urlVariable+".", "no node answers here, so nothing is known of a cluster")}
	case !d.status.Ready:
		return []finding{failed("`bothy status` shows who is missing: a majority of voters must be up.", "%s is not ready: %s", d.status.Node, d.status.Problem)}
	}
	all := []finding{good("%s is ready; %s leads", d.status.Node, d.status.Leader)}
	for _, n := range d.others() {
		all = append(all, lookPeer(ctx, n))
	}
	return all
}

func lookPeer(ctx context.Context, n wire.NodeStatus) finding {
	dialer := net.Dialer{Timeout: dialPatience}
	conn, err := dialer.DialContext(ctx, "tcp", n.Peer)
	if err != nil {
		return failed("Start it, or open its peer port (7080 by default, TCP) and its gossip port (7180, TCP and UDP) to the other nodes. One that is gone for ever: `bothy leave "+n.Name+"`.",
			"%s cannot be reached from here: %v", n.Name, err)
	}
	conn.Close()
	switch {
	case !n.Leased:
		return failed("See its log; a node that lost its disk must leave: `bothy leave "+n.Name+"`.", "%s answers at %s, but its lease has expired", n.Name, n.Peer)
	case !n.Alive:
		return warning("Open the gossip port (7180 by default) between the nodes, UDP as well as TCP.", "%s answers at %s, but not to gossip", n.Name, n.Peer)
	}
	return good("%s answers at %s", n.Name, n.Peer)
}

// lookModels asks each vendor for its list of models, which costs nothing.
func lookModels(ctx context.Context, d *doctor) (all []finding) {
	models, err := catalog.New(d.config.Models, os.Getenv)
	if err != nil {
		return []finding{failed("", "%v", err)}
	}
	asked := map[string]bool{}
	for _, m := range models.Models() {
		u, err := models.Upstream(m.Name)
		if err != nil || asked[m.Vendor] {
			continue
		}
		asked[m.Vendor] = true
		all = append(all, lookVendor(ctx, m.Vendor, u))
	}
	if len(all) == 0 {
		all = append(all, warning("Set "+strings.Join(models.Missing(), " or ")+" in the environment of the node, or models.vendors in its file.",
			"no vendor is configured: the model script runs the code of messages and is no LLM"))
	}
	return all
}

func lookVendor(ctx context.Context, name string, u catalog.Upstream) finding {
	remedy := "Check models.vendors, the key in the node's environment, and this machine's way out."
	ctx, cancel := context.WithTimeout(ctx, 3*dialPatience)
	defer cancel()
	path := "/models"
	switch u.Protocol {
	case catalog.Anthropic:
		path = "/v1/models"
	case catalog.Google:
		path = "/v1beta/models"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(u.BaseURL, "/")+path, nil)
	if err != nil {
		return failed(remedy, "%s: %v", name, err)
	}
	u.Authorize(req.Header)
	req.Header.Set("Anthropic-Version", "2023-06-01")
	reply, err := http.DefaultClient.Do(req)
	if err != nil {
		return failed(remedy, "%s: %s", name, u.Redact([]byte(err.Error())))
	}
	defer reply.Body.Close()
	_, _ = io.CopyN(io.Discard, reply.Body, 1<<20) // so that the connection ends well
	switch {
	case reply.StatusCode == http.StatusUnauthorized || reply.StatusCode == http.StatusForbidden:
		return failed("Give the node a key that "+name+" takes.", "%s at %s refuses the key: %s", name, u.BaseURL, reply.Status)
	case reply.StatusCode >= http.StatusInternalServerError:
		return failed("Wait for it, or use another vendor.", "%s at %s answers %s", name, u.BaseURL, reply.Status)
	}
	return good("%s answers at %s", name, u.BaseURL)
}
