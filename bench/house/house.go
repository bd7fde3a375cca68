package house

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	// settlePatience bounds how long a cluster may take to have all its voters.
	settlePatience = 90 * time.Second
	settlePoll     = 50 * time.Millisecond
	// clearPatience bounds how long clearing away may take.
	clearPatience = 2 * time.Minute
	// connections that a client keeps open: at least as many as call at once.
	connections = 1024
)

// House is a cluster that this program started.
type House struct {
	Nodes []*Node
	Key   string // of an admin, without limits
	dir   string
	shape Shape
	town  *town // nil where nodes are not kept apart
	named int   // how many names nodes were given
	// bothy and config are the files that nodes are started with.
	bothy, config string
	http          *http.Client
}

// Open starts nodes in a new directory below base, and returns when all are
// ready and vote as they should. Close must be called, also after an error.
func Open(ctx context.Context, bothy, base string, shape Shape) (*House, error) {
	dir, err := os.MkdirTemp(base, "bothy-bench-")
	if err != nil {
		return nil, fmt.Errorf("make the nodes' directory: %w", err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, connections
	h := &House{dir: dir, shape: shape, http: &http.Client{Transport: transport}}
	if err := h.open(ctx, bothy); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

func (h *House) open(ctx context.Context, bothy string) error {
	if err := os.Chmod(h.dir, 0o711); err != nil { // computers' users walk through it
		return fmt.Errorf("open the nodes' directory: %w", err)
	}
	bothy, err := filepath.Abs(bothy)
	if err != nil {
		return fmt.Errorf("find bothy: %w", err)
	}
	if h.shape.Apart {
		if h.town, err = openTown(); err != nil {
			return err
		}
		h.shape.Vendor = strings.ReplaceAll(h.shape.Vendor, ThisMachine, h.town.at(machineHost).String())
	}
	config, err := h.shape.write(h.dir)
	if err != nil {
		return err
	}
	h.bothy, h.config = bothy, config
	for range h.shape.Nodes {
		if _, err := h.Add(ctx); err != nil {
			return err
		}
	}
	return h.Settle(ctx)
}

// Add starts one more node. The first founds the cluster, and others join it.
func (h *House) Add(ctx context.Context) (*Node, error) {
	i := len(h.Nodes)
	n, err := h.newNode()
	if err != nil {
		return nil, err
	}
	h.Nodes = append(h.Nodes, n)
	if i > 0 {
		return n, h.join(ctx, n)
	}
	if err := n.Start(ctx); err != nil {
		return nil, err
	}
	key, err := os.ReadFile(filepath.Join(n.Dir, "admin.key"))
	if err != nil {
		return nil, fmt.Errorf("read the admin key: %w", err)
	}
	h.Key = strings.TrimSpace(string(key))
	return n, nil
}

// join starts a node for the first time, as one more of the cluster.
func (h *House) join(ctx context.Context, n *Node) error {
	token, err := h.Alive().Token(ctx)
	if err != nil {
		return fmt.Errorf("let %s join: %w", n.Name, err)
	}
	n.env = []string{"BOTHY_JOIN=" + token.Token}
	defer func() { n.env = nil }()
	return n.Start(ctx)
}

// Client calls the cluster through one node only.
func (h *House) Client(i int) *client.Client { return h.ClientOf(h.Nodes[i]) }

// ClientOf calls the cluster through some nodes, the first one first.
func (h *House) ClientOf(nodes ...*Node) *client.Client {
	var urls []string
	for _, n := range nodes {
		urls = append(urls, n.URL)
	}
	c, err := client.New(urls, h.Key)
	if err != nil {
		panic(err) // the URLs are ours
	}
	c.HTTP = h.http
	return c
}

// HTTP is what clients of the house send by.
func (h *House) HTTP() *http.Client { return h.http }

// Keep copies the nodes' logs to a new directory below base, for whoever looks
// for what went wrong.
func (h *House) Keep(base string) error {
	to, err := os.MkdirTemp(base, "bothy-logs-")
	if err != nil {
		return fmt.Errorf("keep the nodes' logs: %w", err)
	}
	for _, n := range h.Nodes {
		text, err := n.Log()
		if err == nil {
			err = os.WriteFile(filepath.Join(to, n.Name+".log"), text, 0o600)
		}
		if err != nil {
			return fmt.Errorf("keep the nodes' logs: %w", err)
		}
	}
	return fmt.Errorf("the nodes' logs are in %s", to)
}

// Do sends a request as it is, once.
func (h *House) Do(req *http.Request) (*http.Response, error) {
	req.Header.Set("Authorization", "Bearer "+h.Key)
	return h.http.Do(req)
}

// Read sends a request once and reads a reply of JSON.
func (h *House) Read(req *http.Request, into any) error {
	reply, err := h.Do(req)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		return fmt.Errorf("read a reply: %w", err)
	}
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %.300s", req.Method, req.URL.Path, reply.Status, body)
	}
	return json.Unmarshal(body, into)
}

// Settle waits until every node is alive, leased and, up to three, a voter.
func (h *House) Settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settlePatience)
	defer cancel()
	for {
		status, err := h.Client(0).Status(ctx)
		if err == nil && settled(status, len(h.Nodes)) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the cluster does not settle: %w; last seen %+v", errors.Join(err, ctx.Err()), status)
		case <-time.After(settlePoll):
		}
	}
}

func settled(s wire.ClusterStatus, nodes int) bool {
	voters, well := 0, 0
	for _, n := range s.Nodes {
		if n.Voter {
			voters++
		}
		if n.Leased && n.Alive {
			well++
		}
	}
	want := 1
	if nodes >= 3 {
		want = 3
	}
	return s.Leader != "" && len(s.Nodes) == nodes && well == nodes && voters == want
}

// Leader is the node that leads, and the others.
func (h *House) Leader(ctx context.Context) (leader *Node, others []*Node, err error) {
	status, err := h.Alive().Status(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("find the leader: %w", err)
	}
	leader, others = h.Named(status.Leader)
	if leader == nil {
		return nil, nil, fmt.Errorf("the leader is %q, which is no node of this house", status.Leader)
	}
	return leader, others, nil
}

// Named is the node of a name, and the others.
func (h *House) Named(name string) (found *Node, others []*Node) {
	for _, n := range h.Nodes {
		if n.Name == name {
			found = n
			continue
		}
		others = append(others, n)
	}
	return found, others
}

// Alive calls through the nodes whose processes run.
func (h *House) Alive() *client.Client {
	var up []*Node
	for _, n := range h.Nodes {
		if n.cmd != nil {
			up = append(up, n)
		}
	}
	return h.ClientOf(up...)
}

// Close ends the nodes and clears away everything of theirs.
func (h *House) Close() error {
	h.http.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), clearPatience)
	defer cancel()
	var errs []error
	for _, n := range h.Nodes {
		if n.lot != nil {
			errs = append(errs, n.Quicken())
		}
		errs = append(errs, n.end())
	}
	for _, n := range h.Nodes {
		errs = append(errs, n.clear(ctx))
	}
	if h.town != nil {
		errs = append(errs, h.town.close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("clear %s: %w", h.dir, err)
	}
	return os.RemoveAll(h.dir)
}
