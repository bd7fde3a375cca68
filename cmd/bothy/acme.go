package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/bothy-computer/bothy/actors"
)

const (
	// acmeHead is how long the leader has to get a certificate before other nodes
	// look for it: so that they find it, and do not ask the authority for more.
	acmeHead = time.Minute
	// acmePause doubles after each failure, up to acmeMaxPause: authorities limit
	// how often one may fail.
	acmePause    = time.Minute
	acmeMaxPause = time.Hour
	// challengePath begins the paths of HTTP challenges (RFC 8555 section 8.3).
	challengePath = "/.well-known/acme-challenge/"
)

// authority certifies names by ACME.
type authority struct {
	domains []string
	manager *autocert.Manager
}

func newACME(c ACMEConfig, kept *actors.Certificates) *authority {
	return &authority{domains: c.Domains, manager: &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: sharedCache{kept}, HostPolicy: autocert.HostWhitelist(c.Domains...), Email: c.Email,
		Client: &acme.Client{DirectoryURL: c.Directory, UserAgent: "bothy"},
	}}
}

// names reports whether a client asks for a name of the authority's.
func (a *authority) names(server string) bool {
	return slices.Contains(a.domains, strings.ToLower(strings.TrimSuffix(server, ".")))
}

// challenged answers challenges for the authority's names alone: a computer may
// be challenged for names of its own.
func (a *authority) challenged(doors http.Handler) http.Handler {
	answers := a.manager.HTTPHandler(doors)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if strings.HasPrefix(r.URL.Path, challengePath) && a.names(host) {
			named := r.WithContext(r.Context())
			named.Host = strings.ToLower(host) // without a port, as the authority's names are
			answers.ServeHTTP(w, named)
			return
		}
		doors.ServeHTTP(w, r)
	})
}

// sharedCache keeps in the cluster what autocert would keep in files.
type sharedCache struct{ kept *actors.Certificates }

func (c sharedCache) Get(ctx context.Context, name string) ([]byte, error) {
	data, ok, err := c.kept.Get(ctx, name)
	if err == nil && !ok {
		err = autocert.ErrCacheMiss
	}
	return data, err
}

func (c sharedCache) Put(ctx context.Context, name string, data []byte) error {
	return c.kept.Put(ctx, name, data)
}

func (c sharedCache) Delete(ctx context.Context, name string) error { return c.kept.Delete(ctx, name) }

// certify gets the certificates before clients ask for them, and says why one
// is not to be had. Once there, they renew themselves.
func (n *node) certify(ctx context.Context) {
	if n.cluster.WaitReady(ctx) != nil {
		return // it stops
	}
	if n.cluster.Leader() != n.identity.Node() && !rest(ctx, acmeHead) {
		return
	}
	for _, name := range n.shown.acme.domains {
		for pause := acmePause; ; pause = min(2*pause, acmeMaxPause) {
			// As a client of today would ask: by ECDSA.
			hello := &tls.ClientHelloInfo{ServerName: name, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
				SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}, SupportedCurves: []tls.CurveID{tls.CurveP256}}
			got, err := n.shown.show(hello)
			if err == nil {
				n.log.Info("clients are shown a certificate by ACME", "name", name, "until", got.Leaf.NotAfter)
				break
			}
			n.log.Error("there is no certificate by ACME yet; clients that ask for this name are refused", "name", name, "again_in", pause, "err", err)
			if !rest(ctx, pause) {
				return
			}
		}
	}
}

// rest waits, and reports false when ctx has ended before.
func rest(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
