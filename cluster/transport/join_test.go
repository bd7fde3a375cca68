package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/identity"
)

// doorkeeper admits nodes as the cluster's records would: a secret works once,
// and again for the same key.
type doorkeeper struct {
	c      *cluster
	member *identity.Identity

	mu   sync.Mutex
	open map[string][32]byte // by secret hash; zero is unused
}

func (d *doorkeeper) admit(_ context.Context, j Joiner) (identity.Admission, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	used, known := d.open[j.SecretHash]
	key := identity.KeyHash(j.Key)
	if !known || used != ([32]byte{}) && used != key {
		return identity.Admission{}, fault.New(fault.Unauthorized, "the join token is unknown, used or expired")
	}
	d.open[j.SecretHash] = key
	d.c.mu.Lock()
	d.c.members[j.Node] = key
	d.c.mu.Unlock()
	a, err := d.member.Admit(j.Bearer)
	a.Peers = []identity.Peer{{Node: d.member.Node(), Addr: "127.0.0.1:1"}}
	a.Gossip = []string{j.Addrs.Gossip}
	return a, err
}

// newDoor is a cluster of one node that admits others.
func newDoor(t *testing.T) (*cluster, *doorkeeper) {
	c := emptyCluster()
	d := &doorkeeper{c: c, open: make(map[string][32]byte)}
	d.member = c.newMember(t)
	c.add(t, d.member, func(o *Options) { o.Admit = d.admit })
	return c, d
}

func (d *doorkeeper) token(t *testing.T) identity.Token {
	t.Helper()
	token, hash, err := d.member.NewToken([]string{d.c.nodes[0].Addr().String()})
	must(t, err)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open[hash] = [32]byte{}
	return token
}

func TestJoin(t *testing.T) {
	c, d := newDoor(t)
	ctx := within(t, 60*time.Second)
	token := d.token(t)
	joiner := openIdentity(t, c.now)

	a, err := Join(ctx, joiner, token, Addrs{Gossip: "127.0.0.1:7"})
	must(t, err)
	if len(a.Peers) != 1 || a.Peers[0].Node != d.member.Node() || a.Gossip[0] != "127.0.0.1:7" {
		t.Fatalf("the admission says %v, %v", a.Peers, a.Gossip)
	}
	again, err := Join(ctx, joiner, token, Addrs{Gossip: "127.0.0.1:7"})
	must(t, err)
	if string(again.ClusterKey) != string(a.ClusterKey) || again.Authority != a.Authority {
		t.Fatal("the same token and key were answered differently")
	}
	for _, get := range []func(*identity.Identity) ([]byte, error){(*identity.Identity).GossipKey} {
		have, err := get(joiner)
		must(t, err)
		want, err := get(d.member)
		must(t, err)
		if string(have) != string(want) {
			t.Fatal("the nodes hold different keys")
		}
	}
	n := c.add(t, joiner)
	c.nodes[0].Handle("echo", echo)
	_, err = n.Call(ctx, c.nodes[0].id, "echo", nil)
	must(t, err)

	t.Run("the token of a second node", func(t *testing.T) {
		_, err := Join(ctx, openIdentity(t, c.now), token, Addrs{})
		if fault.Of(err) != fault.Unauthorized {
			t.Fatalf("got %v", err)
		}
	})
}

