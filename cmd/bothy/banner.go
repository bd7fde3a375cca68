package main

import (
	"fmt"
	"net"
	"strings"
)

// Banner is what an operator is told when a node is ready.
type Banner struct {
	Version  string
	Command  string // that runs bothy, as it was called
	Name     string // of the node
	HTTPAddr string // host:port that clients are served on, as listened on
	TLSAddr  string // host:port that clients are served on by TLS; "" where it is off
	SSHAddr  string // host:port of the SSH door; "" where it is off
	Dir      string // of the node's data
	KeyPath  string // file of the admin key; "" where another node made the cluster
	Nodes    int    // members of the cluster
	Voters   int
	Model    string // of an account that names none
	// ModelVariables are those that would configure a model vendor; none when
	// one is configured.
	ModelVariables []string
	Abilities      []string // of this machine's computers
	Missing        []string // what could not be enabled, why, and how to mend it
	Saves          bool     // computers' disks go to a blob store
}

// String is the banner as it is printed.
func (b Banner) String() string {
	var w strings.Builder
	url := clientURL(b.HTTPAddr)
	fmt.Fprintf(&w, "\nBothy %s is up: node %s at %s\n\n", b.Version, b.Name, url)
	if b.KeyPath != "" {
		fmt.Fprintf(&w, "  admin key   %s\n", b.KeyPath)
	}
	fmt.Fprintf(&w, "  data        %s\n", b.Dir)
	fmt.Fprintf(&w, "  model       %s\n", b.Model)
	fmt.Fprintf(&w, "  computers   %s\n", strings.Join(b.Abilities, ", "))
	if b.TLSAddr != "" {
		fmt.Fprintf(&w, "  tls         %s\n", b.TLSAddr)
	}
	if b.SSHAddr != "" {
		fmt.Fprintf(&w, "  ssh         %s\n", sshCommand(b.SSHAddr))
	}
	b.writeTries(&w, url)
	if notes := b.notes(); len(notes) > 0 {
		w.WriteString("\nNot here, or at risk:\n")
		for _, note := range notes {
			fmt.Fprintf(&w, "  - %s\n", note)
		}
	}
	return w.String()
}

func (b Banner) writeTries(w *strings.Builder, url string) {
	key := "..."
	if b.KeyPath != "" {
		key = "$(cat " + shellQuote(b.KeyPath) + ")"
	}
	fmt.Fprintf(w, `
Try, in another terminal:
  export BOTHY_URL=%[1]s BOTHY_API_KEY=%[2]s
  %[3]s run $'`+"```bash\\necho hello from $(hostname)\\n```"+`'
  %[3]s status
  curl -N $BOTHY_URL/v1/threads -H "Authorization: Bearer $BOTHY_API_KEY" -H 'Content-Type: application/json' \
    -d '{"messages": [{"role": "user", "content": "`+"```bash\\npwd; id; uname -a\\n```"+`"}]}'
`, url, key, shellQuote(b.Command))
}

// notes says what the node lacks and what is at risk, each with its remedy.
func (b Banner) notes() []string {
	notes := append([]string(nil), b.Missing...)
	if len(b.ModelVariables) > 0 {
		notes = append(notes, fmt.Sprintf("No model vendor: %s runs the commands of a message and is no LLM. Set %s and start again.",
			b.Model, strings.Join(b.ModelVariables, " or ")))
	}
	switch {
	case b.Nodes == 2:
		notes = append(notes, "One voter: losing it stops writes of both nodes. A third node makes three voters.")
	case b.Nodes > 2 && b.Voters < 3:
		notes = append(notes, fmt.Sprintf("%d of %d nodes vote so far; `%s status` shows when three do, and then one may be lost.", b.Voters, b.Nodes, b.Command))
	case b.Nodes < 2:
		notes = append(notes, "One node: when it is down, everything is. `bothy token` here and `bothy join` on two other machines make three voters.")
	}
	switch {
	case !b.Saves:
		notes = append(notes, "No blob store: a computer's workspace is on its node alone, and dies with the node's disk unless the node was drained. `blob` in the configuration of every node names one.")
	case b.Nodes > 1:
		notes = append(notes, "What a computer wrote since its last save dies with its node's disk; a running one is saved every 30 seconds. `bothy status` shows what is not saved.")
	}
	if host, _, err := net.SplitHostPort(b.HTTPAddr); err == nil && everywhere(host) {
		notes = append(notes, "HTTP is open on all addresses of this machine, without TLS; each request needs a key. --http 127.0.0.1:8080 keeps it local.")
	}
	return notes
}

// sshCommand is how a user on this machine logs in to a computer.
func sshCommand(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if everywhere(host) {
		host = "127.0.0.1"
	}
	return fmt.Sprintf("ssh -p %s COMPUTER@%s", port, host)
}

// everywhere reports whether a host means all addresses of the machine.
func everywhere(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || (ip != nil && ip.IsUnspecified())
}

// clientURL is how a client on this machine reaches an address listened on.
func clientURL(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "http://" + addr
	}
	if everywhere(host) {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}
