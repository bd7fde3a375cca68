package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
)

const (
	tokenPrefix = "bothy1"

	// maxTokenBytes bounds a token's text.
	maxTokenBytes = 2048
	// maxTokenAddrs bounds the addresses in a token.
	maxTokenAddrs = 16
)

// Token lets one new node join: it names the cluster's authority, proves a
// one-time secret, and says where members answer. Its text is a secret; only
// SecretHash is ever kept.
type Token struct {
	CA     [sha256.Size]byte // SHA-256 of the authority's certificate, DER
	Secret [KeyBytes]byte    // works once
	Addrs  []string          // host:port where members take nodes, at least one
}

// newToken makes a token with a fresh secret.
func newToken(ca [sha256.Size]byte, addrs []string) (Token, error) {
	t := Token{CA: ca, Addrs: addrs}
	if err := checkAddrs(addrs); err != nil {
		return Token{}, err
	}
	rand.Read(t.Secret[:])
	return t, nil
}

// SecretHash is what the cluster keeps of a token: the SHA-256 of its secret,
// hexadecimal.
func (t Token) SecretHash() string { return hashSecret(t.Secret[:]) }

func hashSecret(secret []byte) string {
	sum := sha256.Sum256(secret)
	return hex.EncodeToString(sum[:])
}

// Text is the token as a person copies it:
// bothy1.<authority hash>.<secret>.<address>,<address>...
func (t Token) Text() string {
	b64 := base64.RawURLEncoding
	return tokenPrefix + "." + b64.EncodeToString(t.CA[:]) + "." + b64.EncodeToString(t.Secret[:]) + "." + strings.Join(t.Addrs, ",")
}

// String hides the secret, so that a token printed by mistake gives nothing away.
func (t Token) String() string { return tokenPrefix + ".(hidden)" }

// LogValue hides the secret from logs.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// ParseToken reads a token's text. Its errors never repeat the text.
func ParseToken(text string) (Token, error) {
	text = strings.TrimSpace(text)
	if len(text) > maxTokenBytes {
		return Token{}, fmt.Errorf("a join token has at most %d characters", maxTokenBytes)
	}
	parts := strings.SplitN(text, ".", 4)
	if len(parts) != 4 || parts[0] != tokenPrefix {
		return Token{}, fmt.Errorf("this is not a join token; it must begin with %q and be copied whole (make one with `bothy token`)", tokenPrefix+".")
	}
	t := Token{Addrs: strings.Split(parts[3], ",")}
	if err := decodeExactly(t.CA[:], parts[1]); err != nil {
		return Token{}, fmt.Errorf("the join token's authority hash is damaged; copy the token again")
	}
	if err := decodeExactly(t.Secret[:], parts[2]); err != nil {
		return Token{}, fmt.Errorf("the join token's secret is damaged; copy the token again")
	}
	if err := checkAddrs(t.Addrs); err != nil {
		return Token{}, err
	}
	return t, nil
}

// decodeExactly fills dst and refuses any other length or spelling.
func decodeExactly(dst []byte, text string) error {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return err
	}
	if len(b) != len(dst) || strings.ContainsAny(text, "\r\n") {
		return fmt.Errorf("%d bytes, not %d", len(b), len(dst))
	}
	copy(dst, b)
	return nil
}

func checkAddrs(addrs []string) error {
	if len(addrs) == 0 || len(addrs) > maxTokenAddrs {
		return fmt.Errorf("a join token names 1 to %d addresses, not %d", maxTokenAddrs, len(addrs))
	}
	for _, a := range addrs {
		host, port, err := net.SplitHostPort(a)
		n, perr := strconv.ParseUint(port, 10, 16)
		if err != nil || perr != nil || host == "" || n == 0 || strings.ContainsAny(a, ", \t\r\n") {
			return fmt.Errorf("a join token's address must be host:port, not %q", a)
		}
	}
	return nil
}
