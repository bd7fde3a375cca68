package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/cluster/identity"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/client"
)

const (
	// bootstrapPath is where a node that belongs to no cluster says so.
	bootstrapPath = "/bootstrap"
	// bootstrapPause is how long a node waits before it asks the others again.
	bootstrapPause = time.Second
	// bootstrapPatience bounds one question to one node.
	bootstrapPatience = 5 * time.Second
	// maxWaitingBytes bounds what a waiting node answers.
	maxWaitingBytes = 64 << 10
	// maxBootstrap bounds the nodes that are listed.
	maxBootstrap = 100
)

var legalAdminKey = regexp.MustCompile(`^[A-Za-z0-9_-]{42,128}$`)

// waiting is what a node answers that belongs to no cluster.
type waiting struct {
	Node  state.NodeID `json:"node"`
	Nodes []string     `json:"nodes"` // the list that it was configured with
}

// bootstrap brings a node that belongs to no cluster to one, by the list of all
// nodes that each of them has. It returns a token of the cluster that one of
// them belongs to, or none where this node is to make a new one.
//
// A second cluster beside the first would be the worst outcome, so one is made
// only while every node on the list says that it belongs to none, and has the
// same list; then it is the first on the list that makes it. A node that lost
// its disk therefore joins like a new one, and waits while nobody can tell.
type bootstrap struct {
	self   state.NodeID
	config BootstrapConfig
	http   *http.Client
	log    *slog.Logger
	told   string // what the log said last
}

// run asks the listed nodes until one of the two can be told. Meanwhile it
// answers them on ln, which stays open.
func (b *bootstrap) run(ctx context.Context, ln *net.TCPListener) (*identity.Token, error) {
	text, err := readAdminKey(b.config.AdminKeyFile)
	if err != nil {
		return nil, err
	}
	stop, err := b.answer(ln)
	if err != nil {
		return nil, err
	}
	defer stop()
	for {
		token, found, err := b.look(ctx, text)
		if found || token != nil {
			return token, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err.Error() != b.told {
			b.told = err.Error()
			b.log.Warn("this node belongs to no cluster yet and waits for the nodes of bootstrap.nodes", "because", err)
		}
		select {
		case <-time.After(bootstrapPause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// look asks every node once: a token, or that this node is to make the cluster,
// or why neither can be told.
func (b *bootstrap) look(ctx context.Context, key string) (token *identity.Token, found bool, err error) {
	replies := make([]*waiting, len(b.config.Nodes))
	var errs []error
	for i, url := range b.config.Nodes {
		if replies[i], err = b.ask(ctx, url); err != nil {
			errs = append(errs, err)
			continue
		}
		if replies[i] == nil { // it belongs to one
			if token, err = b.tokenOf(ctx, url, key); err == nil {
				b.log.Info("this node joins the cluster of a node of bootstrap.nodes", "node", url)
				return token, false, nil
			}
			errs = append(errs, fmt.Errorf("%s belongs to a cluster, but: %w", url, err))
		}
	}
	if len(errs) == 0 {
		found, err = founder(b.self, b.config.Nodes, replies)
		return nil, found, err
	}
	return nil, false, errors.Join(errs...)
}

// founder decides, when all listed nodes belong to no cluster, whether this one
// makes it. The error says what it waits for, or what is wrong with the lists.
func founder(self state.NodeID, nodes []string, replies []*waiting) (bool, error) {
	seen := map[state.NodeID]string{}
	for i, r := range replies {
		if at := seen[r.Node]; at != "" {
			return false, fmt.Errorf("%s and %s are the same node: list each node once, by a URL of its own", at, nodes[i])
		}
		seen[r.Node] = nodes[i]
		if !slices.Equal(r.Nodes, nodes) {
			return false, fmt.Errorf("%s has another list of nodes: %s", nodes[i], strings.Join(r.Nodes, ","))
		}
	}
	if seen[self] == "" {
		return false, errors.New("this node is none of bootstrap.nodes: list its own HTTP URL too")
	}
	if replies[0].Node != self {
		return false, fmt.Errorf("%s is to make the cluster", nodes[0])
	}
	return true, nil
}

// ask returns what a waiting node answers, or nil of one that serves a cluster.
func (b *bootstrap) ask(ctx context.Context, url string) (*waiting, error) {
	ctx, cancel := context.WithTimeout(ctx, bootstrapPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+bootstrapPath, nil)
	if err != nil {
		return nil, err
	}
	reply, err := b.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	switch {
	case reply.StatusCode == http.StatusNotFound:
		return nil, nil
	case reply.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s answers %s", url, reply.Status)
	}
	var w waiting
	if err := json.NewDecoder(http.MaxBytesReader(nil, reply.Body, maxWaitingBytes)).Decode(&w); err != nil || w.Node == "" {
		return nil, fmt.Errorf("%s does not answer as a node would", url)
	}
	return &w, nil
}

func (b *bootstrap) tokenOf(ctx context.Context, url, key string) (*identity.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, bootstrapPatience)
	defer cancel()
	c, err := client.New([]string{url}, key)
	if err != nil {
		return nil, err
	}
	c.HTTP = b.http
	made, err := c.Token(ctx)
	if err != nil {
		return nil, err
	}
	token, err := identity.ParseToken(made.Token)
	return &token, err
}

// answer tells who asks that this node belongs to no cluster, until it is stopped.
func (b *bootstrap) answer(ln *net.TCPListener) (stop func(), err error) {
	text, err := json.Marshal(waiting{Node: b.self, Nodes: b.config.Nodes})
	if err != nil {
		return nil, err
	}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	routes.HandleFunc("GET "+bootstrapPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text) // whoever does not hear it asks again
	})
	routes.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "this node waits for the others of its cluster", http.StatusServiceUnavailable)
	})
	server := &http.Server{Handler: routes, ReadHeaderTimeout: bootstrapPatience}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(lentListener{ln}) }()
	return func() {
		err := server.Close()
		<-ended
		if err = errors.Join(err, ln.SetDeadline(time.Time{})); err != nil {
			b.log.Warn("stop waiting for the cluster", "err", err)
		}
	}, nil
}

// lentListener is a listener that outlives the server that it is lent to.
type lentListener struct{ *net.TCPListener }

// Close wakes the server, which waits for connections.
func (l lentListener) Close() error { return l.SetDeadline(time.Unix(1, 0)) }

// readAdminKey reads a key that an operator chose; "" is none.
func readAdminKey(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read bootstrap.adminKeyFile: %w", err)
	}
	key := strings.TrimSpace(string(text))
	if !legalAdminKey.MatchString(key) {
		return "", fmt.Errorf("bootstrap.adminKeyFile: %s must hold 42 to 128 letters, digits, - and _, such as `openssl rand -hex 32` makes", path)
	}
	return key, nil
}
