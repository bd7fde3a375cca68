package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/crypto/acme"
	"gopkg.in/yaml.v3"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/actors/agent/catalog"
	"github.com/bothy-computer/bothy/actors/ledger"
	"github.com/bothy-computer/bothy/httpapi/computeragents"
	"github.com/bothy-computer/bothy/runtime/build"
	"github.com/bothy-computer/bothy/runtime/snapshot"
	"github.com/bothy-computer/bothy/runtime/volume"
)

// Config is everything an operator may set. Flags win over the environment,
// the environment over the file, and the file over [DefaultConfig], which is
// the only place with defaults. Money is in millionths of a dollar. The comments
// of its fields are the configuration reference (reference.yaml).
type Config struct {
	Node      NodeConfig      `yaml:"node"`
	HTTP      HTTPConfig      `yaml:"http"`
	TLS       TLSConfig       `yaml:"tls"`
	SSH       SSHConfig       `yaml:"ssh"`
	Peer      ListenConfig    `yaml:"peer"`   // where other nodes are served, by mutual TLS
	Gossip    ListenConfig    `yaml:"gossip"` // where other nodes gossip, UDP and TCP, encrypted
	Ops       ListenConfig    `yaml:"ops"`    // metrics and profiles, no key asked: keep it private
	Join      string          `yaml:"-"`      // a token; a secret has no place in a file
	Bootstrap BootstrapConfig `yaml:"bootstrap"`
	Limits    LimitsConfig    `yaml:"limits"`
	Models    catalog.Config  `yaml:"models"`
	// Prices are in millionths of a dollar.
	Prices   ledger.ComputerPrice `yaml:"prices"`
	Accounts AccountConfig        `yaml:"accounts"`
	Computer ComputerConfig       `yaml:"computer"`
	Volumes  VolumeConfig         `yaml:"volumes"`
	Images   ImagesConfig         `yaml:"images"`
	Blob     BlobConfig           `yaml:"blob"`
	Build    BuildConfig          `yaml:"build"`
	Outside  OutsideConfig        `yaml:"outside"`
	Log      LogConfig            `yaml:"log"`
	Tracing  TracingConfig        `yaml:"tracing"`
}

// NodeConfig says which node this is.
type NodeConfig struct {
	ID        string `yaml:"id"`        // display name; "" is the stored one, at first the base name of dir
	Dir       string `yaml:"dir"`       // everything the node keeps; without it ./data, or this where computers could not reach that
	Advertise string `yaml:"advertise"` // host that other nodes reach this one by; "" is found
}

// HTTPConfig is where clients are served.
type HTTPConfig struct {
	Addr      string `yaml:"addr"`      // host:port, plain HTTP
	PublicURL string `yaml:"publicURL"` // of the cluster, in replies; "" is the URL that the request used
	Domain    string `yaml:"domain"`    // of published ports, by wildcard DNS; "" is none
}

// TLSConfig is where clients are served by TLS, beside plain HTTP.
type TLSConfig struct {
	Addr string `yaml:"addr"` // host:port, HTTP/1.1 and HTTP/2 in TLS, or off
	// Certificate is a PEM file with the chain; when it changes it is read again.
	// Published ports at names below http.domain need a wildcard in it.
	Certificate string     `yaml:"certificate"`
	Key         string     `yaml:"key"` // PEM file of its key
	ACME        ACMEConfig `yaml:"acme"`
}

// ACMEConfig has an authority such as Let's Encrypt certify names. The nodes
// keep its certificates together, sealed in the records, so any of them takes
// the authority's challenges and one certificate is enough for all.
type ACMEConfig struct {
	// Domains are the names to be certified, no wildcards; none means no ACME. The
	// authority must reach port 443 of them at tls.addr, or port 80 at http.addr.
	// Naming one means that you agree to the authority's terms.
	Domains   []string `yaml:"domains"`
	Email     string   `yaml:"email"`     // that the authority may write to; "" is none
	Directory string   `yaml:"directory"` // URL of the authority's directory
}

