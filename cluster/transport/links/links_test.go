package links

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pairOver dials from "a" to "b" and returns both ends.
func pairOver(t *testing.T, n *Network) (a, b net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err = n.Dial("a")(context.Background(), "b", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// carries reports whether a byte gets from one end to the other within d.
func carries(t *testing.T, from, to net.Conn, d time.Duration) bool {
	t.Helper()
	if _, err := from.Write([]byte{1}); err != nil {
		return false
	}
	to.SetReadDeadline(time.Now().Add(d))
	_, err := io.ReadFull(to, make([]byte, 1))
	return err == nil
}

func TestCutIsOneWayAndSilent(t *testing.T) {
	n := New()
	a, b := pairOver(t, n)
	if !carries(t, a, b, 5*time.Second) || !carries(t, b, a, 5*time.Second) {
		t.Fatal("a whole link does not carry")
	}
	n.Cut("a", "b")
	if carries(t, a, b, 50*time.Millisecond) {
		t.Fatal("a cut link carries")
	}
	if !carries(t, b, a, 5*time.Second) {
		t.Fatal("the other direction is cut too")
	}
	n.Cut("b", "a")
	if carries(t, b, a, 50*time.Millisecond) {
		t.Fatal("the second cut is not felt")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := n.Dial("a")(ctx, "b", "127.0.0.1:1"); !errors.Is(err, ErrCut) {
		t.Fatalf("dialled over a cut link: %v", err)
	}
	n.Heal()
	if carries(t, a, b, time.Second) {
		t.Fatal("a connection that lost bytes lives on")
	}
	a, b = pairOver(t, n)
	if !carries(t, a, b, 5*time.Second) {
		t.Fatal("a healed link does not carry")
	}
}

func TestHealKeepsConnectionsThatLostNothing(t *testing.T) {
	n := New()
	a, b := pairOver(t, n)
	n.CutBoth("a", "b")
	n.Heal()
	if !carries(t, a, b, 5*time.Second) || !carries(t, b, a, 5*time.Second) {
		t.Fatal("an unhurt connection was broken")
	}
}

func TestDelayAndIsolate(t *testing.T) {
	n := New()
	a, b := pairOver(t, n)
	n.Delay("a", "b", 100*time.Millisecond)
	begun := time.Now()
	if !carries(t, a, b, 5*time.Second) || time.Since(begun) < 100*time.Millisecond {
		t.Fatalf("arrived after %v", time.Since(begun))
	}
	n.Heal()
	n.Isolate("b", "a", "b", "c")
	if carries(t, a, b, 50*time.Millisecond) {
		t.Fatal("an isolated node is reached")
	}
}
