package actors

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/bothy-computer/bothy/actors/actorstest"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// gate is the SSH nouns of two nodes over the same records, and two accounts
// with a computer each.
type gate struct {
	t        *testing.T
	node     *actorstest.Node
	one, two *SSH
	clock    *actorstest.Clock
	own      Caller // has computer comp_a, label and handle web
	other    Caller // has computer comp_b, handle web, label web-of-b
}

const (
	compA = state.ComputerID("01890000-0000-7000-8000-00000000000a")
	compB = state.ComputerID("01890000-0000-7000-8000-00000000000b")
)

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{t: t, clock: actorstest.NewClock(), own: Caller{Account: "acct_admin", User: "user_admin"}, other: Caller{Account: "acct_b", User: "user_b"}}
	records := actorstest.NewRecords(g.clock.Now)
	for i, name := range []string{"n1", "n2"} {
		node, err := records.Join(name)
		if err != nil {
			t.Fatal(err)
		}
		s := &SSH{cluster: node, sealer: plainSealer{}, bell: newBell(), now: g.clock.Now}
		if i == 0 {
			g.node, g.one = node, s
		} else {
			g.two = s
		}
	}
	g.do(state.CreateAccount{Account: state.Account{ID: "acct_b", Name: "b", Unbilled: true}})
	g.do(state.CreateAccount{Account: state.Account{ID: "acct_c", Name: "c", Unbilled: true}})
	g.do(state.CreateComputer{Computer: state.Computer{ID: compA, Account: "acct_admin", Handle: "web"}})
	g.do(state.CreateComputer{Computer: state.Computer{ID: compB, Account: "acct_b", Handle: "web"}})
	return g
}

func (g *gate) do(cmd state.Command) {
	g.t.Helper()
	if _, err := g.node.Apply(g.t.Context(), cmd); err != nil {
		g.t.Fatal(err)
	}
}

