package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/letsencrypt/challtestsrv"
	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// writePair writes a certificate of its own authority for names.
func writePair(t *testing.T, dir string, serial int64, names ...string) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, key
}

// TestChangedCertificatesAreShown changes the files of a certificate, for the
// better and the worse.
func TestChangedCertificatesAreShown(t *testing.T) {
	dir, out := t.TempDir(), &screen{}
	certificate, key := writePair(t, dir, 1, "a.test")
	p, err := openPair(certificate, key, newLogger(LogConfig{}, out))
	if err != nil {
		t.Fatal(err)
	}
	shows := func(serial int64) {
		t.Helper()
		got, err := p.show(nil)
		if err != nil || got.Leaf.SerialNumber.Int64() != serial {
			t.Fatalf("it shows %v, %v; want %d", got.Leaf.SerialNumber, err, serial)
		}
	}
	shows(1)
	writePair(t, dir, 2, "a.test", "and-another.test")
	shows(2)
	if err := os.WriteFile(certificate, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	shows(2)
	shows(2)
	if n := strings.Count(out.String(), "cannot be read"); n != 1 {
		t.Errorf("it said %d times that the files are bad: %s", n, out)
	}
	if err := os.Remove(certificate); err != nil {
		t.Fatal(err)
	}
	shows(2)
	writePair(t, dir, 3, "a.test")
	shows(3)
	if _, err := openPair(certificate, "/nowhere", newLogger(LogConfig{}, out)); err == nil {
		t.Error("a key that is not there is taken")
	}
}

// authorityForTests is an ACME server that finds every name at this machine,
// at the ports given for its challenges.
func authorityForTests(t *testing.T, httpPort, tlsPort int) (directory string, roots *x509.CertPool) {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "0")
	port := freePorts(t, 1)
	names, err := challtestsrv.New(challtestsrv.Config{DNSAddrs: []string{"127.0.0.1:" + strconv.Itoa(port)}, Log: log.New(io.Discard, "", 0)})
	if err != nil {
		t.Fatal(err)
	}
	names.SetDefaultDNSIPv4("127.0.0.1")
	names.SetDefaultDNSIPv6("")
	go names.Run()
	t.Cleanup(names.Shutdown)
	said := &screen{}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the authority said:\n%s", tail(said.String(), 60))
		}
	})
	quiet := log.New(said, "", 0)
	kept := db.NewMemoryStore()
	issuer := ca.New(quiet, kept, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {}})
	validator := va.New(quiet, httpPort, tlsPort, true, "127.0.0.1:"+strconv.Itoa(port), kept)
	front := wfe.New(quiet, kept, validator, issuer, []string{"pebble.test"}, true, false, 1, 1)
	server := httptest.NewTLSServer(front.Handler())
	t.Cleanup(server.Close)
	trusted := filepath.Join(t.TempDir(), "authority.pem")
	if err := os.WriteFile(trusted, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", trusted) // for the nodes
	roots = x509.NewCertPool()
	root, err := x509.ParseCertificate(issuer.GetRootCert(0).DER)
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(root)
	return server.URL + wfe.DirectoryPath, roots
}

// shownAt connects as a client that asks for a name.
func shownAt(addr, name string, roots *x509.CertPool) (*x509.Certificate, error) {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	conn, err := tls.DialWithDialer(dialer, "tcp", addr, &tls.Config{ServerName: name, RootCAs: roots, NextProtos: []string{"h2"}})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if p := conn.ConnectionState().NegotiatedProtocol; p != "h2" {
		return nil, fmt.Errorf("it speaks %q", p)
	}
	return conn.ConnectionState().PeerCertificates[0], nil
}

