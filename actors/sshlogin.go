package actors

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// maxRegistrations bounds the accounts looked through for a public key.
	maxRegistrations = 100
	// maxComputerName bounds a user name that names a computer.
	maxComputerName = 255
	// plainUser names no computer: the edge's clients may send it, because
	// their TLS names one.
	plainUser = "node"
)

// Attempt is somebody who shows a key at the gateway.
type Attempt struct {
	User string // names the computer: its id, its label or its handle
	// Host is the computer that the TLS around the connection names, or "".
	Host string
	Key  ssh.PublicKey // a certificate too; its signature was not checked yet
}

// Login is an attempt that may go in, once its key's signature is verified.
type Login struct {
	Computer state.ComputerID
	Account  state.AccountID
	// Key is the registered key, also of a certificate over one; "" for none.
	Key state.SSHKeyID
	// Line is the key of the computer's own that let it in; "" for none.
	Line string
	// By says for people what let it in.
	By string
}

// Admit says which computer an attempt may log in to. Everything that does not
// let it in is Unauthorized, and says why only to those who read logs.
func (s *SSH) Admit(ctx context.Context, a Attempt) (Login, error) {
	if err := checkNames(&a); err != nil {
		return Login{}, err
	}
	cert, certified := a.Key.(*ssh.Certificate)
	var shared *sshSecret
	if certified {
		var err error
		if shared, err = s.secret(ctx); err != nil {
			return Login{}, err
		}
	}
	return view(ctx, s.cluster, func(v *state.View) (Login, error) {
		if certified {
			return s.admitCertificate(v, a, cert, shared)
		}
		return admitKey(v, a)
	})
}

func refusedLogin(format string, args ...any) error {
	return fault.New(fault.Unauthorized, format, args...)
}

// checkNames brings the names of an attempt into the letters of records' keys,
// and lets the TLS name stand in for plainUser.
func checkNames(a *Attempt) error {
	a.User, a.Host = strings.ToLower(a.User), strings.ToLower(a.Host)
	if a.Host != "" && a.User == plainUser {
		a.User = a.Host
	}
	if !namesComputer(a.User) || a.Host != "" && !namesComputer(a.Host) {
		return refusedLogin("the user name is no computer's")
	}
	return nil
}

// namesComputer reports whether a name is made of the letters of ids, labels
// and handles.
func namesComputer(name string) bool {
	if name == "" || len(name) > maxComputerName {
		return false
	}
	return strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.", r)
	}) < 0
}

// named reports whether a computer has the name.
func named(c state.Computer, name string) bool {
	return name == string(c.ID) || name == c.Label || name == c.Handle
}

// admitCertificate takes a certificate that this cluster signed for the
// computer that the attempt names.
func (s *SSH) admitCertificate(v *state.View, a Attempt, cert *ssh.Certificate, shared *sshSecret) (Login, error) {
	if cert.CertType != ssh.UserCert || !bytes.Equal(cert.SignatureKey.Marshal(), shared.ca.PublicKey().Marshal()) {
		return Login{}, refusedLogin("the certificate is not one of this cluster's for users")
	}
	if len(cert.ValidPrincipals) != 1 {
		return Login{}, refusedLogin("the certificate has %d principals and not one", len(cert.ValidPrincipals))
	}
	principal := cert.ValidPrincipals[0]
	checker := ssh.CertChecker{Clock: s.now}
	if err := checker.CheckCert(principal, cert); err != nil {
		return Login{}, refusedLogin("%w", err)
	}
	login := Login{Computer: state.ComputerID(principal), Account: state.AccountID(cert.Extensions[accountExtension]),
		Key: state.SSHKeyID(cert.Extensions[keyExtension]), By: cert.KeyId}
	computer, err := login.stands(v)
	if err != nil {
		return Login{}, err
	}
	if !named(computer, a.User) || a.Host != "" && !named(computer, a.Host) {
		return Login{}, refusedLogin("the certificate is for computer %s alone", computer.ID)
	}
	return login, nil
}

// admitKey takes a key that is registered with the account of the computer
// that the attempt names, or that the computer itself lets in.
func admitKey(v *state.View, a Attempt) (Login, error) {
	line, fingerprint := lineOf(a.Key), ssh.FingerprintSHA256(a.Key)
	candidates, err := computersNamed(v, a.User, fingerprint)
	if err != nil {
		return Login{}, err
	}
	var in []Login
	for _, c := range candidates {
		if a.Host != "" && !named(c, a.Host) {
			continue
		}
		login, err := loginBy(v, c, line, fingerprint)
		if err != nil {
			return Login{}, err
		}
		if login.By != "" {
			in = append(in, login)
		}
	}
	switch len(in) {
	case 0:
		return Login{}, refusedLogin("no computer %q lets in the key %s", a.User, fingerprint)
	case 1:
		return in[0], nil
	}
	// Anybody can register anybody's public key and name a computer like
	// another's: whoever logs in must not land there.
	return Login{}, refusedLogin("%d computers are called %q and let in the key %s: use the id", len(in), a.User, fingerprint)
}

