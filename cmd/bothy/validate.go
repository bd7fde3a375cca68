package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/actors/agent/catalog"
	"github.com/bothy-computer/bothy/actors/agent/executor"
	"github.com/bothy-computer/bothy/runtime/container"
	"github.com/bothy-computer/bothy/runtime/image"
)

// Bounds of what may be configured.
const (
	minComputerMemory = 64 << 20
	minComputerDisk   = 64 << 20
	minVolumeSize     = 256 << 20
	maxRequests       = 100_000_000
	maxACMEDomains    = 20
	minIdle           = 10 * time.Second
	maxIdle           = 30 * 24 * time.Hour
)

var legalDomain = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(:[0-9]{1,5})?$`)

// Validate reports every mistake at once, named as the operator wrote it.
func (c Config) Validate() error {
	return errors.Join(c.checkNode(), c.checkBootstrap(), c.checkAddresses(), c.checkTLS(), c.checkSSH(), c.checkAmounts(), c.checkComputers(), c.checkBuild(), c.Blob.check(), c.checkOutside(), c.checkLog(), c.checkTracing(), c.checkModels())
}

func (c Config) checkNode() error {
	var errs []error
	if c.Node.Dir == "" {
		errs = append(errs, errors.New("node.dir is required"))
	}
	if strings.ContainsAny(c.Node.Advertise, " /:[]") && net.ParseIP(c.Node.Advertise) == nil {
		errs = append(errs, fmt.Errorf("node.advertise: %q is not a host name or address (without a port)", c.Node.Advertise))
	}
	if c.HTTP.PublicURL != "" {
		u, err := url.Parse(c.HTTP.PublicURL)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
			errs = append(errs, fmt.Errorf("http.publicURL: %q is not a URL such as https://bothy.example.org", c.HTTP.PublicURL))
		}
	}
	if c.HTTP.Domain != "" && !legalDomain.MatchString(c.HTTP.Domain) {
		errs = append(errs, fmt.Errorf("http.domain: %q is not a domain name such as ports.example.org", c.HTTP.Domain))
	}
	return errors.Join(errs...)
}

func (c Config) checkBootstrap() error {
	var errs []error
	b := c.Bootstrap
	if len(b.Nodes) > maxBootstrap {
		errs = append(errs, fmt.Errorf("bootstrap.nodes: %d URLs; it has at most %d", len(b.Nodes), maxBootstrap))
	}
	for i, text := range b.Nodes {
		u, err := url.Parse(text)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil || u.Fragment != "" {
			errs = append(errs, fmt.Errorf("bootstrap.nodes[%d]: %q is not a node's URL such as http://n1.example.org:8080", i, text))
			continue
		}
		if slices.Contains(b.Nodes[:i], text) {
			errs = append(errs, fmt.Errorf("bootstrap.nodes[%d]: %s is listed twice", i, text))
		}
	}
	switch {
	case len(b.Nodes) > 0 && b.AdminKeyFile == "":
		errs = append(errs, errors.New("bootstrap.nodes needs bootstrap.adminKeyFile, the same key on all nodes: it lets them join"))
	case len(b.Nodes) > 0 && c.Join != "":
		errs = append(errs, errors.New("--join and bootstrap.nodes are two ways into a cluster: take one"))
	}
	return errors.Join(errs...)
}

// listener is an address that the node listens on, by its name in the file.
type listener struct{ name, addr string }

func (c Config) listeners() []listener {
	all := []listener{
		{"http.addr", c.HTTP.Addr}, {"peer.addr", c.Peer.Addr}, {"gossip.addr", c.Gossip.Addr}, {"ops.addr", c.Ops.Addr},
	}
	for _, l := range []listener{{"tls.addr", c.TLS.Addr}, {"ssh.addr", c.SSH.Addr}} {
		if l.addr != off {
			all = append(all, l)
		}
	}
	return all
}

func (c Config) checkAddresses() error {
	var errs []error
	all := c.listeners()
	for i, l := range all {
		_, port, err := net.SplitHostPort(l.addr)
		if _, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil {
			errs = append(errs, fmt.Errorf("%s: %q is not host:port", l.name, l.addr))
			continue
		}
		for _, other := range all[:i] {
			if collide(l.addr, other.addr) {
				errs = append(errs, fmt.Errorf("%s: %s is %s's already", l.name, l.addr, other.name))
			}
		}
	}
	return errors.Join(errs...)
}

func (c Config) checkTLS() error {
	var errs []error
	t := c.TLS
	if (t.Certificate == "") != (t.Key == "") {
		errs = append(errs, errors.New("tls.certificate and tls.key are given together or not at all"))
	}
	if on := t.Addr != off; on != (t.Certificate != "" || len(t.ACME.Domains) > 0) {
		errs = append(errs, errors.New("tls.addr is off, or it needs a certificate: tls.certificate and tls.key, or tls.acme.domains"))
	}
	for i, name := range t.ACME.Domains {
		if !legalDomain.MatchString(name) || strings.Contains(name, ":") || !strings.Contains(name, ".") {
			errs = append(errs, fmt.Errorf("tls.acme.domains[%d]: %q is not a name such as bothy.example.org; wildcards need tls.certificate", i, name))
		}
	}
	if n := len(t.ACME.Domains); n > maxACMEDomains {
		errs = append(errs, fmt.Errorf("tls.acme.domains: %d names; it has at most %d", n, maxACMEDomains))
	}
	if u, err := url.Parse(t.ACME.Directory); err != nil || u.Host == "" || u.Scheme != "https" {
		errs = append(errs, fmt.Errorf("tls.acme.directory: %q is not an https URL", t.ACME.Directory))
	}
	return errors.Join(errs...)
}

func (c Config) checkSSH() error {
	var errs []error
	if at := c.SSH.PublicAddr; at != "" {
		host, port, err := net.SplitHostPort(at)
		if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || n == 0 || host == "" {
			errs = append(errs, fmt.Errorf("ssh.publicAddr: %q is not host:port such as ssh.example.org:22", at))
		}
	}
	if (c.SSH.TLSCert == "") != (c.SSH.TLSKey == "") {
		errs = append(errs, errors.New("ssh.tlsCert and ssh.tlsKey are given together or not at all"))
	}
	return errors.Join(errs...)
}

// collide reports whether two addresses cannot both be listened on.
func collide(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	return errA == nil && errB == nil && portA == portB && portA != "0" &&
		(hostA == hostB || everywhere(hostA) || everywhere(hostB))
}

func (c Config) checkAmounts() error {
	var errs []error
	if n := c.Limits.ComputerAgents; n < 1 || n > maxRequests {
		errs = append(errs, fmt.Errorf("limits.computerAgents: %d requests; it is 1 to %d", n, maxRequests))
	}
	if min(c.Prices.CPUHour, c.Prices.MemoryGiBHour, c.Prices.StorageGiBHour) < 0 {
		errs = append(errs, errors.New("prices: a price cannot be negative"))
	}
	if c.Accounts.StartBalance < 0 {
		errs = append(errs, errors.New("accounts.startBalance cannot be negative"))
	}
	return errors.Join(errs...)
}

func (c Config) checkComputers() error {
	var errs []error
	for name, d := range map[string]time.Duration{"environments": c.Computer.Idle.Environments, "computers": c.Computer.Idle.Computers} {
		if d != 0 && (d < minIdle || d > maxIdle) {
			errs = append(errs, fmt.Errorf("computer.idle.%s: %s is not 0 (never) or %s to %s", name, d, minIdle, maxIdle))
		}
	}
	for _, size := range []struct {
		name       string
		have, need Bytes
	}{
		{"computer.memory", c.Computer.Memory, minComputerMemory},
		{"computer.disk", c.Computer.Disk, minComputerDisk},
		{"volumes.size", c.Volumes.Size, minVolumeSize},
		{"volumes.grow", c.Volumes.Grow, minVolumeSize},
	} {
		if size.have < size.need {
			errs = append(errs, fmt.Errorf("%s: %s is less than %s", size.name, size.have, size.need))
		}
	}
	if c.Computer.Image == "" {
		errs = append(errs, errors.New("computer.image is required"))
	}
	for i, host := range c.Images.Insecure {
		if plain, err := image.CheckRegistry(host); err != nil || plain != host {
			errs = append(errs, fmt.Errorf("images.insecure[%d]: %q is no host or host:port in lower case", i, host))
		}
	}
	if c.Images.Sources != "" && !filepath.IsAbs(c.Images.Sources) {
		errs = append(errs, fmt.Errorf("images.sources: %q is no absolute path", c.Images.Sources))
	}
	if c.Computer.MilliCPU < 10 {
		errs = append(errs, fmt.Errorf("computer.milliCPU: %d is less than 10, a hundredth of a core", c.Computer.MilliCPU))
	}
	if c.Computer.Warm < 0 || c.Computer.Warm > container.MaxWarm {
		errs = append(errs, fmt.Errorf("computer.warm: %d; it is 0 to %d", c.Computer.Warm, container.MaxWarm))
	}
	return errors.Join(errs...)
}

func (c Config) checkOutside() error {
	var errs []error
	for i, text := range c.Outside.Allow {
		if _, err := parseBlock(text); err != nil {
			errs = append(errs, fmt.Errorf("outside.allow[%d]: %q is no address and no CIDR such as 10.0.0.0/8", i, text))
		}
	}
	return errors.Join(errs...)
}

// parseBlock reads a CIDR, or an address alone.
func parseBlock(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr.Unmap().WithZone(""), addr.Unmap().BitLen()), nil
	}
	return netip.ParsePrefix(text)
}

// prefixes are the blocks of a configuration that was validated.
func (c OutsideConfig) prefixes() []netip.Prefix {
	var blocks []netip.Prefix
	for _, text := range c.Allow {
		if block, err := parseBlock(text); err == nil {
			blocks = append(blocks, block)
		}
	}
	return blocks
}

// What log.level and log.format may be.
var (
	logLevels  = []string{"debug", "info", "warn", "error"}
	logFormats = []string{"text", "json"}
)

func (c Config) checkLog() error {
	var errs []error
	if !slices.Contains(logLevels, c.Log.Level) {
		errs = append(errs, fmt.Errorf("log.level: %q is none of %s", c.Log.Level, strings.Join(logLevels, ", ")))
	}
	if !slices.Contains(logFormats, c.Log.Format) {
		errs = append(errs, fmt.Errorf("log.format: %q is none of %s", c.Log.Format, strings.Join(logFormats, ", ")))
	}
	return errors.Join(errs...)
}

func (c Config) checkModels() error {
	models, err := catalog.New(c.Models, os.Getenv)
	if err == nil {
		err = executor.Check(models)
	}
	return err
}

func (c Config) checkTracing() error {
	var errs []error
	if at := c.Tracing.Endpoint; at != "" {
		u, err := url.Parse(at)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			errs = append(errs, fmt.Errorf("tracing.endpoint: %q is not a URL such as http://127.0.0.1:4318", at))
		}
	}
	if r := c.Tracing.Ratio; !(r >= 0 && r <= 1) {
		errs = append(errs, fmt.Errorf("tracing.ratio: %v; it is 0 to 1", r))
	}
	return errors.Join(errs...)
}
