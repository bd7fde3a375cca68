package actors

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// How long certificates last.
const (
	DefaultCertificateTTL = 10 * time.Minute // over a registered key
	DefaultCredentialsTTL = time.Hour        // with a key pair of its own
	MaxCertificateTTL     = 24 * time.Hour
	// certificateBackdate is for nodes and clients whose clocks are behind.
	certificateBackdate = 5 * time.Minute
)

// Extensions of our own, which say more of a certificate than OpenSSH's fields.
const (
	accountExtension = "account@bothy.computer" // whose computer it was when signed
	keyExtension     = "ssh-key@bothy.computer" // the registered key; absent for none
)

// SSH is who may log in to which computer: registered keys, and certificates
// that the cluster signs. Every node answers the same.
type SSH struct {
	cluster Cluster
	diary   *Diary
	sealer  Sealer
	bell    *bell
	now     func() time.Time
	using   sync.Map // state.SSHKeyID → struct{}: uses being recorded

	mu     sync.Mutex
	shared *sshSecret // once known, for good
}

// sshSecret is what all nodes of a cluster sign and show.
type sshSecret struct {
	ca, host ssh.Signer
}

// sealedSSH is sshSecret as it is sealed: seeds of ed25519 keys.
type sealedSSH struct {
	CA   []byte `json:"ca"`
	Host []byte `json:"host"`
}

// sshSecretName is the record's.
const sshSecretName = "ssh"

var sshAAD = state.SecretSealedAs(sshSecretName)

// secret reads what the cluster signs by; the first node asked makes it.
func (s *SSH) secret(ctx context.Context) (*sshSecret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shared != nil {
		return s.shared, nil
	}
	record, err := applied(s.cluster, func(v *state.View) (state.Secret, error) {
		r, _, err := v.Secret(sshSecretName)
		return r, err
	})
	if err == nil && record.Sealed == nil {
		record.Sealed, err = s.makeSecret(ctx)
	}
	if err == nil {
		s.shared, err = s.open(record.Sealed)
	}
	if err != nil {
		return nil, fmt.Errorf("read the cluster's SSH keys: %w", err)
	}
	return s.shared, nil
}

func (s *SSH) makeSecret(ctx context.Context) ([]byte, error) {
	made := sealedSSH{CA: make([]byte, ed25519.SeedSize), Host: make([]byte, ed25519.SeedSize)}
	rand.Read(made.CA)
	rand.Read(made.Host)
	plain, err := json.Marshal(made)
	if err != nil {
		return nil, err
	}
	sealed, err := s.sealer.Seal(sshAAD, plain)
	if err != nil {
		return nil, err
	}
	return propose[[]byte](ctx, s.cluster, state.SetSecret{Secret: state.Secret{Name: sshSecretName, Sealed: sealed}})
}

func (s *SSH) open(sealed []byte) (*sshSecret, error) {
	plain, err := s.sealer.Open(sshAAD, sealed)
	if err != nil {
		return nil, err
	}
	var seeds sealedSSH
	if err := json.Unmarshal(plain, &seeds); err != nil {
		return nil, err
	}
	if len(seeds.CA) != ed25519.SeedSize || len(seeds.Host) != ed25519.SeedSize {
		return nil, fault.New(fault.Internal, "the sealed SSH keys are no seeds")
	}
	ca, err := ssh.NewSignerFromSigner(ed25519.NewKeyFromSeed(seeds.CA))
	if err != nil {
		return nil, err
	}
	host, err := ssh.NewSignerFromSigner(ed25519.NewKeyFromSeed(seeds.Host))
	return &sshSecret{ca, host}, err
}

// HostKey is what every node shows its SSH clients.
func (s *SSH) HostKey(ctx context.Context) (ssh.Signer, error) {
	shared, err := s.secret(ctx)
	if err != nil {
		return nil, err
	}
	return shared.host, nil
}

// Certificate lets the holder of a registered key log in to one computer.
type Certificate struct {
	Line    string // as ssh-keygen writes it into …-cert.pub
	User    string // to log in as
	Expires time.Time
}

// Credentials are a key pair made for one computer, with its certificate. The
// private key is kept nowhere else.
type Credentials struct {
	Computer    state.Computer
	PrivateKey  string // OpenSSH PEM
	PublicKey   string
	Certificate Certificate
	HostKey     string // of the gateway, for known_hosts
}

// SSHUser is the user name that names a computer to the gateway.
func SSHUser(c state.Computer) string {
	if c.Label != "" {
		return c.Label
	}
	return string(c.ID)
}

