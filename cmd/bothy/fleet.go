package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

const (
	// maxFleet bounds the nodes of one machine; default ports are a hundred apart.
	maxFleet = 16
	// memberFile is there once a data directory belongs to a cluster.
	memberFile = "cluster.json"
	// foundPatience is how long the first node of a new cluster may take.
	foundPatience = 2 * time.Minute
)

// fleet runs several nodes of one cluster on one machine. It starts them,
// shows what they say, and hands on signals; a node that dies stays dead until
// it is started again by the command that the fleet prints.
type fleet struct {
	t       *terminal
	members []*member
	log     *prefixer
	// token asks the node at a URL, whose data is in dir, to let one more join.
	token func(ctx context.Context, url, dir string) (string, error)
}

// member is one node of a fleet.
type member struct {
	name string
	dir  string
	url  string // for clients on this machine
	argv []string
}

// belongs reports whether the node's directory is part of a cluster.
func (m *member) belongs() bool {
	_, err := os.Stat(filepath.Join(m.dir, memberFile))
	return err == nil
}

// command is what starts the node again, to be pasted into a shell.
func (m *member) command() string {
	quoted := make([]string, len(m.argv))
	for i, arg := range m.argv {
		quoted[i] = shellQuote(arg)
	}
	return strings.Join(quoted, " ")
}

func upFleet(cmd *cobra.Command, t *terminal, config Config, nodes int) error {
	if nodes < 1 || nodes > maxFleet {
		return usage("--nodes %d: it is 1 to %d", nodes, maxFleet)
	}
	if config.Join != "" || len(config.Bootstrap.Nodes) > 0 || config.Bootstrap.AdminKeyFile != "" || cmd.Flags().Changed("id") {
		return usage("--nodes makes a cluster and a key of its own, with nodes n1, n2...: leave --join, --bootstrap, --admin-key-file and --id away")
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	f := &fleet{t: t, log: newPrefixer(t.out), token: askToken}
	path := configPath(cmd.Flags(), t.getenv)
	if path != "" {
		if path, err = filepath.Abs(path); err != nil {
			return fmt.Errorf("find the configuration: %w", err)
		}
	}
	for i := range nodes {
		m, err := newMember(config, self, path, i)
		if err != nil {
			return err
		}
		f.members = append(f.members, m)
	}
	return f.run(cmd.Context())
}

// newMember is the i-th node: its own directory, and ports i above the first's.
func newMember(config Config, self, configPath string, i int) (*member, error) {
	name := "n" + strconv.Itoa(i+1)
	m := &member{name: name, dir: filepath.Join(config.Node.Dir, name)}
	m.argv = []string{self, "up", "--id", name, "--data-dir", m.dir}
	if configPath != "" {
		m.argv = append(m.argv, "--config", configPath)
	}
	for _, l := range []struct {
		flag, addr string
		public     bool
	}{
		{"http", config.HTTP.Addr, true}, {"peer", config.Peer.Addr, false}, {"gossip", config.Gossip.Addr, false}, {"ops", config.Ops.Addr, false},
	} {
		addr, err := shifted(l.addr, i, l.public)
		if err != nil {
			return nil, usage("--%s: %v", l.flag, err)
		}
		m.argv = append(m.argv, "--"+l.flag, addr)
		if l.public {
			m.url = clientURL(addr)
		}
	}
	for _, l := range []struct{ flag, addr string }{{"ssh", config.SSH.Addr}, {"tls", config.TLS.Addr}} {
		addr := l.addr
		if addr != off {
			var err error
			if addr, err = shifted(addr, i, true); err != nil {
				return nil, usage("--%s: %v", l.flag, err)
			}
		}
		m.argv = append(m.argv, "--"+l.flag, addr)
	}
	for _, f := range []struct{ flag, value string }{{"public-url", config.HTTP.PublicURL}, {"domain", config.HTTP.Domain}, {"blob-dir", config.Blob.Directory},
		{"tls-cert", config.TLS.Certificate}, {"tls-key", config.TLS.Key}, {"acme", strings.Join(config.TLS.ACME.Domains, ",")}} {
		if f.value != "" {
			m.argv = append(m.argv, "--"+f.flag, f.value)
		}
	}
	return m, nil
}

// shifted is an address with its port raised. What is not public and bound to
// no host stays on this machine: all the other nodes are here.
func shifted(addr string, by int, public bool) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(port)
	if err != nil || n == 0 || n+by > 65535 {
		return "", fmt.Errorf("port %s: several nodes need a fixed port with room above it", port)
	}
	if !public && everywhere(host) {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(n+by)), nil
}

