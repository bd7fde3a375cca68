package transport

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/identity"
)

const (
	// joinsPerSecond and joinBurst bound the join and renew requests served.
	joinsPerSecond = 5
	joinBurst      = 20
	// maxJoining bounds those served at once: whoever asks is still a stranger.
	maxJoining = 32
	// maxJoinBytes bounds a join request and its answer.
	maxJoinBytes = 256 << 10
	// joinTimeout bounds one join or renewal, the cluster's agreement included.
	joinTimeout = 20 * time.Second
)

// Joiner is a node that asks to be let into the cluster. Its key is proved by
// the connection; nothing else about it is.
type Joiner struct {
	identity.Bearer
	Name       string // its display name
	SecretHash string // of the token's secret, as identity.Token.SecretHash gives it
	Addrs      Addrs
}

// Addrs is where a node answers and what it runs, as it says itself.
type Addrs struct {
	Peer     string `json:"peer"` // host:port for other nodes
	HTTP     string `json:"http"`
	Gossip   string `json:"gossip"`
	Version  string `json:"version"`  // of its build
	Commands int    `json:"commands"` // newest command set it knows
}

// joinRequest is one frame from the node. Without a secret it asks for a new
// certificate, which a member gets by its key alone.
type joinRequest struct {
	Secret []byte `json:"secret,omitempty"`
	Name   string `json:"name,omitempty"`
	Addrs  Addrs  `json:"addrs"`
}

// joinAnswer is the one frame back.
type joinAnswer struct {
	Admission   *identity.Admission `json:"admission,omitempty"`
	Certificate string              `json:"certificate,omitempty"` // PEM, for a renewal
	Fault       json.RawMessage     `json:"fault,omitempty"`
}

// Join asks the members named in the token, one after another, to admit this
// node, and keeps what they hand over. The admission is also returned for its
// peers and gossip addresses. It may be repeated with the same token as long
// as the node's key is the same. A refusal is the member's *fault.Error.
func Join(ctx context.Context, id *identity.Identity, token identity.Token, addrs Addrs) (identity.Admission, error) {
	var failures []error
	for _, addr := range token.Addrs {
		a, err := joinAt(ctx, id, token, addr, addrs)
		if err == nil {
			return a, id.Accept(token, a)
		}
		if f := (*fault.Error)(nil); errors.As(err, &f) && f.Kind != fault.Unavailable {
			return identity.Admission{}, err // the cluster has decided
		}
		failures = append(failures, err)
	}
	return identity.Admission{}, fmt.Errorf("join the cluster: no member in the token let this node in: %w", errors.Join(failures...))
}

func joinAt(ctx context.Context, id *identity.Identity, token identity.Token, addr string, addrs Addrs) (identity.Admission, error) {
	dial := func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	}
	req := joinRequest{Secret: token.Secret[:], Name: id.Name(), Addrs: addrs}
	ans, err := askJoin(ctx, id, dial, byHash(id, token.CA), req)
	if err != nil {
		return identity.Admission{}, fmt.Errorf("join at %s: %w", addr, err)
	}
	if ans.Admission == nil {
		return identity.Admission{}, fmt.Errorf("join at %s: the answer holds no admission", addr)
	}
	return *ans.Admission, nil
}

// byHash accepts a server that shows the authority with this hash and a
// certificate from it. The secret is sent only after that.
func byHash(id *identity.Identity, want [sha256.Size]byte) func(tls.ConnectionState) error {
	return func(cs tls.ConnectionState) error {
		if len(cs.PeerCertificates) != 2 || sha256.Sum256(cs.PeerCertificates[1].Raw) != want {
			return fmt.Errorf("%w: it belongs to another cluster than the token", identity.ErrStranger)
		}
		_, err := identity.Verify(cs.PeerCertificates[0], cs.PeerCertificates[1], x509.ExtKeyUsageServerAuth, id.Now())
		return err
	}
}

// askJoin sends one request and reads its answer.
func askJoin(ctx context.Context, id *identity.Identity, dial func(context.Context) (net.Conn, error),
	verify func(tls.ConnectionState) error, req joinRequest) (joinAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	pair, err := id.SelfSigned()
	if err != nil {
		return joinAnswer{}, err
	}
	connectCtx, done := context.WithTimeout(ctx, connectTimeout)
	raw, err := dial(connectCtx)
	done()
	if err != nil {
		return joinAnswer{}, err
	}
	defer raw.Close()
	stop := context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	c := tls.Client(raw, &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*pair}, NextProtos: []string{protoJoin},
		InsecureSkipVerify: true, // no host names: verify judges
		VerifyConnection:   verify,
	})
	if err := c.HandshakeContext(ctx); err != nil {
		return joinAnswer{}, err
	}
	if err := writeJoin(c, req); err != nil {
		return joinAnswer{}, err
	}
	var ans joinAnswer
	if err := readJoin(c, &ans); err != nil {
		return joinAnswer{}, err
	}
	if ans.Fault != nil {
		return joinAnswer{}, decodeFault(ans.Fault)
	}
	return ans, nil
}

// serveJoin answers the one request of a node that proved its key.
func (t *Transport) serveJoin(c net.Conn, b identity.Bearer) {
	ctx, cancel := context.WithTimeout(t.ctx, joinTimeout)
	defer cancel()
	c.SetDeadline(time.Now().Add(handshakeTimeout))
	var req joinRequest
	err := readJoin(c, &req)
	var ans joinAnswer
	if err == nil {
		ans, err = t.answerJoin(ctx, b, req)
	}
	if err != nil {
		t.metrics.refused.WithLabelValues(refusedJoin).Inc()
		t.log.Warn("a node was not let in", "node", string(b.Node), "name", req.Name, "err", err)
		ans = joinAnswer{Fault: encodeFault(err)}
	}
	c.SetDeadline(time.Now().Add(handshakeTimeout))
	if err := writeJoin(c, ans); err != nil {
		t.log.Debug("answering a join failed", "node", string(b.Node), "err", err)
		return
	}
	io.Copy(io.Discard, io.LimitReader(c, 1)) // the node closes first, so that no reset eats the answer
}

func (t *Transport) answerJoin(ctx context.Context, b identity.Bearer, req joinRequest) (joinAnswer, error) {
	if !t.joins.Allow() {
		return joinAnswer{}, fault.New(fault.Unavailable, "too many nodes join at once; try again").WithRetry(retryHint)
	}
	if req.Secret == nil {
		return t.answerRenewal(b)
	}
	if t.o.Admit == nil {
		return joinAnswer{}, fault.New(fault.Unavailable, "this node cannot admit others yet; try another member").WithRetry(retryHint)
	}
	sum := sha256.Sum256(req.Secret)
	a, err := t.o.Admit(ctx, Joiner{Bearer: b, Name: req.Name, SecretHash: hex.EncodeToString(sum[:]), Addrs: req.Addrs})
	if err != nil {
		return joinAnswer{}, err
	}
	return joinAnswer{Admission: &a}, nil
}

// writeJoin writes a value as length (4 bytes, big endian) and JSON.
func writeJoin(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

func readJoin(r io.Reader, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxJoinBytes {
		return fault.New(fault.TooLarge, "a join message has at most %d bytes", maxJoinBytes)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fault.New(fault.Invalid, "the join message cannot be read: %w", err)
	}
	return nil
}
