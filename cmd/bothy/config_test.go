package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// load reads a configuration from a file's text, variables and arguments.
func load(t *testing.T, file string, env map[string]string, args ...string) (Config, error) {
	t.Helper()
	flags := pflag.NewFlagSet("up", pflag.ContinueOnError)
	addSettings(flags)
	if file != "" {
		path := filepath.Join(t.TempDir(), "bothy.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return loadConfig(flags, func(name string) string { return env[name] })
}

func TestDefaultsAreValid(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestFlagsWinOverVariablesOverFileOverDefaults(t *testing.T) {
	const file = `
http: {addr: "127.0.0.1:1001"}
peer: {addr: "127.0.0.1:1002"}
gossip: {addr: "127.0.0.1:1003"}
computer: {memory: 512MiB}
`
	env := map[string]string{"BOTHY_PEER": "127.0.0.1:2002", "BOTHY_GOSSIP": "127.0.0.1:2003"}
	c, err := load(t, file, env, "--gossip", "127.0.0.1:3003")
	if err != nil {
		t.Fatal(err)
	}
	for name, is := range map[string][2]string{
		"ops by default":      {c.Ops.Addr, DefaultConfig().Ops.Addr},
		"http by the file":    {c.HTTP.Addr, "127.0.0.1:1001"},
		"peer by a variable":  {c.Peer.Addr, "127.0.0.1:2002"},
		"gossip by a flag":    {c.Gossip.Addr, "127.0.0.1:3003"},
		"memory by the file":  {c.Computer.Memory.String(), "512MiB"},
		"disk by its default": {c.Computer.Disk.String(), "10GiB"},
	} {
		if is[0] != is[1] {
			t.Errorf("%s: %s, want %s", name, is[0], is[1])
		}
	}
}

func TestEveryMistakeIsReportedAtOnce(t *testing.T) {
	_, err := load(t, `
http: {addr: "8080", publicURL: "ftp://x", domain: "-x"}
gossip: {addr: "0.0.0.0:7080"}
ssh: {addr: "2222", publicAddr: ":22", tlsCert: x}
limits: {computerAgents: 0}
accounts: {startBalance: -1}
prices: {cpuHour: -1}
computer: {image: "", memory: 1MiB, milliCPU: 1, disk: 0, warm: 99}
volumes: {size: 1KiB, grow: 0}
tls: {addr: x, key: y, acme: {domains: ["*.x.org", "localhost"], directory: "http://ca.example.org"}}
bootstrap: {nodes: ["http://a:1", "http://a:1", "a:2", "http://a/b"]}
log: {level: loud, format: xml}
blob: {directory: here, uploads: 99, bandwidth: 1}
models: {default: gpt-0}
`, nil)
	if err == nil {
		t.Fatal("it was taken")
	}
	for _, name := range []string{"http.addr", "http.publicURL", "http.domain", "gossip.addr", "limits.computerAgents", "ssh.addr", "ssh.publicAddr", "ssh.tlsCert",
		"accounts.startBalance", "prices", "computer.image", "computer.memory", "computer.milliCPU", "computer.disk",
		"computer.warm", "volumes.size", "volumes.grow", "log.level", "log.format", "blob.directory", "blob.uploads", "blob.bandwidth", "models.default",
		"bootstrap.nodes[1]", "bootstrap.nodes[2]", "bootstrap.nodes[3]", "tls.addr", "tls.certificate", "tls.acme.domains[0]", "tls.acme.domains[1]", "tls.acme.directory", "bootstrap.adminKeyFile"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("nothing is said about %s", name)
		}
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	for name, file := range map[string]string{
		"a mistyped key":                   "limit: {computerAgents: 5}",
		"a token in a file":                "join: bothy1.x",
		"a size without unit that is none": "computer: {memory: lots}",
		"two documents":                    "log: {level: info}\n---\nlog: {level: info}",
		"no YAML":                          "{",
		"a list":                           "- 1",
		"more than the bound":              "# " + strings.Repeat("x", maxConfigBytes),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := load(t, file, nil); err == nil {
				t.Error("it was taken")
			}
		})
	}
}

func TestKeysToABucketAreVariables(t *testing.T) {
	const file = `blob: {s3: {endpoint: "https://storage.googleapis.com", bucket: b, accessKey: file, secretKey: file}}`
	c, err := load(t, file, map[string]string{"BOTHY_S3_ACCESS_KEY": "a", "BOTHY_S3_SECRET_KEY": "s"})
	if err != nil || c.Blob.S3.AccessKey != "a" || c.Blob.S3.SecretKey != "s" {
		t.Errorf("%+v, %v", c.Blob, err)
	}
	for name, file := range map[string]string{
		"blob.s3.bucket": "blob: {s3: {endpoint: https://s3.example.org}}",
		"endpoint":       "blob: {s3: {endpoint: s3.example.org, bucket: b}}",
		"secret key":     "blob: {s3: {endpoint: https://s3.example.org, bucket: b, accessKey: a}}",
		"not both":       "blob: {directory: /x, s3: {endpoint: https://s3.example.org, bucket: b}}",
	} {
		if _, err := load(t, file, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestMirrorsHaveNoCredentials(t *testing.T) {
	for value, taken := range map[string]bool{
		"https://pypi.example.org/simple": true, "https://pypi.example.org/simple?user@x": true, "git@example.org:a/b": true, "off": true,
		"https://example.org/@scope/pkg": true, "https://ann:secret@pypi.example.org/simple": false, "https://token@example.org": false,
		"https://goproxy.example.org,https://ann:s@go.example.org,direct": false, "http://:pw@[::1]:80/": false,
	} {
		_, err := load(t, fmt.Sprintf("build: {env: {PIP_INDEX_URL: %q}}", value), nil)
		if taken != (err == nil) {
			t.Errorf("%s: %v", value, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "build.env: PIP_INDEX_URL") || strings.Contains(err.Error(), "secret")) {
			t.Errorf("it says %v", err)
		}
	}
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]Bytes{"0": 0, "1": 1, "1KiB": 1024, "1536MiB": 1536 << 20, "2GiB": 2 << 30, "3TiB": 3 << 40} {
		got, err := parseBytes(text)
		if err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", text, got, err, want)
		}
		if again, err := parseBytes(got.String()); err != nil || again != got {
			t.Errorf("%s: written as %s, which reads %d, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "GiB", "-1", "1.5GiB", "1GB", "9999999999TiB", "99999999999999999999", "1 GiB GiB", "0x10"} {
		if got, err := parseBytes(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}

func TestPortsOfTheSameMachineDoNotCollide(t *testing.T) {
	c := DefaultConfig()
	taken := map[string]string{}
	for i := range maxFleet {
		for _, l := range c.listeners() {
			addr, err := shifted(l.addr, i, true)
			if err != nil {
				t.Fatal(err)
			}
			port := addr[strings.LastIndex(addr, ":"):]
			if other := taken[port]; other != "" {
				t.Errorf("node %d: %s has the port of %s", i, l.name, other)
			}
			taken[port] = l.name
		}
	}
}
