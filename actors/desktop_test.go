package actors

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/runtime"
)

func TestADesktopIsSeenThroughAnyNode(t *testing.T) {
	s := openStreet(t, 0)
	s.listen(t, parrot)
	s.owner.driver.Script().Show(80)
	for name, node := range s.nodes() {
		t.Run(name, func(t *testing.T) {
			conn, err := node.Computers.Desktop(t.Context(), s.caller.Account, s.computer.ID)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			got := make([]byte, 3)
			if _, err := io.WriteString(conn, "RFB"); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(conn, got); err != nil || string(got) != "RFB" {
				t.Fatalf("%q, %v", got, err)
			}
			if n := s.users(); n != 1 {
				t.Errorf("%d use the computer", n)
			}
			conn.Close()
			s.givenBack(t)
		})
	}
}

func TestADesktopThatThereIsNot(t *testing.T) {
	s := openStreet(t, 0)
	for name, node := range s.nodes() {
		t.Run(name, func(t *testing.T) {
			_, err := node.Computers.Desktop(t.Context(), s.caller.Account, s.computer.ID)
			is(t, err, fault.Unsupported, "of the image desktop")
			_, err = node.Computers.Desktop(t.Context(), "acct_other", s.computer.ID)
			is(t, err, fault.NotFound, "")
			s.givenBack(t)
		})
	}
	// A display that comes up and does not answer yet may do so later.
	s.owner.driver.Script().Show(81)
	s.owner.driver.Script().Listen(func(context.Context, runtime.ID, uint16) (net.Conn, error) { return nil, runtime.ErrRefused })
	_, err := s.asker.Computers.Desktop(t.Context(), s.caller.Account, s.computer.ID)
	is(t, err, fault.Unavailable, "")
	s.givenBack(t)
}

func TestADesktopIsCutWithTheLease(t *testing.T) {
	s := openStreet(t, 0)
	s.listen(t, parrot)
	s.owner.driver.Script().Show(80)
	conn, err := s.asker.Computers.Desktop(t.Context(), s.caller.Account, s.computer.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := s.owner.node.Expire(s.asker.node); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a read says %v", err)
	}
	conn.Close()
	s.givenBack(t)
}
