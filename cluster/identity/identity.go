package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	nodeFile    = "node.json"
	nodeKeyFile = "node.key"
)

var (
	// ErrAlone is returned where a cluster is needed and the node has none yet.
	ErrAlone = errors.New("this node belongs to no cluster yet")
	// ErrJoined is returned when a member is told to make or join a cluster.
	ErrJoined = errors.New("this data directory already belongs to a cluster; use another --data-dir")
)

var legalName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// Options says which node to open.
type Options struct {
	// Dir is the data directory; it is made if need be.
	Dir string
	// Name is the display name. Empty keeps the stored one; at first start
	// the base name of Dir.
	Name string
	// Now tells the time that certificates are dated with; nil is time.Now.
	Now func() time.Time
}

// Identity is one node's, open in one process. Its methods may be called from
// any goroutine.
type Identity struct {
	dir  *directory
	node state.NodeID
	name string
	key  ed25519.PrivateKey
	now  func() time.Time

	writing sync.Mutex                 // held while cluster.json is replaced
	member  atomic.Pointer[membership] // nil until bootstrapped or admitted
}

// nodeRecord is node.json.
type nodeRecord struct {
	Version int          `json:"version"`
	Node    state.NodeID `json:"uuid"`
	Name    string       `json:"name"`
}

// Open locks the data directory and reads who the node is; at first start it
// makes a uuid and a key. A directory that another process holds is ErrInUse.
func Open(o Options) (*Identity, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	dir, err := holdDirectory(o.Dir)
	if err != nil {
		return nil, err
	}
	id := &Identity{dir: dir, now: o.Now}
	if err := id.load(o.Name); err != nil {
		dir.release()
		return nil, fmt.Errorf("open the identity in %s: %w", o.Dir, err)
	}
	return id, nil
}

func (id *Identity) load(name string) error {
	stored, err := id.dir.read(nodeFile)
	if err != nil {
		return err
	}
	if stored == nil {
		err = id.first(name)
	} else {
		err = id.again(stored, name)
	}
	if err != nil {
		return err
	}
	m, err := id.readMembership()
	if err != nil {
		return err
	}
	id.member.Store(m)
	return nil
}

// first makes a new node. The key is written before the record that needs it.
func (id *Identity) first(name string) (err error) {
	if name == "" {
		abs, err := filepath.Abs(id.dir.path)
		if err != nil {
			return err
		}
		name = filepath.Base(abs)
	}
	if id.key, err = id.readKey(); err != nil {
		return err
	}
	if id.key == nil {
		if id.key, err = id.makeKey(); err != nil {
			return err
		}
	}
	id.node = state.NodeID(uuid.NewString())
	return id.rename(name)
}

// again takes up a node that was here before.
func (id *Identity) again(stored []byte, name string) (err error) {
	var rec nodeRecord
	if err := json.Unmarshal(stored, &rec); err != nil {
		return fmt.Errorf("read %s: %w", nodeFile, err)
	}
	if id.node, err = ParseNodeID(string(rec.Node)); err != nil {
		return fmt.Errorf("read %s: %w", nodeFile, err)
	}
	if id.key, err = id.readKey(); err != nil {
		return err
	}
	if id.key == nil {
		return fmt.Errorf("%s is missing: without its key this node cannot be node %s; restore the file, or start with an empty data directory", nodeKeyFile, id.node)
	}
	if name == "" || name == rec.Name {
		id.name = rec.Name
		return nil
	}
	return id.rename(name)
}

func (id *Identity) rename(name string) error {
	if !legalName.MatchString(name) {
		return fmt.Errorf("the node name %q is not legal: 1 to 63 letters, digits, '.', '_' or '-', beginning with a letter or digit; set one with --id", name)
	}
	b, err := json.MarshalIndent(nodeRecord{Version: 1, Node: id.node, Name: name}, "", "  ")
	if err != nil {
		return err
	}
	id.name = name
	return id.dir.write(nodeFile, append(b, '\n'))
}

func (id *Identity) readKey() (ed25519.PrivateKey, error) {
	b, err := id.dir.read(nodeKeyFile)
	if err != nil || b == nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("read %s: not a PEM key", nodeKeyFile)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", nodeKeyFile, err)
	}
	ed, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("read %s: not an ed25519 key", nodeKeyFile)
	}
	return ed, nil
}

func (id *Identity) makeKey() (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the node's key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make the node's key: %w", err)
	}
	return key, id.dir.write(nodeKeyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// Node is the uuid made at first start.
func (id *Identity) Node() state.NodeID { return id.node }

// Name is the display name.
func (id *Identity) Name() string { return id.name }

// Dir is the data directory.
func (id *Identity) Dir() string { return id.dir.path }

// Now is the time by the identity's clock.
func (id *Identity) Now() time.Time { return id.now() }

// PublicKey is the node's; its KeyHash is what a member record holds.
func (id *Identity) PublicKey() ed25519.PublicKey { return id.key.Public().(ed25519.PublicKey) }

// KeyHash is the SHA-256 of the node's public key.
func (id *Identity) KeyHash() [sha256.Size]byte { return KeyHash(id.PublicKey()) }

// Joined reports whether the node has bootstrapped a cluster or was admitted to one.
func (id *Identity) Joined() bool { return id.member.Load() != nil }

// Close lets another process have the data directory.
func (id *Identity) Close() error { return id.dir.release() }

// SelfSigned makes a certificate that carries the node's uuid and key and
// nobody's trust: what a node shows when it asks to be admitted or renewed.
func (id *Identity) SelfSigned() (*tls.Certificate, error) {
	tmpl := nodeTemplate(id.node, id.now(), 2*backdate)
	cert, err := sign(tmpl, tmpl, id.PublicKey(), id.key)
	if err != nil {
		return nil, err
	}
	return id.keyPair(cert), nil
}

func (id *Identity) keyPair(cert *x509.Certificate) *tls.Certificate {
	return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: id.key, Leaf: cert}
}