func newSigner(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func parsed(t *testing.T, line string) ssh.PublicKey {
	t.Helper()
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (g *gate) register(c Caller, key ssh.PublicKey) state.SSHKey {
	g.t.Helper()
	k, err := g.one.RegisterKey(g.t.Context(), c, "laptop", lineOf(key))
	if err != nil {
		g.t.Fatal(err)
	}
	return k
}

// lands checks which computer an attempt reaches; "" is none.
func (g *gate) lands(s *SSH, a Attempt, want state.ComputerID) {
	g.t.Helper()
	login, err := s.Admit(g.t.Context(), a)
	if want == "" && !fault.Is(err, fault.Unauthorized) || want != "" && err != nil || login.Computer != want {
		g.t.Errorf("%s over %q at %T: %+v %v, want %q", a.User, a.Host, a.Key, login, err, want)
	}
}

func TestARegisteredKeyOpensItsAccountsComputers(t *testing.T) {
	g := newGate(t)
	key := newSigner(t).PublicKey()
	g.lands(g.one, Attempt{User: "web", Key: key}, "")
	registered := g.register(g.own, key)
	if _, err := g.one.RegisterKey(t.Context(), g.own, "again", lineOf(key)+" other comment"); !fault.Is(err, fault.Conflict) {
		t.Errorf("the same key again: %v", err)
	}
	for user, want := range map[string]state.ComputerID{"web": compA, "WEB": compA, string(compA): compA, string(compB): "",
		"web-0000000b": "", "none": "", "": "", "we\x00b": "", "../web": "", strings.Repeat("a", 300): "", "node": ""} {
		g.lands(g.two, Attempt{User: user, Key: key}, want)
	}
	g.lands(g.two, Attempt{User: "node", Host: string(compA), Key: key}, compA)
	g.lands(g.two, Attempt{User: "web", Host: string(compA), Key: key}, compA)
	g.lands(g.two, Attempt{User: "web", Host: string(compB), Key: key}, "")
	g.lands(g.two, Attempt{User: "web", Host: "a\x00", Key: key}, "")

	if err := g.two.RevokeKey(t.Context(), g.own, registered.ID); err != nil {
		t.Fatal(err)
	}
	g.lands(g.one, Attempt{User: "web", Key: key}, "")
}

func TestAHandleMeansTheComputerOfWhoHasTheKey(t *testing.T) {
	g := newGate(t)
	key := newSigner(t).PublicKey()
	g.register(g.other, key)
	g.lands(g.one, Attempt{User: "web", Key: key}, compB)
	g.register(g.own, key)
	g.lands(g.one, Attempt{User: "web", Key: key}, "") // two are called so
	g.lands(g.one, Attempt{User: string(compA), Key: key}, compA)
}

func TestAComputersOwnKeysLetIn(t *testing.T) {
	g := newGate(t)
	key := newSigner(t).PublicKey()
	id := state.ComputerID("01890000-0000-7000-8000-00000000000c")
	g.do(state.CreateComputer{Computer: state.Computer{ID: id, Account: g.own.Account, Handle: "db", AuthorizedKeys: []string{"nonsense", lineOf(key) + " me"}}})
	g.lands(g.one, Attempt{User: string(id), Key: key}, id)
	g.lands(g.one, Attempt{User: "db", Key: key}, id)
	g.lands(g.one, Attempt{User: string(compA), Key: key}, "")
	g.do(state.TransferComputer{Account: g.own.Account, Computer: id, To: g.other.Account})
	g.lands(g.one, Attempt{User: string(id), Key: key}, "")
}

func TestCertificates(t *testing.T) {
	g := newGate(t)
	registered := g.register(g.own, newSigner(t).PublicKey())
	cert, err := g.one.Certify(t.Context(), g.own, compA, registered.ID, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	credentials, err := g.two.Credentials(t.Context(), g.own, compA, 0)
	if err != nil {
		t.Fatal(err)
	}
	if host, err := g.one.HostKey(t.Context()); err != nil || lineOf(host.PublicKey()) != credentials.HostKey {
		t.Errorf("the nodes show different host keys: %v", err)
	}
	over, of := parsed(t, cert.Line), parsed(t, credentials.Certificate.Line)
	for _, key := range []ssh.PublicKey{over, of} {
		for user, want := range map[string]state.ComputerID{"web": compA, string(compA): compA, string(compB): "", "other": ""} {
			g.lands(g.two, Attempt{User: user, Key: key}, want)
		}
	}
	if signer, err := ssh.ParsePrivateKey([]byte(credentials.PrivateKey)); err != nil || lineOf(signer.PublicKey()) != credentials.PublicKey {
		t.Errorf("the pair does not fit: %v", err)
	}
	for name, bad := range g.forged(over.(*ssh.Certificate)) {
		if _, err := g.one.Admit(t.Context(), Attempt{User: string(compA), Key: bad}); !fault.Is(err, fault.Unauthorized) {
			t.Errorf("%s: %v", name, err)
		}
	}
	g.clock.Advance(2 * time.Minute)
	g.lands(g.one, Attempt{User: "web", Key: over}, "") // expired
	g.lands(g.one, Attempt{User: "web", Key: of}, compA)
	g.do(state.TransferComputer{Account: g.own.Account, Computer: compA, To: "acct_c"})
	g.lands(g.one, Attempt{User: string(compA), Key: of}, "")
}

// forged are certificates that must not be believed.
func (g *gate) forged(good *ssh.Certificate) map[string]ssh.PublicKey {
	shared, err := g.one.secret(g.t.Context())
	if err != nil {
		g.t.Fatal(err)
	}
	sign := func(by ssh.Signer, change func(*ssh.Certificate)) ssh.PublicKey {
		cert := *good
		change(&cert)
		if err := cert.SignCert(rand.Reader, by); err != nil {
			g.t.Fatal(err)
		}
		return &cert
	}
	unsigned := *good
	unsigned.ValidBefore += 1000
	return map[string]ssh.PublicKey{
		"another authority": sign(newSigner(g.t), func(*ssh.Certificate) {}),
		"the host's key":    sign(shared.host, func(*ssh.Certificate) {}),
		"no principal":      sign(shared.ca, func(c *ssh.Certificate) { c.ValidPrincipals = nil }),
		"two principals":    sign(shared.ca, func(c *ssh.Certificate) { c.ValidPrincipals = []string{string(compA), string(compB)} }),
		"another principal": sign(shared.ca, func(c *ssh.Certificate) { c.ValidPrincipals = []string{string(compB)} }),
		"a host's":          sign(shared.ca, func(c *ssh.Certificate) { c.CertType = ssh.HostCert }),
		"a command": sign(shared.ca, func(c *ssh.Certificate) {
			c.CriticalOptions = map[string]string{"force-command": "true"}
		}),
		"no account":       sign(shared.ca, func(c *ssh.Certificate) { c.Extensions = nil }),
		"changed after it": &unsigned,
		"of no registered": sign(shared.ca, func(c *ssh.Certificate) {
			c.Extensions = map[string]string{accountExtension: "acct_admin", keyExtension: "sshkey_none"}
		}),
		"of tomorrow's":        sign(shared.ca, func(c *ssh.Certificate) { c.ValidAfter += 3600; c.ValidBefore += 3600 }),
		"of another's account": sign(shared.ca, func(c *ssh.Certificate) { c.Extensions = map[string]string{accountExtension: "acct_b"} }),
	}
}

func TestCertificatesAreRefused(t *testing.T) {
	g := newGate(t)
	key := g.register(g.own, newSigner(t).PublicKey())
	for name, ask := range map[string]func() error{
		"of another account": func() error { _, err := g.one.Certify(t.Context(), g.other, compA, key.ID, 0); return err },
		"another's key":      func() error { _, err := g.one.Certify(t.Context(), g.other, compB, key.ID, 0); return err },
		"for too long": func() error {
			_, err := g.one.Certify(t.Context(), g.own, compA, key.ID, MaxCertificateTTL+1)
			return err
		},
		"for less than none": func() error { _, err := g.one.Credentials(t.Context(), g.own, compA, -1); return err },
		"of a lone other":    func() error { _, err := g.one.Credentials(t.Context(), g.own, compB, 0); return err },
	} {
		if err := ask(); !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	cert, err := g.one.Certify(t.Context(), g.own, compA, key.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.one.RevokeKey(t.Context(), g.own, key.ID); err != nil {
		t.Fatal(err)
	}
	g.lands(g.one, Attempt{User: "web", Key: parsed(t, cert.Line)}, "")
	if _, err := g.one.Certify(t.Context(), g.own, compA, key.ID, 0); !fault.Is(err, fault.Conflict) {
		t.Errorf("over a revoked key: %v", err)
	}
}

func TestALoginEndsWithWhatLetItIn(t *testing.T) {
	for name, end := range map[string]func(g *gate, k state.SSHKey) (state.Command, state.Change){
		"revoked": func(g *gate, k state.SSHKey) (state.Command, state.Change) {
			return state.RevokeSSHKey{Account: g.own.Account, ID: k.ID}, state.Change{Noun: state.ChangedSSHKey, ID: string(k.ID)}
		},
		"deleted": func(g *gate, k state.SSHKey) (state.Command, state.Change) {
			return state.SetWish{Account: g.own.Account, Computer: compA, Wish: state.WishDeleted}, state.Change{Noun: state.ChangedComputer, ID: string(compA)}
		},
		"transferred": func(g *gate, k state.SSHKey) (state.Command, state.Change) {
			return state.TransferComputer{Account: g.own.Account, Computer: compA, To: "acct_c"}, state.Change{Noun: state.ChangedComputer, ID: string(compA)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			key := newSigner(t).PublicKey()
			registered := g.register(g.own, key)
			login, err := g.one.Admit(t.Context(), Attempt{User: "web", Key: key})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- g.one.Follow(ctx, login) }()
			waitFor(t, func() bool {
				k, err := applied(g.node, func(v *state.View) (state.SSHKey, error) { return v.SSHKey(g.own.Account, registered.ID) })
				return err == nil && !k.LastUsedAt.IsZero()
			})
			cmd, change := end(g, registered)
			g.do(cmd)
			g.one.bell.ring(change)
			if err := <-ended; !fault.Is(err, fault.Unauthorized) {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

func TestALoginEndsWithItsContext(t *testing.T) {
	g := newGate(t)
	key := newSigner(t).PublicKey()
	g.register(g.own, key)
	login, err := g.one.Admit(t.Context(), Attempt{User: "web", Key: key})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.one.Follow(ctx, login) }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

func TestPublicKeys(t *testing.T) {
	key := newSigner(t).PublicKey()
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weakKey, err := ssh.NewPublicKey(&weak.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParsePublicKey("  " + lineOf(key) + "   me @ laptop \n")
	if err != nil || got.Line != lineOf(key) || got.Comment != "me @ laptop" || got.Fingerprint != ssh.FingerprintSHA256(key) {
		t.Errorf("%+v %v", got, err)
	}
	for name, text := range map[string]string{
		"nothing": "", "no key": "ssh-ed25519 AAAA", "two keys": lineOf(key) + "\n" + lineOf(key), "options": "command=\"x\" " + lineOf(key),
		"weak": lineOf(weakKey), "a private key": "-----BEGIN OPENSSH PRIVATE KEY-----", "large": strings.Repeat("x", maxPublicKeyBytes+1),
	} {
		var f *fault.Error
		if _, err := ParsePublicKey(text); !errors.As(err, &f) || f.Field != "public_key" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParsePublicKey(f *testing.F) {
	for _, text := range []string{"", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUdS3hFRQxZM3Wa2W9E2VFmRlhN7y0pBuRlUSYzTfGm me", "no-pty ssh-rsa AAAA", "ssh-ed25519 \x00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := ParsePublicKey(text)
		if err != nil {
			return
		}
		again, err := ParsePublicKey(key.Line)
		if err != nil || again.Line != key.Line || again.Fingerprint != key.Fingerprint || again.Comment != "" {
			t.Errorf("%q: %+v and then %+v %v", text, key, again, err)
		}
		if strings.ContainsAny(key.Line, "\n\r\x00") || strings.Count(key.Line, " ") != 1 {
			t.Errorf("%q is no normal form", key.Line)
		}
	})
}

func FuzzComputerNames(f *testing.F) {
	for _, name := range []string{"web", "", "WEB", "a\x00b", "node", string(compA), "ü"} {
		f.Add(name, "")
		f.Add("node", name)
	}
	f.Fuzz(func(t *testing.T, user, host string) {
		a := Attempt{User: user, Host: host}
		if checkNames(&a) != nil {
			return
		}
		for _, name := range []string{a.User, a.Host} {
			if len(name) > maxComputerName || strings.ToLower(name) != name || strings.ContainsAny(name, "\x00/ \n") {
				t.Errorf("%q passed", name)
			}
		}
	})
}
