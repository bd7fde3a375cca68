package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// sshEdge logs in over TLS, by server name and ALPN.
func sshEdge(t *testing.T, h *sshHouse) {
	edge := func(name string) *sshIdentity {
		return h.client.through(h.far, "-o", fmt.Sprintf("ProxyCommand=env '%s=%s %s' %s", edgeVariable, h.far.ssh, name, os.Args[0]))
	}
	if out := edge(h.grant.SNI).says("echo over TLS"); out != "over TLS\n" {
		t.Errorf("%q", out)
	}
	if out := edge(h.grant.SNI).as("node").says("echo as the product names it"); out != "as the product names it\n" {
		t.Errorf("%q", out)
	}
	edge("01890000-0000-7000-8000-000000000000.bothy.internal").refused("the name of another computer")
}

// registered is a reply about a key.
type registered struct {
	Key struct {
		ID       string
		LastUsed *time.Time `json:"last_used_at"`
	} `json:"ssh_key"`
}

// sshKeys logs in with a registered key until it is revoked, at another node.
func sshKeys(t *testing.T, h *sshHouse) {
	client, line := newIdentity(t, h.far, h.id, "box", h.grant.HostKey)
	client.refused("before it is registered")
	var made registered
	h.nodes[0].api(http.MethodPost, "/ssh-keys", map[string]string{"public_key": line}, http.StatusCreated, &made)
	h.nodes[0].api(http.MethodPost, "/ssh-keys", map[string]string{"public_key": line}, http.StatusConflict, nil)
	if out := client.says("echo in"); out != "in\n" {
		t.Errorf("%q", out)
	}
	eventually(t, "its use is noted", 20*time.Second, func() error {
		var list struct {
			Keys []struct {
				LastUsed *time.Time `json:"last_used_at"`
			} `json:"ssh_keys"`
		}
		h.nodes[0].api(http.MethodGet, "/ssh-keys", nil, http.StatusOK, &list)
		if len(list.Keys) != 1 || list.Keys[0].LastUsed == nil {
			return fmt.Errorf("%+v", list)
		}
		return nil
	})
	var cert struct {
		Line string `json:"authorized_key"`
	}
	h.nodes[0].api(http.MethodPost, "/computers/box/ssh/certificates", map[string]string{"ssh_key_id": made.Key.ID}, http.StatusCreated, &cert)

	open := client.program("ssh", client.host(), "echo ready; cat")
	in, err := open.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out := &screen{}
	open.Stdout = out
	if err := open.Start(); err != nil {
		t.Fatal(err)
	}
	out.shows(t, "ready", 1)
	h.nodes[0].api(http.MethodDelete, "/ssh-keys/"+made.Key.ID, nil, http.StatusNoContent, nil)
	ended := make(chan error, 1)
	go func() { ended <- open.Wait() }()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the open session ended well")
		}
	case <-time.After(10 * time.Second):
		t.Error("the open session goes on")
		_ = open.Process.Kill() // it may have ended just now
		<-ended
	}
	in.Close()
	client.refused("after it is revoked")
	client.certify(cert.Line)
	client.refused("a certificate over a revoked key")
}

// sshCertificates logs in with a certificate until it expires.
func sshCertificates(t *testing.T, h *sshHouse) {
	client, line := newIdentity(t, h.far, h.id, "box", h.grant.HostKey)
	var made registered
	h.nodes[0].api(http.MethodPost, "/ssh-keys", map[string]string{"public_key": line}, http.StatusCreated, &made)
	other, _ := h.nodes[0].makeComputer("other")
	var cert struct {
		Line    string    `json:"authorized_key"`
		Expires time.Time `json:"expires_at"`
	}
	h.nodes[0].api(http.MethodPost, "/computers/box/ssh/certificates", map[string]any{"ssh_key_id": made.Key.ID, "ttl_seconds": 8}, http.StatusCreated, &cert)
	// The key itself is not shown: only the certificate is to let in.
	client.extra = []string{"-o", "PubkeyAcceptedAlgorithms=ssh-ed25519-cert-v01@openssh.com"}
	client.certify(cert.Line)
	if out := client.says("echo certified"); out != "certified\n" {
		t.Errorf("%q", out)
	}
	client.as(other).refused("another computer of the account")
	client.as("other").refused("another computer of the account, by its handle")
	eventually(t, "it expires", 20*time.Second, func() error {
		if _, errs, code := client.run(nil, "true"); code != 255 || !strings.Contains(errs, "Permission denied") {
			return fmt.Errorf("exit %d, %q", code, errs)
		}
		return nil
	})
	if time.Now().Before(cert.Expires) {
		t.Error("it was refused before it expired")
	}
	h.nodes[0].api(http.MethodDelete, "/ssh-keys/"+made.Key.ID, nil, http.StatusNoContent, nil)
}

// sshStopped says to the user that the computer is stopped by them.
func sshStopped(t *testing.T, h *sshHouse) {
	becomes := func(action, state string) {
		h.nodes[0].api(http.MethodPost, "/computers/box/actions/"+action, nil, http.StatusAccepted, nil)
		eventually(t, "it is "+state, startTime, func() error {
			var m told
			h.nodes[0].api(http.MethodGet, "/computers/box", nil, http.StatusOK, &m)
			if m.Computer.State != state {
				return fmt.Errorf("it is %s", m.Computer.State)
			}
			return nil
		})
	}
	becomes("stop", "stopped")
	if out, errs, code := h.client.run(nil, "echo in"); code != 255 || out != "" || !strings.Contains(errs, "bothy: ") || !strings.Contains(errs, "stopped") {
		t.Errorf("exit %d, %q, %q", code, out, errs)
	}
	becomes("start", "running")
	if out := h.client.says("echo back"); out != "back\n" {
		t.Errorf("%q", out)
	}
}

// sshDeleted ends with the computer: its sessions do too.
func sshDeleted(t *testing.T, h *sshHouse) {
	open := h.client.program("ssh", h.client.host(), "echo ready; exec sleep 1000")
	out := &screen{}
	open.Stdout = out
	if err := open.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- open.Wait() }()
	out.shows(t, "ready", 1)
	h.nodes[0].api(http.MethodDelete, "/computers/box", nil, http.StatusAccepted, nil)
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the session of a deleted computer goes on")
		_ = open.Process.Kill() // it may have ended just now
		<-ended
	}
	h.client.refused("a deleted computer")
}
