package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// setting is what may be set without a file: by a flag, or by a variable for
// whoever starts bothy from a service manager.
type setting struct {
	flag, variable, usage string
	field                 func(*Config) any // a *string, or a *[]string that is written with commas
}

func (s setting) set(c *Config, text string) {
	switch field := s.field(c).(type) {
	case *string:
		*field = text
	case *[]string:
		*field = strings.Split(text, ",")
	}
}

func (s setting) get(c *Config) string {
	if list, ok := s.field(c).(*[]string); ok {
		return strings.Join(*list, ",")
	}
	return *s.field(c).(*string)
}

var settings = []setting{
	{"data-dir", "BOTHY_DATA_DIR", "directory of everything the node keeps", func(c *Config) any { return &c.Node.Dir }},
	{"id", "BOTHY_ID", "name of the node (default: the base name of its data directory)", func(c *Config) any { return &c.Node.ID }},
	{"advertise", "BOTHY_ADVERTISE", "host that other nodes reach this one by (default: found)", func(c *Config) any { return &c.Node.Advertise }},
	{"http", "BOTHY_HTTP", "host:port for clients", func(c *Config) any { return &c.HTTP.Addr }},
	{"tls", "BOTHY_TLS", "host:port for clients by TLS, or off", func(c *Config) any { return &c.TLS.Addr }},
	{"tls-cert", "BOTHY_TLS_CERT", "PEM file of the certificate for TLS", func(c *Config) any { return &c.TLS.Certificate }},
	{"tls-key", "BOTHY_TLS_KEY", "PEM file of its key", func(c *Config) any { return &c.TLS.Key }},
	{"acme", "BOTHY_ACME", "names to have certified by ACME, with commas", func(c *Config) any { return &c.TLS.ACME.Domains }},
	{"ssh", "BOTHY_SSH", "host:port for SSH to computers, or off", func(c *Config) any { return &c.SSH.Addr }},
	{"peer", "BOTHY_PEER", "host:port for other nodes", func(c *Config) any { return &c.Peer.Addr }},
	{"gossip", "BOTHY_GOSSIP", "host:port for gossip with other nodes, UDP and TCP", func(c *Config) any { return &c.Gossip.Addr }},
	{"ops", "BOTHY_OPS", "host:port for metrics and profiles; keep it private", func(c *Config) any { return &c.Ops.Addr }},
	{"public-url", "BOTHY_PUBLIC_URL", "URL that clients reach the cluster by (default: what each request used)", func(c *Config) any { return &c.HTTP.PublicURL }},
	{"domain", "BOTHY_DOMAIN", "domain with wildcard DNS for published ports", func(c *Config) any { return &c.HTTP.Domain }},
	{"blob-dir", "BOTHY_BLOB_DIR", "directory that all nodes share, where disks of computers are saved", func(c *Config) any { return &c.Blob.Directory }},
	{"bootstrap", "BOTHY_BOOTSTRAP", "URLs of all nodes, this one's among them, that make one cluster without a token", func(c *Config) any { return &c.Bootstrap.Nodes }},
	{"admin-key-file", adminKeyVariable, "file of the first key of a cluster that is made", func(c *Config) any { return &c.Bootstrap.AdminKeyFile }},
	{"join", joinVariable, "token of the cluster to join, from `bothy token` there", func(c *Config) any { return &c.Join }},
}

// adminKeyVariable names the file of the first key, where an operator chose it.
const adminKeyVariable = "BOTHY_ADMIN_KEY_FILE"

// joinVariable holds a token to join by.
const joinVariable = "BOTHY_JOIN"

// isSetting reports whether a variable sets what a flag sets.
func isSetting(variable string) bool {
	return variable == configVariable || slices.ContainsFunc(settings, func(s setting) bool { return s.variable == variable })
}

// configVariable names the configuration file where --config does not.
const configVariable = "BOTHY_CONFIG"

// addSettings gives a command a flag for each setting, and --config.
func addSettings(flags *pflag.FlagSet) {
	defaults := DefaultConfig()
	flags.String("config", "", "YAML file of settings, and of limits, models and prices (variable "+configVariable+")")
	for _, s := range settings {
		flags.String(s.flag, s.get(&defaults), s.usage+" (variable "+s.variable+")")
	}
}

// loadConfig lays file, environment and flags over the defaults and checks
// what comes of it.
func loadConfig(flags *pflag.FlagSet, getenv func(string) string) (Config, error) {
	c := DefaultConfig()
	if path := configPath(flags, getenv); path != "" {
		if err := c.readFile(path); err != nil {
			return c, err
		}
	}
	for _, s := range settings {
		if value := getenv(s.variable); value != "" {
			s.set(&c, value)
		}
		if f := flags.Lookup(s.flag); f != nil && f.Changed {
			s.set(&c, f.Value.String())
		}
	}
	c.Blob.S3.readKeys(getenv)
	if err := c.Validate(); err != nil {
		return c, err
	}
	dir, err := filepath.Abs(c.Node.Dir)
	c.Node.Dir = dir
	return c, err
}

// configPath is the configuration file, or "".
func configPath(flags *pflag.FlagSet, getenv func(string) string) string {
	if f := flags.Lookup("config"); f != nil && f.Changed {
		return f.Value.String()
	}
	return getenv(configVariable)
}

// Where a node keeps its data when it is told nothing.
const (
	localDir  = "data" // below the working directory
	systemDir = "/var/lib/bothy"
)

// defaultDir is ./data, or systemDir where computers could not reach their
// files in ./data: their users are nobody on this machine, and a home
// directory such as /root is often closed to others.
func defaultDir() string {
	dir, err := filepath.Abs(localDir)
	if err != nil || !passable(filepath.Dir(dir)) {
		return systemDir
	}
	return dir
}

// passable reports whether others may walk through dir and all above it.
func passable(dir string) bool {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}