// TestTLS has two nodes show one certificate that an authority made for the one
// after it challenged the other, first by TLS, then by HTTP; and for other names
// the operator's own.
func TestTLS(t *testing.T) {
	root := scratchDir(t)
	first, second := newProcess(t, root, "n1"), newProcess(t, root, "n2")
	first.founder, second.founder = first, first
	ports := freePorts(t, 2)
	at := func(i int) string { return "127.0.0.1:" + strconv.Itoa(ports+i) }
	_, httpPort, _ := strings.Cut(strings.TrimPrefix(second.url, "http://"), ":")
	plainPort, _ := strconv.Atoi(httpPort)
	nobody := freePorts(t, 1)

	byTLS, rootsA := authorityForTests(t, nobody, ports+1)
	byHTTP, rootsB := authorityForTests(t, plainPort, nobody)
	configure := func(directory string) {
		t.Helper()
		text := smallNodes + fmt.Sprintf("tls: {acme: {directory: %q}}\n", directory)
		if err := os.WriteFile(filepath.Join(root, "bothy.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure(byTLS)
	certificate, key := writePair(t, root, 7, "*.ports.test")
	plain := first.args
	first.start("")
	first.ready()
	token, err := askToken(t.Context(), first.url, first.dir)
	if err != nil {
		t.Fatal(err)
	}
	second.args = append(second.args, "--tls", at(1), "--acme", "a.test,b.test", "--tls-cert", certificate, "--tls-key", key)
	second.start(token)
	second.ready()

	for _, c := range []struct {
		name, directory string
		roots           *x509.CertPool
	}{{"a.test", byTLS, rootsA}, {"b.test", byHTTP, rootsB}} {
		first.stop()
		configure(c.directory)
		first.args = append(plain[:len(plain):len(plain)], "--tls", at(0), "--acme", c.name)
		first.start("")
		first.ready()
		first.out.shows(t, "clients are shown a certificate by ACME\" name="+c.name, 1)
		here, err := shownAt(at(0), c.name, c.roots)
		if err != nil {
			t.Fatalf("%s at the node that got it: %v", c.name, err)
		}
		there, err := shownAt(at(1), c.name, c.roots)
		if err != nil || there.SerialNumber.Cmp(here.SerialNumber) != 0 {
			t.Fatalf("%s at the other node: %v; want the same certificate", c.name, err)
		}
	}
	for name, p := range map[string]*process{"b.test": first, "a.test": second, ownName: second} {
		reply := p.ask(http.MethodGet, "/metrics?format=prometheus", "")
		text, err := io.ReadAll(reply.Body)
		reply.Body.Close()
		if err != nil || !strings.Contains(string(text), `bothy_tls_certificate_remaining_seconds{name="`+name+`"} `) {
			t.Errorf("%s does not tell how long the certificate of %s lasts: %v", p.name, name, err)
		}
	}
	first.ownCertificates(at(0), second, at(1), certificate)
}

// ownCertificates looks at names that are no authority's.
func (p *process) ownCertificates(at string, other *process, otherAt, certificate string) {
	t := p.t
	t.Helper()
	text, err := os.ReadFile(certificate)
	if err != nil {
		t.Fatal(err)
	}
	own := x509.NewCertPool()
	own.AppendCertsFromPEM(text)
	if got, err := shownAt(otherAt, "8000--box.ports.test", own); err != nil || got.SerialNumber.Int64() != 7 {
		t.Errorf("a published port: %v", err)
	}
	if _, err := shownAt(at, "8000--box.ports.test", own); err == nil {
		t.Error("a node without a certificate for a name shows one")
	}
	calls := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: own}}}
	defer calls.CloseIdleConnections()
	reply, err := calls.Get("https://" + otherAt + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK || reply.Proto != "HTTP/2.0" {
		t.Errorf("/readyz by TLS: %s, %s", reply.Proto, reply.Status)
	}
	t.Setenv("SSL_CERT_FILE", certificate)
	secure := &process{t: t, url: "https://" + otherAt, founder: other.founder}
	if out, code := secure.bothy("status"); code != 0 || !strings.Contains(out, `"ready": true`) {
		t.Errorf("bothy status by TLS: exit %d, %s", code, out)
	}
}
