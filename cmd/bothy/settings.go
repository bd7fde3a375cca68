package main

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/pflag"
)

// setting is what may be set without a file: by a flag, or by a variable for
// whoever starts bothy from a service manager.
type setting struct {
	flag, variable, usage string
	field                 func(*Config) *string
}

var settings = []setting{
	{"data-dir", "BOTHY_DATA_DIR", "directory of everything the node keeps", func(c *Config) *string { return &c.Node.Dir }},
	{"id", "BOTHY_ID", "name of the node (default: the base name of its data directory)", func(c *Config) *string { return &c.Node.ID }},
	{"http", "BOTHY_HTTP", "host:port for clients", func(c *Config) *string { return &c.HTTP.Addr }},
	{"ssh", "BOTHY_SSH", "host:port for SSH to computers, or off", func(c *Config) *string { return &c.SSH.Addr }},
	{"peer", "BOTHY_PEER", "host:port for other nodes", func(c *Config) *string { return &c.Peer.Addr }},
	{"gossip", "BOTHY_GOSSIP", "host:port for gossip with other nodes, UDP and TCP", func(c *Config) *string { return &c.Gossip.Addr }},
	{"ops", "BOTHY_OPS", "host:port for metrics and profiles; keep it private", func(c *Config) *string { return &c.Ops.Addr }},
	{"public-url", "BOTHY_PUBLIC_URL", "URL that clients reach the cluster by (default: what each request used)", func(c *Config) *string { return &c.HTTP.PublicURL }},
	{"domain", "BOTHY_DOMAIN", "domain with wildcard DNS for published ports", func(c *Config) *string { return &c.HTTP.Domain }},
	{"blob-dir", "BOTHY_BLOB_DIR", "directory that all nodes share, where disks of computers are saved", func(c *Config) *string { return &c.Blob.Directory }},
	{"join", joinVariable, "token of the cluster to join, from `bothy token` there", func(c *Config) *string { return &c.Join }},
}

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
		flags.String(s.flag, *s.field(&defaults), s.usage+" (variable "+s.variable+")")
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
			*s.field(&c) = value
		}
		if f := flags.Lookup(s.flag); f != nil && f.Changed {
			*s.field(&c) = f.Value.String()
		}
	}
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