// loginBy says how a key may log in to a computer; By is "" when it may not.
func loginBy(v *state.View, c state.Computer, line, fingerprint string) (Login, error) {
	login := Login{Computer: c.ID, Account: c.Account}
	key, registered, err := v.SSHKeyOf(c.Account, fingerprint)
	switch {
	case err != nil:
		return login, err
	case registered:
		login.Key, login.By = key.ID, "registered key "+string(key.ID)
	case letsIn(c, line):
		login.Line, login.By = line, "key of the computer "+fingerprint
	}
	return login, nil
}

// letsIn reports whether a key is among the computer's own.
func letsIn(c state.Computer, line string) bool {
	return slices.ContainsFunc(c.AuthorizedKeys, func(written string) bool {
		key, err := ParsePublicKey(written)
		return err == nil && key.Line == line
	})
}

// computersNamed are those that a user name may mean: by id, by label, or by
// handle in an account that has the key.
func computersNamed(v *state.View, name, fingerprint string) ([]state.Computer, error) {
	var found []state.Computer
	add := func(c state.Computer, ok bool) {
		known := slices.ContainsFunc(found, func(have state.Computer) bool { return have.ID == c.ID })
		if ok && !known && c.Phase != state.Deleted && c.Wish != state.WishDeleted {
			found = append(found, c)
		}
	}
	c, ok, err := v.AnyComputer(state.ComputerID(name))
	if err != nil {
		return nil, err
	}
	if add(c, ok); ok {
		return found, nil // nobody's handle is an id
	}
	if c, ok, err = v.ComputerLabelled(name); err != nil {
		return nil, err
	}
	add(c, ok)
	var accounts []state.AccountID
	err = v.SSHKeysWith(fingerprint, func(k state.SSHKey) bool {
		accounts = append(accounts, k.Account)
		return len(accounts) < maxRegistrations
	})
	for _, account := range accounts {
		if err != nil {
			return nil, err
		}
		c, ok, err = v.ComputerNamed(account, name)
		add(c, ok)
	}
	return found, err
}

// stands reports why a login is no longer good: the computer is gone or
// another account's, or what let it in does so no more.
func (l Login) stands(v *state.View) (state.Computer, error) {
	c, err := v.Computer(l.Account, l.Computer)
	if fault.Is(err, fault.NotFound) || err == nil && c.Wish == state.WishDeleted {
		return c, refusedLogin("computer %s is not there any more, or another account's", l.Computer)
	}
	if err != nil {
		return c, err
	}
	if l.Key != "" {
		key, err := v.SSHKey(l.Account, l.Key)
		if err == nil && !key.Valid() || fault.Is(err, fault.NotFound) {
			return c, refusedLogin("the SSH key %s is revoked", l.Key)
		}
		if err != nil {
			return c, err
		}
	}
	if l.Line != "" && !letsIn(c, l.Line) {
		return c, refusedLogin("computer %s does not let in this key any more", l.Computer)
	}
	return c, nil
}

// Used has audited what somebody does who has logged in.
func (s *SSH) Used(l Login, action string, names ...string) {
	way := state.Resource{Kind: "sshkey", ID: string(l.Key)}
	if l.Key == "" {
		way, names = state.Resource{Kind: "computer", ID: string(l.Computer)}, append([]string{l.By}, names...)
	}
	s.diary.Note(Through(context.Background(), way), action, l.Account, l.Computer, names...)
}

// Names are what the computer of a login calls itself.
func (s *SSH) Names(l Login) ([]string, error) {
	c, err := applied(s.cluster, l.stands)
	return []string{string(c.ID), c.Label, c.Handle}, err
}

// Follow notes that a login was used, and returns when it is no longer good,
// which the error tells, when the node stops, or with ctx.
func (s *SSH) Follow(ctx context.Context, l Login) error {
	ctx, end := context.WithCancelCause(ctx)
	var others sync.WaitGroup
	good := func() (bool, error) {
		_, err := applied(s.cluster, l.stands)
		return false, err
	}
	if l.Key != "" {
		others.Go(func() {
			// A use that is not recorded is no reason to end it.
			_ = s.recordUse(ctx, l.Account, l.Key)
			end(s.bell.until(ctx, state.ChangedSSHKey, string(l.Key), good))
		})
	}
	end(s.bell.until(ctx, state.ChangedComputer, string(l.Computer), good))
	others.Wait()
	return context.Cause(ctx)
}
