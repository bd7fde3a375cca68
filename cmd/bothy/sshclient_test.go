package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// sshTime bounds one run of an OpenSSH program.
const sshTime = time.Minute

// edgeVariable makes this test binary a ProxyCommand: it joins standard input
// and output to the TLS at "host:port server-name", as the product's own
// client does.
const edgeVariable = "BOTHY_TEST_EDGE"

func joinEdge(edge string) int {
	addr, name, _ := strings.Cut(edge, " ")
	conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: name, NextProtos: []string{"ssh"}, InsecureSkipVerify: true})
	if err == nil && conn.ConnectionState().NegotiatedProtocol != "ssh" {
		err = errors.New("the edge did not choose the protocol ssh")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() {
		_, _ = io.Copy(conn, os.Stdin) // its end is the client's
		_ = conn.CloseWrite()
	}()
	_, err = io.Copy(os.Stdout, conn)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// makeComputer makes a computer, waits until it runs, and returns its id and
// the name of its owner.
func (p *process) makeComputer(handle string) (id, owner string) {
	p.t.Helper()
	return p.makeComputerOf(handle, "")
}

// makeComputerOf makes a computer of an image; "" is the default one.
func (p *process) makeComputerOf(handle, image string) (id, owner string) {
	p.t.Helper()
	var made told
	source := map[string]string{"kind": "image", "image_id": image}
	p.api(http.MethodPost, "/computers", map[string]any{"handle": handle, "source": source}, http.StatusAccepted, &made)
	id = made.Computer.ID
	eventually(p.t, "the computer "+handle+" runs", startTime, func() error {
		resp := p.ask(http.MethodGet, "/v1/computers/"+id, "")
		defer resp.Body.Close()
		owner = resp.Header.Get("X-Bothy-Owner")
		if err := json.NewDecoder(resp.Body).Decode(&made); err != nil {
			return err
		}
		if made.Computer.State != "running" {
			return fmt.Errorf("it is %s: %s", made.Computer.State, made.Computer.Failure)
		}
		return nil
	})
	return id, owner
}

// runIn runs a command in a computer as root, through the API.
func (p *process) runIn(id string, command ...string) string {
	p.t.Helper()
	var out struct {
		Code   int `json:"exit_code"`
		Stdout string
		Stderr string
	}
	p.api(http.MethodPost, "/computers/"+id+"/exec", map[string]any{"command": command, "user": "root"}, http.StatusOK, &out)
	if out.Code != 0 {
		p.t.Fatalf("%v: exit %d: %s", command, out.Code, out.Stderr)
	}
	return out.Stdout
}

// sshIdentity is what an OpenSSH client needs to log in.
type sshIdentity struct {
	t     *testing.T
	dir   string
	user  string
	alias string // of the host, in known_hosts
	to    string // host:port
	extra []string
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// newIdentity makes a key pair in a directory and returns its public line.
func newIdentity(t *testing.T, node *process, id, user, hostKey string) (*sshIdentity, string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err1 := ssh.NewPublicKey(public)
	block, err2 := ssh.MarshalPrivateKey(private, "test")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	i := givenIdentity(t, node, id, user, hostKey, string(pem.EncodeToMemory(block)), "")
	return i, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

// givenIdentity is one whose key was made elsewhere; cert may be "".
func givenIdentity(t *testing.T, node *process, id, user, hostKey, private, cert string) *sshIdentity {
	t.Helper()
	i := &sshIdentity{t: t, dir: t.TempDir(), user: user, alias: id, to: node.ssh}
	writeFile(t, filepath.Join(i.dir, "id_ed25519"), private)
	writeFile(t, filepath.Join(i.dir, "known_hosts"), id+" "+hostKey+"\n")
	if cert != "" {
		i.certify(cert)
	}
	return i
}

// certify adds a certificate where OpenSSH looks for it.
func (i *sshIdentity) certify(line string) {
	i.t.Helper()
	writeFile(i.t, filepath.Join(i.dir, "id_ed25519-cert.pub"), line+"\n")
}

// through is the same identity with another node, user or options.
func (i *sshIdentity) through(node *process, extra ...string) *sshIdentity {
	other := *i
	other.to, other.extra = node.ssh, extra
	return &other
}

func (i *sshIdentity) as(user string) *sshIdentity {
	other := *i
	other.user = user
	return &other
}

func (i *sshIdentity) options() []string {
	_, port, err := net.SplitHostPort(i.to)
	if err != nil {
		i.t.Fatal(err)
	}
	options := append([]string{"-F", "none"}, i.extra...) // of two that disagree the first counts
	for _, o := range []string{"Port=" + port, "BatchMode=yes", "StrictHostKeyChecking=yes", "UserKnownHostsFile=" + filepath.Join(i.dir, "known_hosts"),
		"HostKeyAlias=" + i.alias, "IdentitiesOnly=yes", "IdentityFile=" + filepath.Join(i.dir, "id_ed25519"), "LogLevel=ERROR"} {
		options = append(options, "-o", o)
	}
	return options
}

// program is one of OpenSSH's, with this identity. It gets no agent and no
// home directory of this machine's user.
func (i *sshIdentity) program(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(i.t.Context(), name, append(i.options(), args...)...)
	cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK=", "HOME="+i.dir)
	cmd.WaitDelay = sshTime
	return cmd
}

// host is the address as ssh, scp and sftp take it.
func (i *sshIdentity) host() string {
	host, _, _ := net.SplitHostPort(i.to)
	return i.user + "@" + host
}

// run runs a command by ssh and returns what it said and how it ended.
func (i *sshIdentity) run(stdin io.Reader, args ...string) (stdout, stderr string, code int) {
	i.t.Helper()
	cmd := i.program("ssh", append([]string{i.host()}, args...)...)
	return finish(i.t, cmd, stdin)
}

// finish runs a program to its end, in bounded time.
func finish(t *testing.T, cmd *exec.Cmd, stdin io.Reader) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(sshTime, func() { _ = cmd.Process.Kill() }) // it may have ended just now
	err := cmd.Wait()
	var exit *exec.ExitError
	if !late.Stop() || err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v\n%s\n%s", cmd.Args, err, out.String(), errs.String())
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// says runs a command that must end well, and returns its output.
func (i *sshIdentity) says(args ...string) string {
	i.t.Helper()
	out, errs, code := i.run(nil, args...)
	if code != 0 {
		i.t.Fatalf("%v: exit %d: %s%s", args, code, out, errs)
	}
	return out
}

// refused checks that nobody gets in.
func (i *sshIdentity) refused(why string) {
	i.t.Helper()
	if out, errs, code := i.run(nil, "echo in"); code != 255 || !strings.Contains(errs, "Permission denied") || out != "" {
		i.t.Errorf("%s: exit %d, %q, %q", why, code, out, errs)
	}
}