// run starts all nodes and returns when all have ended.
func (f *fleet) run(ctx context.Context) error {
	nursery := newNursery()
	defer nursery.close()
	var living sync.WaitGroup
	var fails failures
	start := func(m *member, token string) {
		living.Go(func() { fails.add(f.live(ctx, nursery, m, token)) })
	}
	founder, joiners := f.sort()
	for _, m := range f.members {
		if !slices.Contains(joiners, m) {
			start(m, "")
		}
	}
	if len(joiners) > 0 {
		fails.add(f.admit(ctx, founder, joiners, start))
	}
	f.say("fleet", "clients: export BOTHY_URL=%s", strings.Join(f.urls(), ","))
	living.Wait()
	return fails.joined()
}

// sort finds the nodes that must join and one that can let them in. A new
// fleet's first node makes the cluster; a node that lost its directory joins
// like a new one, and never makes a second cluster beside the first.
func (f *fleet) sort() (founder *member, joiners []*member) {
	for _, m := range f.members {
		if m.belongs() {
			founder = m
			break
		}
	}
	if founder == nil {
		founder = f.members[0]
	}
	for _, m := range f.members {
		if m != founder && !m.belongs() {
			joiners = append(joiners, m)
		}
	}
	return founder, joiners
}

func (f *fleet) urls() []string {
	var all []string
	for _, m := range f.members {
		all = append(all, m.url)
	}
	return all
}

// admit starts the nodes that are new, each with a token of the first.
func (f *fleet) admit(ctx context.Context, founder *member, joiners []*member, start func(*member, string)) error {
	waiting, cancel := context.WithTimeout(ctx, foundPatience)
	defer cancel()
	if err := awaitReady(waiting, founder.url); err != nil {
		if ctx.Err() != nil {
			return nil // told to stop
		}
		return fmt.Errorf("%s was not ready within %s, so no other node could join it", founder.name, foundPatience)
	}
	for _, m := range joiners {
		token, err := f.token(waiting, founder.url, founder.dir)
		if err != nil {
			return fmt.Errorf("let %s join: %w", m.name, err)
		}
		start(m, token)
	}
	return nil
}

// live runs a node until it ends. A node that was not told to end is a failure.
func (f *fleet) live(ctx context.Context, nursery *nursery, m *member, token string) error {
	out := f.log.named(m.name)
	defer out.Close()
	f.say("fleet", "%s: %s", m.name, m.command())
	err := nursery.run(ctx, m.argv, childEnv(os.Environ(), token), out)
	switch {
	case ctx.Err() != nil && err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", m.name, err)
	case err == nil:
		err = errors.New("it ended by itself")
	}
	f.say("fleet", "%s ended: %v. The others go on; start it again with: %s", m.name, err, m.command())
	return fmt.Errorf("%s: %w", m.name, err)
}

func (f *fleet) say(name, format string, args ...any) { f.log.line(name, fmt.Sprintf(format, args...)) }

// childEnv is the environment of a node: everything that flags say is left
// away, and a token is handed over where other users cannot list it.
func childEnv(env []string, token string) []string {
	var kept []string
	for _, pair := range env {
		name, _, _ := strings.Cut(pair, "=")
		if !isSetting(name) {
			kept = append(kept, pair)
		}
	}
	if token != "" {
		kept = append(kept, joinVariable+"="+token)
	}
	return kept
}

// failures gathers what went wrong in several goroutines.
type failures struct {
	mu   sync.Mutex
	list []error
}

func (f *failures) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, err)
}

func (f *failures) joined() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.list...)
}

// shellQuote writes an argument so that a shell reads it as it is.
func shellQuote(arg string) string {
	if arg != "" && strings.Trim(arg, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,@%+") == "" {
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}