// SSHConfig is where clients of computers log in, by SSH or by SSH inside TLS.
type SSHConfig struct {
	Addr       string `yaml:"addr"`       // host:port, or off
	PublicAddr string `yaml:"publicAddr"` // host:port in replies; "" is that of the HTTP request with this port
	TLSCert    string `yaml:"tlsCert"`    // PEM file of the certificate shown inside TLS; "" is one that nobody can verify
	TLSKey     string `yaml:"tlsKey"`     // PEM file of its key
}

// off is the address of a door that is not opened.
const off = "off"

// ListenConfig is an address of the node.
type ListenConfig struct {
	Addr string `yaml:"addr"` // host:port to listen on; port 0 picks a free one
}

// BootstrapConfig lets nodes that start together find each other: the same on
// all of them.
type BootstrapConfig struct {
	// Nodes are the HTTP URLs of all nodes, this one's among them. A node that
	// belongs to no cluster joins the one that any of them belongs to. When all
	// of them belong to none, the first makes a new cluster; while one of them
	// does not answer, all wait. None means that this node makes one by itself.
	Nodes []string `yaml:"nodes"`
	// AdminKeyFile holds the text of the cluster's first key, which lets nodes
	// join: 42 to 128 letters and digits. Nodes send it to those URLs, so
	// let these be https, or of a network that you trust. Without nodes it is
	// optional: a key is made, in admin.key of the first node's directory.
	AdminKeyFile string `yaml:"adminKeyFile"`
}

// LimitsConfig is how many requests of a dialect a key may make in 15 minutes.
type LimitsConfig struct {
	ComputerAgents int `yaml:"computerAgents"` // of the Computer Agents dialect
}

// AccountConfig is what new accounts begin with.
type AccountConfig struct {
	StartBalance ledger.MicroUSD `yaml:"startBalance"` // in millionths of a dollar
}

// ComputerConfig is the shape of a computer that names none.
type ComputerConfig struct {
	Image    string `yaml:"image"`    // host is this machine's own programs; debian, desktop, or one that was imported or pulled
	Memory   Bytes  `yaml:"memory"`   // such as 512MiB
	MilliCPU int64  `yaml:"milliCPU"` // 1000 is one core
	Disk     Bytes  `yaml:"disk"`     // of its own layer and workspace together
	Warm     int    `yaml:"warm"`     // blank computers kept ready
	// Idle is how long computers may be unused before they are stopped; their
	// next use wakes them. 0 is never.
	Idle IdleConfig `yaml:"idle"`
}

// IdleConfig is by what a computer was made for.
type IdleConfig struct {
	Environments time.Duration `yaml:"environments"` // of environments, such as 15m
	Computers    time.Duration `yaml:"computers"`    // that stand alone
}

// ImagesConfig says where images come from.
type ImagesConfig struct {
	// Sources is, for the images that a node makes by itself, a file of package sources of Debian's, in a format of apt's;
	// "" means those of this machine.
	Sources string `yaml:"sources"`
	// Insecure are the registries, each a host or host:port, that images are pulled
	// from although they lack TLS. Those at private addresses are outside.allow's.
	Insecure []string `yaml:"insecure"`
}

// BuildConfig is how environments' images are built.
type BuildConfig struct {
	// Base is the image that testbase-base stands for, the base of an environment
	// that names none; "" is computer.image.
	Base      string        `yaml:"base"`
	Memory    Bytes         `yaml:"memory"`    // of the computer that a step runs in
	MilliCPU  int64         `yaml:"milliCPU"`  // of that computer; 1000 is one core
	Disk      Bytes         `yaml:"disk"`      // of that computer
	Processes int64         `yaml:"processes"` // at once in that computer
	Limit     time.Duration `yaml:"limit"`     // of one build
	// Env are variables that every step sees and can print, so URLs in it have no
	// credentials: the mirrors that installers are to use, such as PIP_INDEX_URL.
	Env map[string]string `yaml:"env"`
	// Runtimes are the versions that can be asked for, by language; none means
	// the usual ones.
	Runtimes map[string][]string `yaml:"runtimes"`
	// Archives are URLs of .tar.gz files with a language, {version} and {arch}
	// filled in; others are installed of the distribution's packages or by mise.
	Archives map[string]string `yaml:"archives"`
}

