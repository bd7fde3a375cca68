package actors

import (
	"bytes"
	"context"
	"crypto/rsa"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// maxPublicKeyBytes bounds a public key as a user writes it.
	maxPublicKeyBytes = 16 << 10
	// maxSSHKeyName bounds its name.
	maxSSHKeyName = 200
	// minRSABits is the least that an RSA key may have.
	minRSABits = 2048
)

// sshKeyTypes are the kinds of public keys that may log in.
var sshKeyTypes = []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
	ssh.KeyAlgoRSA, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256}

// PublicKey is an SSH public key in its normal form.
type PublicKey struct {
	Line        string // type and base64, no comment
	Comment     string
	Fingerprint string // SHA256:…
}

// ParsePublicKey reads one line of an authorized_keys file without options, as
// ssh-keygen writes it. Ed25519, ECDSA, RSA from 2048 bits and security keys
// are taken; a failure is Invalid and names the field public_key.
func ParsePublicKey(text string) (PublicKey, error) {
	if len(text) > maxPublicKeyBytes {
		return PublicKey{}, fault.New(fault.TooLarge, "public_key is %d bytes; the limit is %d", len(text), maxPublicKeyBytes).WithField("public_key")
	}
	invalid := func(format string, args ...any) error {
		return fault.New(fault.Invalid, "public_key "+format, args...).WithField("public_key")
	}
	line := strings.TrimSpace(text)
	if line == "" || strings.ContainsAny(line, "\r\n\x00") {
		return PublicKey{}, invalid("must be one line such as: ssh-ed25519 AAAA… comment")
	}
	key, comment, options, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return PublicKey{}, invalid("is no SSH public key; write it as ssh-keygen does: ssh-ed25519 AAAA… comment")
	}
	if len(options) > 0 {
		return PublicKey{}, invalid("must begin with the key's type: options are not taken")
	}
	if err := suits(key); err != nil {
		return PublicKey{}, invalid("%v", err)
	}
	return PublicKey{Line: lineOf(key), Comment: comment, Fingerprint: ssh.FingerprintSHA256(key)}, nil
}

func lineOf(key ssh.PublicKey) string {
	return string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(key)))
}

// suits refuses keys that are too weak, or no keys but certificates.
func suits(key ssh.PublicKey) error {
	known := false
	for _, t := range sshKeyTypes {
		known = known || key.Type() == t
	}
	if !known {
		return fault.New(fault.Invalid, "is of type %s; these are taken: %s", key.Type(), strings.Join(sshKeyTypes, ", "))
	}
	if of, ok := key.(ssh.CryptoPublicKey); ok {
		if strong, ok := of.CryptoPublicKey().(*rsa.PublicKey); ok && strong.N.BitLen() < minRSABits {
			return fault.New(fault.Invalid, "has %d bits; an RSA key has at least %d", strong.N.BitLen(), minRSABits)
		}
	}
	return nil
}

// RegisterKey lets the holder of a key log in to the computers of the caller's
// account. An empty name is the key's comment. One that the account has
// already is a Conflict.
func (s *SSH) RegisterKey(ctx context.Context, c Caller, name, publicKey string) (state.SSHKey, error) {
	key, err := ParsePublicKey(publicKey)
	if err != nil {
		return state.SSHKey{}, err
	}
	if name == "" {
		name = key.Comment
	}
	if len(name) > maxSSHKeyName {
		return state.SSHKey{}, fault.New(fault.TooLarge, "name is %d bytes; the limit is %d", len(name), maxSSHKeyName).WithField("name")
	}
	id := newID[state.SSHKeyID]("sshkey")
	_, err = s.cluster.Apply(ctx, state.CreateSSHKey{Key: state.SSHKey{ID: id, Account: c.Account, User: c.User, Name: name,
		PublicKey: key.Line, Fingerprint: key.Fingerprint}})
	if err != nil {
		return state.SSHKey{}, err
	}
	return applied(s.cluster, func(v *state.View) (state.SSHKey, error) { return v.SSHKey(c.Account, id) })
}

// Keys lists the keys of the caller's account that are not revoked, newest
// first.
func (s *SSH) Keys(ctx context.Context, c Caller) ([]state.SSHKey, error) {
	list, err := view(ctx, s.cluster, func(v *state.View) (state.List[state.SSHKey], error) { return v.SSHKeys(c.Account) })
	return list.Items, err
}

// RevokeKey ends a key at once: nobody logs in by it or by a certificate over
// it, and connections made so are cut.
func (s *SSH) RevokeKey(ctx context.Context, c Caller, id state.SSHKeyID) error {
	_, err := s.cluster.Apply(ctx, state.RevokeSSHKey{Account: c.Account, ID: id})
	return err
}

// recordUse notes that somebody logged in with a registered key, at most once in
// SSHKeyUseInterval.
func (s *SSH) recordUse(ctx context.Context, account state.AccountID, id state.SSHKeyID) error {
	key, err := applied(s.cluster, func(v *state.View) (state.SSHKey, error) { return v.SSHKey(account, id) })
	if err != nil || s.now().Sub(key.LastUsedAt) < state.SSHKeyUseInterval {
		return err
	}
	if _, busy := s.using.LoadOrStore(id, struct{}{}); busy {
		return nil
	}
	defer s.using.Delete(id)
	_, err = s.cluster.Apply(ctx, state.UseSSHKey{ID: id})
	return err
}
