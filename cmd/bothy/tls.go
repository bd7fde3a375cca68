package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"

	"github.com/bothy-computer/bothy/actors"
)

func (n *node) listenTLS() (err error) {
	if n.config.TLS.Addr == off {
		return nil
	}
	if n.tls, err = net.Listen("tcp", n.config.TLS.Addr); err != nil {
		return fmt.Errorf("listen for clients by TLS: %w (--tls chooses another address, --tls off none)", err)
	}
	n.onClose(func() error { return quiet(n.tls.Close()) })
	return nil
}

// openCertificates makes ready what clients are shown by TLS.
func (n *node) openCertificates(sys *actors.System) error {
	c := n.config.TLS
	if n.tls == nil {
		return nil
	}
	n.shown = &certificates{until: map[string]time.Time{}}
	n.registry.MustRegister(newShownCertificates(n.shown, time.Now))
	if c.Certificate != "" {
		own, err := openPair(c.Certificate, c.Key, n.log)
		if err != nil {
			return fmt.Errorf("read tls.certificate and tls.key: %w", err)
		}
		n.shown.own = own
		n.shown.note(ownName, own.shown, nil)
	}
	if len(c.ACME.Domains) > 0 {
		n.shown.acme = newACME(c.ACME, sys.Certificates)
	}
	return nil
}

// serveTLS takes clients by TLS for as long as the node serves HTTP. A failure
// stops the node.
func (n *node) serveTLS(ctx context.Context, stop context.CancelCauseFunc) {
	if n.tls == nil {
		return
	}
	go func() {
		if err := n.server.ServeTLS(n.tls, n.shown.config()); err != nil {
			stop(fmt.Errorf("serve by TLS: %w", err))
		}
	}()
	if n.shown.acme != nil {
		go n.certify(ctx)
	}
}

// certificates are what clients are shown: for a name of ACME's its
// certificate, else the operator's.
type certificates struct {
	own  *pair      // nil is none
	acme *authority // nil is none

	mu    sync.Mutex
	until map[string]time.Time // when what was shown last expires, by name
}

// ownName stands for the operator's certificate among the names.
const ownName = "file"

func (c *certificates) config() *tls.Config {
	protocols := []string{"h2", "http/1.1"}
	if c.acme != nil {
		protocols = append(protocols, acme.ALPNProto)
	}
	return &tls.Config{GetCertificate: c.show, NextProtos: protocols, MinVersion: tls.VersionTLS12}
}

// errNoCertificate answers a client that asks for a name that nothing is for.
var errNoCertificate = errors.New("no certificate is configured for the name that the client asks for")

func (c *certificates) show(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	switch {
	case c.acme != nil && slices.Contains(hello.SupportedProtos, acme.ALPNProto):
		return c.acme.manager.GetCertificate(hello) // a challenge
	case c.acme != nil && c.acme.names(hello.ServerName):
		got, err := c.acme.manager.GetCertificate(hello)
		c.note(strings.ToLower(strings.TrimSuffix(hello.ServerName, ".")), got, err)
		return got, err
	case c.own != nil:
		got, err := c.own.show(hello)
		c.note(ownName, got, err)
		return got, err
	}
	return nil, errNoCertificate
}

func (c *certificates) note(name string, got *tls.Certificate, err error) {
	if err != nil || got.Leaf == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until[name] = got.Leaf.NotAfter
}

// challenged answers an authority's HTTP challenges before the doors.
func (c *certificates) challenged(doors http.Handler) http.Handler {
	if c.acme == nil {
		return doors
	}
	return c.acme.challenged(doors)
}

// pair is a certificate and its key in two files, which are read again when
// they change. It is safe for use by several goroutines.
type pair struct {
	certificate, key string
	log              *slog.Logger

	mu    sync.Mutex
	as    [2]stamp // of the files when they were last read
	shown *tls.Certificate
}

// stamp tells a file from a later one in its place.
type stamp struct {
	at   time.Time
	size int64
}

// openPair reads the files for the first time.
func openPair(certificate, key string, log *slog.Logger) (*pair, error) {
	p := &pair{certificate: certificate, key: key, log: log}
	as, err := p.stamps()
	if err != nil {
		return nil, err
	}
	read, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	p.as, p.shown = as, &read
	return p, nil
}

func (p *pair) stamps() (as [2]stamp, err error) {
	for i, path := range []string{p.certificate, p.key} {
		info, err := os.Stat(path)
		if err != nil {
			return as, err
		}
		as[i] = stamp{info.ModTime(), info.Size()}
	}
	return as, nil
}

// show is the certificate as the files have it now, or the last one that could
// be read: files change one after the other, and sometimes for the worse.
func (p *pair) show(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	as, err := p.stamps()
	if errors.Is(err, fs.ErrNotExist) || err == nil && as == p.as {
		return p.shown, nil
	}
	read, readErr := tls.LoadX509KeyPair(p.certificate, p.key)
	if err = errors.Join(err, readErr); err != nil {
		p.log.Warn("a changed certificate cannot be read; the one before it is shown", "certificate", p.certificate, "key", p.key, "err", err)
		p.as = as // said once for each change
		return p.shown, nil
	}
	p.log.Info("a changed certificate is shown from now on", "certificate", p.certificate, "until", read.Leaf.NotAfter)
	p.as, p.shown = as, &read
	return p.shown, nil
}