func TestJoinRefused(t *testing.T) {
	c, d := newDoor(t)
	ctx := within(t, 60*time.Second)
	unused := d.token(t)

	t.Run("a secret that nobody gave", func(t *testing.T) {
		token := unused
		token.Secret[0] ^= 1
		id := openIdentity(t, c.now)
		if _, err := Join(ctx, id, token, Addrs{}); fault.Of(err) != fault.Unauthorized || id.Joined() {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("another authority than the token's, before the secret is told", func(t *testing.T) {
		token := unused
		token.CA[0] ^= 1
		id := openIdentity(t, c.now)
		if _, err := Join(ctx, id, token, Addrs{}); !errors.Is(err, identity.ErrStranger) || id.Joined() {
			t.Fatalf("got %v", err)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.open[unused.SecretHash()] != ([32]byte{}) {
			t.Fatal("the token was used")
		}
	})
	t.Run("nobody at the addresses", func(t *testing.T) {
		token := unused
		token.Addrs = []string{"127.0.0.1:1"}
		if _, err := Join(ctx, openIdentity(t, c.now), token, Addrs{}); err == nil {
			t.Fatal("joined")
		}
	})
	t.Run("a member of another cluster", func(t *testing.T) {
		id := openIdentity(t, c.now)
		must(t, id.Bootstrap())
		if _, err := Join(ctx, id, d.token(t), Addrs{}); !errors.Is(err, identity.ErrJoined) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("a second address that answers", func(t *testing.T) {
		token := unused
		token.Addrs = append([]string{"127.0.0.1:1"}, token.Addrs...)
		_, err := Join(ctx, openIdentity(t, c.now), token, Addrs{})
		must(t, err)
	})
	t.Run("a node that admits nobody", func(t *testing.T) {
		other := newCluster(t, 1)
		token, _, err := other.nodes[0].ident.NewToken([]string{other.nodes[0].Addr().String()})
		must(t, err)
		if _, err := Join(ctx, openIdentity(t, c.now), token, Addrs{}); err == nil {
			t.Fatal("joined")
		}
	})
}

func TestJoinTakesNoNonsense(t *testing.T) {
	c, _ := newDoor(t)
	stranger := openIdentity(t, c.now)
	pair, err := stranger.SelfSigned()
	must(t, err)
	send := func(t *testing.T, b []byte) error {
		raw, err := net.DialTimeout("tcp", c.nodes[0].Addr().String(), time.Second)
		must(t, err)
		defer raw.Close()
		must(t, raw.SetDeadline(time.Now().Add(10*time.Second)))
		conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protoJoin}, Certificates: []tls.Certificate{*pair}})
		_, err = conn.Write(b)
		must(t, err)
		var ans joinAnswer
		if err := readJoin(conn, &ans); err != nil {
			return err
		}
		if ans.Fault == nil {
			t.Fatal("it was answered")
		}
		return decodeFault(ans.Fault)
	}
	for name, tt := range map[string]struct {
		send []byte
		want fault.Kind
	}{
		"too long":             {[]byte{0xff, 0xff, 0xff, 0xff}, fault.TooLarge},
		"no JSON":              {[]byte{0, 0, 0, 1, 'x'}, fault.Invalid},
		"a stranger's renewal": {[]byte{0, 0, 0, 2, '{', '}'}, fault.Forbidden},
	} {
		t.Run(name, func(t *testing.T) {
			if err := send(t, tt.send); fault.Of(err) != tt.want {
				t.Fatalf("got %v, want %s", err, tt.want)
			}
		})
	}
	t.Run("too many at once", func(t *testing.T) {
		eventually(t, "the rest are put off", func() bool {
			return fault.Is(send(t, []byte{0, 0, 0, 2, '{', '}'}), fault.Unavailable)
		})
	})
}

func FuzzReadJoin(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, '{', '}'})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	var good bytes.Buffer
	must(f, writeJoin(&good, joinRequest{Secret: []byte("s"), Name: "n"}))
	f.Add(good.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		var req joinRequest
		if readJoin(bytes.NewReader(b), &req) != nil {
			return
		}
		var again joinRequest
		var out bytes.Buffer
		must(t, writeJoin(&out, req))
		if err := readJoin(&out, &again); err != nil || again.Name != req.Name || again.Addrs != req.Addrs || !bytes.Equal(again.Secret, req.Secret) {
			t.Fatalf("%+v came back as %+v, %v", req, again, err)
		}
	})
}