// Certify signs a certificate over a registered key of the caller's account.
// A zero ttl is DefaultCertificateTTL; more than MaxCertificateTTL is Invalid.
func (s *SSH) Certify(ctx context.Context, c Caller, id state.ComputerID, key state.SSHKeyID, ttl time.Duration) (Certificate, error) {
	var registered state.SSHKey
	computer, err := view(ctx, s.cluster, func(v *state.View) (computer state.Computer, err error) {
		if computer, err = v.Computer(c.Account, id); err == nil {
			registered, err = v.SSHKey(c.Account, key)
		}
		return computer, err
	})
	if err != nil {
		return Certificate{}, err
	}
	if !registered.Valid() {
		return Certificate{}, fault.New(fault.Conflict, "the SSH key %s is revoked", key).WithField("ssh_key_id")
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(registered.PublicKey))
	if err != nil {
		return Certificate{}, fmt.Errorf("read the registered key %s: %w", key, err)
	}
	return s.sign(ctx, c, computer, public, key, orDefault(ttl, DefaultCertificateTTL))
}

// Credentials make a key pair and a certificate over it for a computer of the
// caller's account. A zero ttl is DefaultCredentialsTTL.
func (s *SSH) Credentials(ctx context.Context, c Caller, id state.ComputerID, ttl time.Duration) (Credentials, error) {
	computer, err := view(ctx, s.cluster, func(v *state.View) (state.Computer, error) { return v.Computer(c.Account, id) })
	if err != nil {
		return Credentials{}, err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Credentials{}, fmt.Errorf("make a key pair: %w", err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		return Credentials{}, fmt.Errorf("make a key pair: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "bothy "+string(id))
	if err != nil {
		return Credentials{}, fmt.Errorf("write a private key: %w", err)
	}
	certificate, err := s.sign(ctx, c, computer, key, "", orDefault(ttl, DefaultCredentialsTTL))
	if err != nil {
		return Credentials{}, err
	}
	host, err := s.HostKey(ctx)
	if err != nil {
		return Credentials{}, err
	}
	return Credentials{Computer: computer, PrivateKey: string(pem.EncodeToMemory(block)), PublicKey: lineOf(key),
		Certificate: certificate, HostKey: lineOf(host.PublicKey())}, nil
}

func orDefault(ttl, otherwise time.Duration) time.Duration {
	if ttl == 0 {
		return otherwise
	}
	return ttl
}

// sign makes a certificate whose only principal is the computer.
func (s *SSH) sign(ctx context.Context, c Caller, computer state.Computer, key ssh.PublicKey, registered state.SSHKeyID, ttl time.Duration) (Certificate, error) {
	if ttl < time.Second || ttl > MaxCertificateTTL {
		return Certificate{}, fault.New(fault.Invalid, "ttl_seconds must be 1 to %d", int(MaxCertificateTTL/time.Second)).WithField("ttl_seconds")
	}
	if computer.Wish == state.WishDeleted {
		return Certificate{}, fault.New(fault.Conflict, "computer %s is being deleted", computer.ID)
	}
	shared, err := s.secret(ctx)
	if err != nil {
		return Certificate{}, err
	}
	var serial [8]byte
	rand.Read(serial[:])
	expires := s.now().Add(ttl).Truncate(time.Second)
	cert := &ssh.Certificate{
		Key: key, Serial: binary.BigEndian.Uint64(serial[:]), CertType: ssh.UserCert,
		KeyId:           fmt.Sprintf("bothy account=%s user=%s key=%s computer=%s", c.Account, c.User, orNone(registered), computer.ID),
		ValidPrincipals: []string{string(computer.ID)},
		ValidAfter:      uint64(s.now().Add(-certificateBackdate).Unix()), ValidBefore: uint64(expires.Unix()),
		Permissions: ssh.Permissions{Extensions: map[string]string{
			"permit-pty": "", "permit-port-forwarding": "", accountExtension: string(computer.Account)}},
	}
	if registered != "" {
		cert.Extensions[keyExtension] = string(registered)
	}
	if err := cert.SignCert(rand.Reader, shared.ca); err != nil {
		return Certificate{}, fmt.Errorf("sign a certificate: %w", err)
	}
	return Certificate{Line: lineOf(cert), User: SSHUser(computer), Expires: expires}, nil
}

func orNone(id state.SSHKeyID) string {
	if id == "" {
		return "none"
	}
	return string(id)
}