// VolumeConfig sizes the pool that computers' data is in.
type VolumeConfig struct {
	Size Bytes `yaml:"size"` // at first
	Grow Bytes `yaml:"grow"` // added when less than two of it are free
}

// OutsideConfig is about what the node connects to because a user named it,
// such as MCP servers and registries of images: no private, link-local or node address.
type OutsideConfig struct {
	Allow []string `yaml:"allow"` // addresses and CIDRs that are reached all the same
}

// LogConfig says what the node logs, on standard error.
type LogConfig struct {
	Level  string `yaml:"level"`  // debug, info, warn, error
	Format string `yaml:"format"` // text, json
}

// TracingConfig says where the spans of requests and runs are sent.
type TracingConfig struct {
	Endpoint string            `yaml:"endpoint"` // URL of a collector that takes OTLP over HTTP; "" traces nothing
	Ratio    float64           `yaml:"ratio"`    // of the requests that are traced, 0 to 1, where their client does not say
	Headers  map[string]string `yaml:"headers"`  // sent with the spans
}

// DefaultConfig is a node on this machine.
func DefaultConfig() Config {
	return Config{
		Node: NodeConfig{Dir: defaultDir()},
		// Clients of other machines and of this one's computers use it, and
		// every request needs a key; the banner says how to keep it local.
		HTTP: HTTPConfig{Addr: "0.0.0.0:8080"},
		TLS:  TLSConfig{Addr: off, ACME: ACMEConfig{Directory: acme.LetsEncryptURL}},
		// Nobody gets in but by a key that an account registered or a
		// certificate that the cluster signed.
		SSH:    SSHConfig{Addr: "0.0.0.0:2222"},
		Peer:   ListenConfig{Addr: "0.0.0.0:7080"},
		Gossip: ListenConfig{Addr: "0.0.0.0:7180"},
		Ops:    ListenConfig{Addr: "127.0.0.1:7280"},
		Limits: LimitsConfig{ComputerAgents: computeragents.DefaultRequests},
		Prices: ledger.ComputerPrice{
			CPUHour: 70_000, MemoryGiBHour: 43_750, StorageGiBHour: 683, ColdGiBHour: 27,
		},
		Accounts: AccountConfig{StartBalance: 10 * ledger.USD},
		Computer: ComputerConfig{Image: "host", Memory: 2 << 30, MilliCPU: 2000, Disk: 10 << 30, Warm: 2,
			Idle: IdleConfig{Environments: 15 * time.Minute}},
		Build:   BuildConfig{Memory: 4 << 30, MilliCPU: 2000, Disk: 20 << 30, Processes: 4096, Limit: actors.DefaultBuildLimit, Runtimes: build.DefaultRuntimes()},
		Volumes: VolumeConfig{Size: volume.DefaultSizeBytes, Grow: volume.DefaultGrowBytes},
		Blob:    BlobConfig{Uploads: snapshot.DefaultUploads},
		Log:     LogConfig{Level: "info", Format: "text"},
		Tracing: TracingConfig{Ratio: 1},
	}
}

// maxConfigBytes bounds a configuration file.
const maxConfigBytes = 1 << 20

// readFile lays a file over the configuration. A key that Config does not know
// is an error, because a mistyped limit would otherwise be no limit.
func (c *Config) readFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfigBytes+1))
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	if len(text) > maxConfigBytes {
		return fmt.Errorf("read the configuration: %s is larger than %d bytes", path, maxConfigBytes)
	}
	return c.parse(path, text)
}

func (c *Config) parse(path string, text []byte) error {
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(c); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("read %s: it holds more than one document", path)
	}
	return nil
}
