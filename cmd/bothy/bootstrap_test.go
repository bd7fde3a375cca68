package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const chosenKey = "0123456789abcdef0123456789abcdef0123456789abcdef"

// TestNodesBootstrapTogether starts three nodes at once, by the same list and
// key: they become one cluster. One that then loses its disk, the first, joins
// it again and makes no second one.
func TestNodesBootstrapTogether(t *testing.T) {
	t.Parallel()
	root := scratchDir(t)
	keyFile := filepath.Join(root, "key")
	if err := os.WriteFile(keyFile, []byte(chosenKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var all []*process
	var urls []string
	for _, name := range []string{"n1", "n2", "n3"} {
		p := newProcess(t, root, name)
		all, urls = append(all, p), append(urls, p.url)
	}
	for _, p := range all {
		p.chosen = chosenKey
		p.args = append(p.args, "--bootstrap", strings.Join(urls, ","), "--admin-key-file", keyFile)
	}
	all[1].start("")
	all[2].start("")
	all[1].out.shows(t, "waits for the nodes of bootstrap.nodes", 1)
	all[0].start("")
	for _, p := range all {
		p.ready()
	}
	all[0].voters(3)
	if s := all[2].status(); len(s.Nodes) != 3 {
		t.Fatalf("status %+v", s)
	}

	all[0].kill()
	wipeDir(t, all[0].dir)
	if err := os.RemoveAll(all[0].dir); err != nil {
		t.Fatal(err)
	}
	all[0].args = append(all[0].args, "--id", "n1-again")
	all[0].start("")
	all[0].ready()
	names := map[string]bool{}
	for _, n := range all[1].status().Nodes {
		names[n.Name] = true
	}
	if !names["n1-again"] || !names["n1"] || len(names) != 4 {
		t.Errorf("the cluster has %v; the first node should have joined it as a new one", names)
	}
}

// TestWhoMakesTheCluster tells each case of nodes that belong to none.
func TestWhoMakesTheCluster(t *testing.T) {
	nodes := []string{"http://a", "http://b"}
	a, b := &waiting{"A", nodes}, &waiting{"B", nodes}
	for name, c := range map[string]struct {
		self    state.NodeID
		replies []*waiting
		found   bool
		says    string
	}{
		"the first":            {"A", []*waiting{a, b}, true, ""},
		"another":              {"B", []*waiting{a, b}, false, "http://a is to make the cluster"},
		"one behind two names": {"A", []*waiting{a, a}, false, "are the same node"},
		"not listed":           {"C", []*waiting{a, b}, false, "none of bootstrap.nodes"},
		"another list":         {"A", []*waiting{a, {"B", []string{"http://b", "http://a"}}}, false, "http://b has another list of nodes: http://b,http://a"},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := founder(c.self, nodes, c.replies)
			if found != c.found || (err == nil) != c.found || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, %v", found, err)
			}
		})
	}
}

// TestBootstrapWaits stands in for the other node: while that is away, refuses
// the key or fails, this one waits; then it joins.
func TestBootstrapWaits(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	const token = "bothy1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.127.0.0.1:7080"
	asked := 0
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == bootstrapPath {
			if asked++; asked == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			http.NotFound(w, r)
			return
		}
		if r.Header.Get("Authorization") != "Bearer "+chosenKey || asked < 3 {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(wire.Token{Token: token})
	}))
	defer other.Close()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(chosenKey), 0o600); err != nil {
		t.Fatal(err)
	}
	out := &screen{}
	b := bootstrap{self: "A", http: other.Client(), log: newLogger(LogConfig{}, out),
		config: BootstrapConfig{Nodes: []string{"http://" + ln.Addr().String(), other.URL}, AdminKeyFile: key}}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	got, err := b.run(ctx, ln.(*net.TCPListener))
	if err != nil || got == nil || got.Text() != token {
		t.Fatalf("%v, %v\n%s", got, err, out)
	}
	if !strings.Contains(out.String(), "503 Service Unavailable") || !strings.Contains(out.String(), "belongs to a cluster, but") {
		t.Errorf("it said %s", out)
	}
	if strings.Contains(out.String(), chosenKey) {
		t.Error("the key is in the log")
	}
	// The door goes on where the waiting node has answered.
	go http.Serve(ln, http.NotFoundHandler())
	if reply, err := http.Get("http://" + ln.Addr().String()); err != nil || reply.StatusCode != http.StatusNotFound {
		t.Errorf("the listener afterwards: %v", err)
	}
}

func TestAdminKeyFiles(t *testing.T) {
	for text, good := range map[string]bool{chosenKey: true, chosenKey + "\n": true, "": false, "short": false,
		strings.Repeat("x", 41): false, strings.Repeat("x", 129): false, chosenKey + "\n" + chosenKey: false, strings.Repeat("x y", 20): false} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if key, err := readAdminKey(path); (err == nil) != good || good && key != chosenKey || err != nil && text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %q, %v", text, key, err)
		}
	}
	if _, err := readAdminKey("/nowhere"); err == nil {
		t.Error("a file that is not there is taken")
	}
}
