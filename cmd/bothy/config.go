package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

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
// the only place with defaults. Money is in millionths of a dollar.
type Config struct {
	Node     NodeConfig           `yaml:"node"`
	HTTP     HTTPConfig           `yaml:"http"`
	SSH      SSHConfig            `yaml:"ssh"`
	Peer     ListenConfig         `yaml:"peer"`   // other nodes, mutual TLS
	Gossip   ListenConfig         `yaml:"gossip"` // other nodes, UDP and TCP, encrypted
	Ops      ListenConfig         `yaml:"ops"`    // metrics and profiles, no key asked
	Join     string               `yaml:"-"`      // a token; a secret has no place in a file
	Limits   LimitsConfig         `yaml:"limits"`
	Models   catalog.Config       `yaml:"models"`
	Prices   ledger.ComputerPrice `yaml:"prices"`
	Accounts AccountConfig        `yaml:"accounts"`
	Computer ComputerConfig       `yaml:"computer"`
	Volumes  VolumeConfig         `yaml:"volumes"`
	Images   ImagesConfig         `yaml:"images"`
	Blob     BlobConfig           `yaml:"blob"`
	Build    BuildConfig          `yaml:"build"`
	Outside  OutsideConfig        `yaml:"outside"`
	Log      LogConfig            `yaml:"log"`
}

// NodeConfig says which node this is.
type NodeConfig struct {
	ID        string `yaml:"id"`        // display name; "" is the stored one, at first the base name of dir
	Dir       string `yaml:"dir"`       // everything the node keeps
	Advertise string `yaml:"advertise"` // host that other nodes reach this one by; "" is found
}

// HTTPConfig is where clients are served.
type HTTPConfig struct {
	Addr      string `yaml:"addr"`      // host:port, plain HTTP
	PublicURL string `yaml:"publicURL"` // in replies; "" is the URL that the request used
	Domain    string `yaml:"domain"`    // of published ports, by wildcard DNS; "" is none
}

// SSHConfig is where clients of computers log in, by SSH or by SSH inside TLS.
type SSHConfig struct {
	Addr       string `yaml:"addr"`       // host:port, or off
	PublicAddr string `yaml:"publicAddr"` // host:port in replies; "" is that of the HTTP request with this port
	TLSCert    string `yaml:"tlsCert"`    // PEM file of the certificate shown inside TLS; "" is one that nobody can verify
	TLSKey     string `yaml:"tlsKey"`     // PEM file of its key
}

// sshOff is the address of a node that serves no SSH.
const sshOff = "off"

// ListenConfig is host:port to listen on; port 0 picks a free one.
type ListenConfig struct {
	Addr string `yaml:"addr"`
}

// LimitsConfig is how many requests of a dialect a key may make in 15 minutes.
type LimitsConfig struct {
	ComputerAgents int `yaml:"computerAgents"`
}

// AccountConfig is what new accounts begin with.
type AccountConfig struct {
	StartBalance ledger.MicroUSD `yaml:"startBalance"`
}

// ComputerConfig is the shape of a computer that names none.
type ComputerConfig struct {
	Image    string `yaml:"image"`
	Memory   Bytes  `yaml:"memory"`
	MilliCPU int64  `yaml:"milliCPU"` // 1000 is one core
	Disk     Bytes  `yaml:"disk"`
	Warm     int    `yaml:"warm"` // blank computers kept ready
	// Idle is how long computers may be unused before they are stopped; their
	// next use wakes them. 0 is never.
	Idle IdleConfig `yaml:"idle"`
}

// IdleConfig is by what a computer was made for.
type IdleConfig struct {
	Environments time.Duration `yaml:"environments"`
	Computers    time.Duration `yaml:"computers"` // that stand alone
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
	Base string `yaml:"base"`
	// Memory, MilliCPU, Disk and Processes bound the computer that a step runs in.
	Memory    Bytes         `yaml:"memory"`
	MilliCPU  int64         `yaml:"milliCPU"`
	Disk      Bytes         `yaml:"disk"`
	Processes int64         `yaml:"processes"`
	Limit     time.Duration `yaml:"limit"` // of one build
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

// DefaultConfig is a node on this machine.
func DefaultConfig() Config {
	return Config{
		Node: NodeConfig{Dir: defaultDir()},
		// Clients of other machines and of this one's computers use it, and
		// every request needs a key; the banner says how to keep it local.
		HTTP: HTTPConfig{Addr: "0.0.0.0:8080"},
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
