package actors

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/fake"
)

// parrot sends back what it gets, and ends when that ends.
func parrot(conn net.Conn) {
	defer conn.Close()
	_, _ = io.Copy(conn, conn)
}

func TestAPortIsReachedThroughAnyNode(t *testing.T) {
	s := openStreet(t, 0)
	s.listen(t, parrot)
	for name, node := range s.nodes() {
		t.Run(name, func(t *testing.T) {
			conn, err := node.Computers.Dial(t.Context(), s.caller.Account, s.computer.ID, 80)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			// Each piece comes back before the next is sent: nothing is held back.
			for _, piece := range []string{"one", "two", "three"} {
				got := make([]byte, len(piece))
				if _, err := io.WriteString(conn, piece); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(conn, got); err != nil || string(got) != piece {
					t.Fatalf("%q, %v", got, err)
				}
			}
			if n := s.users(); n != 1 {
				t.Errorf("%d use the computer", n)
			}
			// What is sent before its end was said comes back whole, then the end.
			much := make([]byte, 4<<20)
			rand.Read(much)
			go func() {
				_, _ = conn.Write(much)
				_ = conn.(interface{ CloseWrite() error }).CloseWrite()
			}()
			got, err := io.ReadAll(conn)
			if err != nil || !bytes.Equal(got, much) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			conn.Close()
			conn.Close() // twice is success
			s.givenBack(t)
		})
	}
}

func TestAClientThatLeavesEndsItsConnection(t *testing.T) {
	s := openStreet(t, 0)
	ended := make(chan error, 2)
	s.listen(t, func(conn net.Conn) {
		defer conn.Close()
		_, err := io.Copy(io.Discard, conn)
		ended <- err
	})
	for name, node := range s.nodes() {
		t.Run(name, func(t *testing.T) {
			ctx, leave := context.WithCancel(t.Context())
			conn, err := node.Computers.Dial(ctx, s.caller.Account, s.computer.ID, 80)
			if err != nil {
				t.Fatal(err)
			}
			leave() // the call that asked is over; the connection is not
			if _, err := conn.Write([]byte("more")); err != nil {
				t.Fatal(err)
			}
			reading := make(chan error, 1)
			go func() { _, err := conn.Read(make([]byte, 1)); reading <- err }()
			conn.Close()
			if err := <-reading; err == nil || errors.Is(err, io.EOF) {
				t.Errorf("a read that was cut says %v", err)
			}
			if _, err := conn.Write([]byte("x")); err == nil {
				t.Error("a closed connection takes more")
			}
			select {
			case <-ended:
			case <-time.After(patience):
				t.Fatal("the computer's side goes on")
			}
			s.givenBack(t)
		})
	}
}

func TestAConnectionThatIsCutDoesNotLookLikeOneThatEnded(t *testing.T) {
	for _, name := range []string{"at the owner", "through another node"} {
		t.Run(name, func(t *testing.T) {
			s := openStreet(t, 0)
			s.listen(t, parrot)
			conn, err := s.nodes()[name].Computers.Dial(t.Context(), s.caller.Account, s.computer.ID, 80)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := s.owner.node.Expire(s.asker.node); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("when the lease had ended a read says %v", err)
			}
			conn.Close()
			s.givenBack(t)
		})
	}
}

func TestPortsThatCannotBeReachedSayWhy(t *testing.T) {
	s := openStreet(t, 0)
	s.listen(t, parrot)
	for name, node := range s.nodes() {
		t.Run(name, func(t *testing.T) {
			_, err := node.Computers.Dial(t.Context(), s.caller.Account, s.computer.ID, 81)
			is(t, err, fault.Unavailable, "nothing listens")
			_, err = node.Computers.Dial(t.Context(), "acct_other", s.computer.ID, 80)
			is(t, err, fault.NotFound, "not found")
			s.owner.driver.Script().Add(fake.Rule{Op: fake.Dial, Err: errors.New("no route"), Times: 1})
			_, err = node.Computers.Dial(t.Context(), s.caller.Account, s.computer.ID, 80)
			is(t, err, fault.Unavailable, "no route")
			s.owner.driver.Script().Add(fake.Rule{Op: fake.Dial, Err: runtime.ErrStaleEpoch, Times: 1})
			_, err = node.Computers.Dial(t.Context(), s.caller.Account, s.computer.ID, 80)
			is(t, err, fault.Moved, "")
			s.givenBack(t)
		})
	}
}

// The other node checks for itself whose computer it is, and takes no port that
// is none.
func TestTheOwnerChecksWhatAnotherNodeAsks(t *testing.T) {
	s := openStreet(t, 0)
	s.listen(t, parrot)
	_, err := s.asker.Computers.remote.Dial(t.Context(), s.owner.node.Self(), "acct_other", s.computer.ID, 80)
	is(t, err, fault.NotFound, "not found")
}

func TestACallerWhoLeavesDoesNotWaitForTheComputer(t *testing.T) {
	s := openStreet(t, 0)
	s.listen(t, parrot)
	hold := make(chan struct{})
	defer close(hold)
	s.owner.driver.Script().Add(fake.Rule{Op: fake.Dial, Hold: hold})
	for name, node := range s.nodes() {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if _, err := node.Computers.Dial(ctx, s.caller.Account, s.computer.ID, 80); err == nil {
				t.Fatal("it was connected")
			}
			s.givenBack(t)
		})
	}
}

func TestAConnectionKeepsItsComputerFromIdling(t *testing.T) {
	s := openStreet(t, 50*time.Millisecond)
	s.listen(t, parrot)
	conn, err := s.asker.Computers.Dial(t.Context(), s.caller.Account, s.computer.ID, 80)
	if err != nil {
		t.Fatal(err)
	}
	idle := time.NewTimer(300 * time.Millisecond)
	<-idle.C
	if c := s.owner.computer(t, s.computer.ID); !c.Phase.Up() {
		t.Fatalf("it is %s while somebody is connected", c.Phase)
	}
	conn.Close()
	waitFor(t, func() bool { return s.owner.computer(t, s.computer.ID).IdleStopped })
	// The next use wakes it.
	conn, err = s.asker.Computers.Dial(t.Context(), s.caller.Account, s.computer.ID, 80)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}
