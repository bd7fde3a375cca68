package sshgate

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/runtime/guest/process"
)

// ended waits until the other side has closed a connection.
func ended(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patienceOfTests)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if _, err := io.Copy(io.Discard, c); errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatal("it stays open")
	}
}

// over waits until the other side has ended a connection.
func over(t *testing.T, c *ssh.Client) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()
	select {
	case <-done:
	case <-time.After(patienceOfTests):
		t.Fatal("the connection goes on")
	}
}

func connectTo(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestASilentClientIsSpokenToAndThenLeft(t *testing.T) {
	h := open(t, func(p *patience) { p.firstByte, p.auth = 50*time.Millisecond, time.Second })
	c := connectTo(t, h.addr)
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, serverVersion) {
		t.Fatalf("%q %v", line, err)
	}
	ended(t, c)
}

func TestAHalfHandshakeIsLeft(t *testing.T) {
	h := open(t, func(p *patience) { p.auth = 300 * time.Millisecond })
	for _, begin := range []string{"SSH-2.0-x\r\n", "\x16", "\x16\x03\x01\x40\x00", "GET / HTTP/1.1\r\n\r\n", "\x00", strings.Repeat("x", 1<<16)} {
		c := connectTo(t, h.addr)
		_, _ = io.WriteString(c, begin) // it may be closed already
		ended(t, c)
	}
}

func TestOneAddressKnocksSoOften(t *testing.T) {
	h := open(t, func(p *patience) { p.firstByte = 10 * time.Millisecond })
	var held []net.Conn
	for range maxKnocking {
		c := connectTo(t, h.addr)
		if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	ended(t, connectTo(t, h.addr))
	held[0].Close()
	eventually(t, "there is room again", func() bool {
		c := connectTo(t, h.addr)
		defer c.Close()
		_, err := bufio.NewReader(c).ReadString('\n')
		return err == nil
	})
}

func TestConnectionsThatAreInDoNotKnock(t *testing.T) {
	h := open(t, nil)
	for range maxKnocking + 5 {
		h.client()
	}
}

func TestTriesAreBounded(t *testing.T) {
	h := open(t, nil)
	var keys []ssh.Signer
	for range maxAuthTries + 1 {
		keys = append(keys, newSigner(t))
	}
	last := keys[len(keys)-1]
	h.admits(last.PublicKey(), actors.Login{Account: "acct", Computer: "box"})
	if c, err := h.dial(keys...); err == nil {
		c.Close()
		t.Error("one try too many was taken")
	}
	c, err := h.dial(keys[len(keys)-3:]...)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestChannelsAreBounded(t *testing.T) {
	h := open(t, nil)
	c := h.client()
	var held []*ssh.Session
	for range maxChannels {
		held = append(held, h.session(c))
	}
	if _, err := c.NewSession(); err == nil || !strings.Contains(err.Error(), "limit") {
		t.Errorf("one too many: %v", err)
	}
	held[0].Close()
	eventually(t, "there is room again", func() bool {
		_, err := c.NewSession()
		return err == nil
	})
}

func TestATallyGivesWhatItTook(t *testing.T) {
	tally := newTally[string](2)
	if !tally.take("a") || !tally.take("a") || tally.take("a") || !tally.take("b") {
		t.Error("2 of each")
	}
	tally.give("a")
	if !tally.take("a") {
		t.Error("one was given back")
	}
	tally.give("a")
	tally.give("a")
	tally.give("b")
	if len(tally.held) != 0 {
		t.Errorf("left: %v", tally.held)
	}
}

func TestPlacesOfAddresses(t *testing.T) {
	for addr, want := range map[string]string{"192.0.2.1:5": "192.0.2.1", "[::ffff:192.0.2.1]:5": "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:5": "2001:db8:1:2::", "[fe80::1%eth0]:5": "fe80::", "nothing": "invalid IP"} {
		if got := place(addrOf(addr)).String(); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}

type addrOf string

func (addrOf) Network() string  { return "tcp" }
func (a addrOf) String() string { return string(a) }

func TestAnIdleConnectionEndsAndABusyOneDoesNot(t *testing.T) {
	h := open(t, func(p *patience) { p.keepalive, p.idle = 20*time.Millisecond, 200*time.Millisecond })
	busy, idle := h.client(), h.client()
	s := h.session(busy)
	in, err := s.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := s.Start("x"); err != nil {
		t.Fatal(err)
	}
	over(t, idle)
	if _, _, err := busy.SendRequest("are you there", true, nil); err != nil {
		t.Errorf("the busy one: %v", err)
	}
}

func TestALoginThatIsNoLongerGoodIsCutAndItsProgramHungUp(t *testing.T) {
	h := open(t, nil)
	c := h.client()
	s := h.session(c)
	in, err := s.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("nohup"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("%q %v", line, err)
	}
	h.follow <- fault.New(fault.Unauthorized, "revoked")
	over(t, c)
	select {
	case n := <-h.guest.heard:
		if n != process.Signal(1) {
			t.Errorf("signal %d", n)
		}
	case <-time.After(patienceOfTests):
		t.Error("the program heard of nothing")
	}
}

func TestTLSNamesTheComputer(t *testing.T) {
	h := open(t, nil)
	const id = "01890000-0000-7000-8000-00000000000a"
	key := newSigner(t)
	h.admits(key.PublicKey(), actors.Login{Account: "acct", Computer: id})
	for name, want := range map[string]string{id + ".bothy.internal": id, "ssh.example.org": ""} {
		conn, err := tls.Dial("tcp", h.addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"ssh"}, ServerName: name})
		if err != nil {
			t.Fatal(err)
		}
		if got := conn.ConnectionState().NegotiatedProtocol; got != "ssh" {
			t.Errorf("protocol %q", got)
		}
		c, channels, requests, err := ssh.NewClientConn(conn, h.addr, &ssh.ClientConfig{User: "node", Auth: []ssh.AuthMethod{ssh.PublicKeys(key)},
			HostKeyCallback: ssh.FixedHostKey(h.host.PublicKey())})
		if err != nil {
			t.Fatal(err)
		}
		ssh.NewClient(c, channels, requests).Close()
		h.mu.Lock()
		if got := h.hosts[len(h.hosts)-1]; got != want {
			t.Errorf("%s names %q", name, got)
		}
		h.mu.Unlock()
	}
	if conn, err := tls.Dial("tcp", h.addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}); err == nil {
		conn.Close()
		t.Error("another protocol was taken")
	}
}

// frozen is a connection from which nothing is read once it is held.
type frozen struct {
	net.Conn
	held chan struct{}
}

func (f frozen) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	select {
	case <-f.held:
		_, _ = io.Copy(io.Discard, f.Conn) // the other side ends it
		return 0, io.EOF
	default:
		return n, err
	}
}

func TestAClientThatDoesNotAnswerIsLeft(t *testing.T) {
	h := open(t, func(p *patience) { p.keepalive, p.silence = 20*time.Millisecond, 300*time.Millisecond })
	key := newSigner(t)
	h.admits(key.PublicKey(), actors.Login{Account: "acct", Computer: "box"})
	conn := frozen{connectTo(t, h.addr), make(chan struct{})}
	c, channels, requests, err := ssh.NewClientConn(conn, h.addr, &ssh.ClientConfig{User: "box", Auth: []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback: ssh.FixedHostKey(h.host.PublicKey())})
	if err != nil {
		t.Fatal(err)
	}
	client := ssh.NewClient(c, channels, requests)
	defer client.Close()
	close(conn.held)
	over(t, client)
}
