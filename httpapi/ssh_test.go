package httpapi_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/httpapi"
	"github.com/bothy-computer/bothy/httpapi/doortest"
)

// newPublicKey is a line of authorized_keys without its comment.
func newPublicKey(t *testing.T) string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(key)))
}

// sshKey is a registered key as the dialect shows it.
type sshKey struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	PublicKey   string     `json:"public_key"`
	Fingerprint string     `json:"fingerprint"`
	CreatedAt   time.Time  `json:"created_at"`
	RevokedAt   *time.Time `json:"revoked_at"`
}

func withSSH() doortest.Option {
	return doortest.With(func(o *httpapi.Options) { o.SSHAddr = ":2222" })
}

func TestSSHKeysAreRegisteredOnceAndRevoked(t *testing.T) {
	h := doortest.Open(t, withSSH())
	c := as(t, h, h.Key)
	_, rival := h.NewAccount("rival", 1)
	line := newPublicKey(t)
	var made struct {
		Key sshKey `json:"ssh_key"`
	}
	c.do("POST", "/v1/ssh-keys", map[string]string{"public_key": line + " me@laptop\n"}).is(201).into(&made)
	if made.Key.PublicKey != line || made.Key.Name != "me@laptop" || !strings.HasPrefix(made.Key.Fingerprint, "SHA256:") || made.Key.CreatedAt.IsZero() {
		t.Fatalf("%+v", made.Key)
	}
	c.do("POST", "/v1/ssh-keys", map[string]string{"public_key": line, "name": "again"}).fails(409, "ssh_key_exists", made.Key.ID)
	var list struct {
		Keys []sshKey `json:"ssh_keys"`
	}
	c.do("GET", "/v1/ssh-keys", nil).is(200).into(&list)
	if len(list.Keys) != 1 || list.Keys[0].ID != made.Key.ID || list.Keys[0].RevokedAt != nil {
		t.Fatalf("%+v", list)
	}
	theirs := as(t, h, rival)
	theirs.do("DELETE", "/v1/ssh-keys/"+made.Key.ID, nil).fails(404, "not_found", made.Key.ID)
	theirs.do("POST", "/v1/ssh-keys", map[string]string{"public_key": line}).is(201)
	for range 2 {
		c.do("DELETE", "/v1/ssh-keys/"+made.Key.ID, nil).is(204)
	}
	c.do("GET", "/v1/ssh-keys", nil).is(200).into(&list)
	if len(list.Keys) != 0 {
		t.Fatalf("%+v", list)
	}
	for name, body := range map[string]string{"nothing": `{}`, "no key": `{"public_key":"ssh-ed25519 AAAA"}`, "two lines": `{"public_key":"a\nb"}`,
		"options": fmt.Sprintf(`{"public_key":"no-pty %s"}`, line)} {
		r := c.do("POST", "/v1/ssh-keys", body)
		if r.status != 400 {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
		r.fails(400, "invalid_request", "public_key")
	}
	c.do("POST", "/v1/ssh-keys", map[string]string{"public_key": newPublicKey(t), "name": strings.Repeat("x", 201)}).fails(400, "invalid_request", "200")
	as(t, h, "").do("GET", "/v1/ssh-keys", nil).fails(401, "unauthorized", "API key")
	as(t, h, h.NewKey(actors.NewKey{Account: h.Account.ID, Scopes: []string{"computers:read"}})).
		do("POST", "/v1/ssh-keys", map[string]string{"public_key": line}).fails(403, "forbidden", "computers:write")
}

func TestCertificatesAndCredentials(t *testing.T) {
	h := doortest.Open(t, withSSH())
	c := as(t, h, h.Key)
	_, rival := h.NewAccount("rival", 1)
	a := c.running(`{"handle":"box"}`)
	var made struct {
		Key sshKey `json:"ssh_key"`
	}
	c.do("POST", "/v1/ssh-keys", map[string]string{"public_key": newPublicKey(t)}).is(201).into(&made)
	u, err := url.Parse(h.URL)
	if err != nil {
		t.Fatal(err)
	}
	certify := func(ttl string) string { return fmt.Sprintf(`{"ssh_key_id":%q%s}`, made.Key.ID, ttl) }
	var cert struct {
		Line    string    `json:"authorized_key"`
		User    string    `json:"ssh_user"`
		Host    string    `json:"ssh_host"`
		Port    int       `json:"ssh_port"`
		Expires time.Time `json:"expires_at"`
	}
	c.do("POST", "/v1/computers/box/ssh/certificates", certify("")).is(201).into(&cert)
	left := time.Until(cert.Expires)
	if cert.User != "box" || cert.Host != u.Hostname() || cert.Port != 2222 || left < 9*time.Minute || left > 10*time.Minute {
		t.Fatalf("%+v, %s left", cert, left)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(cert.Line))
	if err != nil {
		t.Fatal(err)
	}
	if k, ok := key.(*ssh.Certificate); !ok || len(k.ValidPrincipals) != 1 || k.ValidPrincipals[0] != a.Computer.ID || !strings.Contains(k.KeyId, made.Key.ID) {
		t.Fatalf("%+v", key)
	}
	var made2 struct {
		Computer string    `json:"computer_id"`
		Handle   string    `json:"computer_handle"`
		Host     string    `json:"edge_host"`
		Port     int       `json:"edge_port"`
		SNI      string    `json:"sni"`
		Private  string    `json:"client_private_key"`
		HostKey  string    `json:"guest_host_public_key"`
		Expires  time.Time `json:"expires_at"`
	}
	for _, body := range []any{nil, "{}", `{"ttl_seconds":3600}`} {
		c.do("POST", "/v1/computers/"+a.Computer.ID+"/ssh-credentials", body).is(201).into(&made2)
		left := time.Until(made2.Expires)
		if made2.Computer != a.Computer.ID || made2.Handle != "box" || made2.Port != 2222 || made2.Host != u.Hostname() ||
			made2.SNI != a.Computer.ID+".bothy.internal" || left < 59*time.Minute || left > time.Hour {
			t.Fatalf("%+v, %s left", made2, left)
		}
		if _, err := ssh.ParsePrivateKey([]byte(made2.Private)); err != nil || !strings.HasPrefix(made2.HostKey, "ssh-ed25519 ") {
			t.Fatalf("%v, host key %s", err, made2.HostKey)
		}
	}
	path := "/v1/computers/box/ssh"
	for _, ttl := range []string{"0", "-1", "86401"} {
		c.do("POST", path+"/certificates", certify(`,"ttl_seconds":`+ttl)).fails(400, "invalid_request", "ttl_seconds must be 1 to 86400")
		c.do("POST", path+"-credentials", `{"ttl_seconds":`+ttl+`}`).fails(400, "invalid_request", "ttl_seconds")
	}
	c.do("POST", path+"/certificates", `{}`).fails(400, "invalid_request", "ssh_key_id")
	c.do("POST", path+"/certificates", `{"ssh_key_id":"sshkey_none"}`).fails(404, "not_found", "SSH key not found")
	as(t, h, rival).do("POST", "/v1/computers/"+a.Computer.ID+"/ssh-credentials", nil).fails(404, "not_found", "Computer not found")
	c.do("DELETE", "/v1/ssh-keys/"+made.Key.ID, nil).is(204)
	c.do("POST", path+"/certificates", certify("")).fails(409, "conflict", "revoked")
}

func TestWithoutAnSSHDoorThereAreNoCredentials(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	c.running(`{"handle":"box"}`)
	c.do("POST", "/v1/computers/box/ssh-credentials", nil).fails(501, "unsupported", "switched off")
}
