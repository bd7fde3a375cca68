package container

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/runtime"
)

// bounded is a computer in a world with an outside.
type bounded struct {
	*node
	*outside
	id runtime.ID
}

func newBounded(t *testing.T, e runtime.Egress) *bounded {
	t.Helper()
	o := newOutside(t)
	n := closedNode(t)
	n.servers = []netip.AddrPort{o.server}
	n.open(0)
	spec := n.spec()
	spec.Egress = e
	return &bounded{n, o, n.started(spec)}
}

// reaches tries a connection from inside to a name or an address.
func (b *bounded) reaches(host string) (bool, string) {
	b.t.Helper()
	exit, out := b.sh(b.id, "", fmt.Sprintf(`python3 -c 'import socket; socket.create_connection(("%s", %d), 3)' 2>&1 | tail -1`, host, b.port))
	if exit.Code != 0 {
		b.t.Fatal(out)
	}
	return out == "", out
}

func (b *bounded) set(e runtime.Egress) {
	b.t.Helper()
	if err := b.SetEgress(b.t.Context(), 1, b.id, e); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bounded) check(what string, want map[string]bool) {
	b.t.Helper()
	for host, ok := range want {
		if got, out := b.reaches(host); got != ok {
			b.t.Errorf("%s: %s is reached: %v, want %v %s", what, host, got, ok, out)
		}
	}
}

// TestEgressKeepsToItsRules changes the rules of a running computer and looks
// at what it reaches.
func TestEgressKeepsToItsRules(t *testing.T) {
	b := newBounded(t, runtime.Egress{Allowed: true})
	a, w, other := b.hosts[0], b.hosts[1], b.hosts[2]
	for _, tt := range []struct {
		what        string
		allow, deny []string
		want        map[string]bool
	}{
		{"no rules", nil, nil, map[string]bool{a: true, "a.example": true, "none.example": false}},
		{"a block is allowed", []string{a + "/32"}, nil, map[string]bool{a: true, w: false, "a.example": false}},
		{"a block is denied", nil, []string{a}, map[string]bool{a: false, "a.example": false, w: true, "b.example": true}},
		{"a domain is allowed", []string{"b.example"}, nil, map[string]bool{w: false, "www.a.example": false, "b.example": true}},
		{"all below a domain are", []string{"*.a.example"}, nil, map[string]bool{"www.a.example": true, "a.example": false, other: false}},
		{"deny wins", []string{"*.a.example", "a.example", "198.51.100.0/24"}, []string{"www.a.example", other},
			map[string]bool{"a.example": true, "www.a.example": false, "b.example": false, other: false}},
	} {
		b.set(runtime.Egress{Allowed: true, Allow: tt.allow, Deny: tt.deny})
		b.check(tt.what, tt.want)
	}
	b.set(runtime.Egress{Allowed: true, Allow: []string{"b.example"}})
	b.check("by its address before by its name", map[string]bool{a: false})
	b.set(runtime.Egress{})
	b.check("without the internet", map[string]bool{a: false, "b.example": false})
	b.says(b.id, "", "echo still > here; cat here") // commands and files go on
}

// TestEgressRulesCutWhatIsOpen has a process inside talk until it cannot.
func TestEgressRulesCutWhatIsOpen(t *testing.T) {
	b := newBounded(t, runtime.Egress{Allowed: true, Allow: []string{"a.example"}})
	const talk = `import socket, time
s = socket.create_connection(("a.example", %d), 5)
s.settimeout(5)
n = 0
while True:
    s.sendall(b"x")
    assert s.recv(1) == b"x"
    n += 1
    print(n, flush=True)
    time.sleep(0.01)
`
	read, write := io.Pipe()
	var complaint bytes.Buffer
	done := make(chan runtime.Exit, 1)
	go func() {
		exit, err := b.Exec(t.Context(), 1, b.id, runtime.Cmd{Argv: []string{"python3", "-c", fmt.Sprintf(talk, b.port)},
			Stdout: write, Stderr: &complaint, Timeout: 30 * time.Second})
		if err != nil {
			t.Error(err)
		}
		write.Close()
		done <- exit
	}()
	goesOn := func() {
		t.Helper()
		line := make([]byte, 256)
		for range 5 {
			if _, err := read.Read(line); err != nil {
				t.Fatalf("it ended: %v: %s", err, complaint.String())
			}
		}
	}
	goesOn()
	b.set(runtime.Egress{Allowed: true, Allow: []string{"a.example", "b.example"}})
	goesOn()
	b.set(runtime.Egress{Allowed: true, Allow: []string{"b.example"}})
	begun := time.Now()
	if _, err := io.Copy(io.Discard, read); err != nil {
		t.Fatal(err)
	}
	if exit := <-done; exit.Code != 1 || time.Since(begun) > 3*time.Second || !strings.Contains(complaint.String(), "ConnectionResetError") {
		t.Errorf("%+v after %v: %s", exit, time.Since(begun), complaint.String())
	}
}

// TestEgressRulesOutliveTheNode closes a node and opens it again while its
// computer runs.
func TestEgressRulesOutliveTheNode(t *testing.T) {
	b := newBounded(t, runtime.Egress{Allowed: true, Allow: []string{"*.a.example"}, Deny: []string{"192.0.2.1"}})
	b.check("before", map[string]bool{"www.a.example": true, b.hosts[2]: false})
	b.leave()
	// Nobody to run a command inside now; the rules are the kernel's.
	b.open(0)
	until(t, "names are resolved again", func() bool { ok, _ := b.reaches("www.a.example"); return ok })
	b.check("after", map[string]bool{"www.a.example": true, "b.example": false, b.hosts[2]: false})
	st, err := b.Inspect(t.Context(), b.id)
	if want := (runtime.Egress{Allowed: true, Allow: []string{"*.a.example"}, Deny: []string{"192.0.2.1"}}); err != nil || !st.Spec.Egress.Equal(want) {
		t.Errorf("%+v, %v", st.Spec.Egress, err)
	}
	if err := b.Stop(t.Context(), 1, b.id, 0); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context(), 1, b.id); err != nil {
		t.Fatal(err)
	}
	b.check("after a start, by its address before by its name", map[string]bool{b.hosts[1]: false})
	b.check("after a start", map[string]bool{"www.a.example": true})
}

// TestEgressRulesAreChecked gives rules that are none to each way in.
func TestEgressRulesAreChecked(t *testing.T) {
	n := newNode(t, 0)
	spec := n.spec()
	spec.Egress = runtime.Egress{Allowed: true, Deny: []string{"foo bar"}}
	if err := n.Create(t.Context(), 1, spec); err == nil || !strings.Contains(err.Error(), `deny[0]: "foo bar" is no CIDR, address or domain`) {
		t.Errorf("create: %v", err)
	}
}
