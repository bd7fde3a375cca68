package resolver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

const (
	// maxPerClient and maxQueries bound the queries in flight of one client and
	// of all. One that is too many is not answered, as if it was lost: whoever
	// asked asks again, later than for a failure.
	maxPerClient = 64
	maxQueries   = 1024
	// maxConnsPerClient and maxConns bound connections, which are few: they are
	// for answers that do not fit a datagram.
	maxConnsPerClient = 8
	maxConns          = 256
	// maxQueryBytes is more than any question that has a name in it.
	maxQueryBytes = 1232
	// idleTime is how long a connection may be silent or slow.
	idleTime = 10 * time.Second
	// maxListenTries bounds the search for a port that is free for UDP and TCP.
	maxListenTries = 10
)

// loopback is where the one socket is: computers are led there by rules of the
// machine, and nobody outside can reach it.
var loopback = netip.MustParseAddr("127.0.0.1")

// Options say for whom to resolve, and where.
type Options struct {
	Guard   Guard
	Servers func() []netip.AddrPort // the name servers to ask, as of now
	Port    uint16                  // wanted; another if it is taken
	Log     *slog.Logger
}

// Server resolves until it is closed. Make one with Listen.
type Server struct {
	Options
	udp     *net.UDPConn
	tcp     *net.TCPListener
	queries *seats
	conns   *seats

	life context.Context
	end  context.CancelFunc
	work sync.WaitGroup
}

// Listen begins to serve on a port of the machine's loopback.
func Listen(o Options) (*Server, error) {
	s := &Server{Options: o, queries: newSeats(maxPerClient, maxQueries), conns: newSeats(maxConnsPerClient, maxConns)}
	if err := s.bind(); err != nil {
		return nil, fmt.Errorf("listen for name queries: %w", err)
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.work.Go(s.serveUDP)
	s.work.Go(s.serveTCP)
	return s, nil
}

// bind takes one port for both protocols.
func (s *Server) bind() (err error) {
	port := s.Port
	for range maxListenTries {
		if s.udp, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, port))); err == nil {
			at := s.udp.LocalAddr().(*net.UDPAddr).AddrPort()
			if s.tcp, err = net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at)); err == nil {
				s.Port = at.Port()
				return nil
			}
			err = errors.Join(err, s.udp.Close())
		}
		port = 0
	}
	return err
}

// Close stops serving; queries in flight are dropped.
func (s *Server) Close() error {
	s.end()
	err := errors.Join(s.udp.Close(), s.tcp.Close())
	s.work.Wait()
	return err
}

func (s *Server) serveUDP() {
	buf := make([]byte, maxQueryBytes+1) // one more, to see that it is too long
	for {
		n, from, err := s.udp.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.troubled("read name query", err)
			continue
		}
		if n > maxQueryBytes || !s.queries.take(from.Addr()) {
			continue
		}
		query := slices.Clone(buf[:n])
		s.work.Go(func() {
			defer s.queries.leave(from.Addr())
			if reply := s.guarded(from.Addr(), query, datagram); reply != nil {
				_, _ = s.udp.WriteToUDPAddrPort(reply, from) // lost is lost: it is UDP
			}
		})
	}
}

func (s *Server) serveTCP() {
	for {
		conn, err := s.tcp.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.troubled("accept name query", err) // such as no descriptors left
			continue
		}
		client := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr()
		if !s.conns.take(client) {
			conn.Close()
			continue
		}
		s.work.Go(func() {
			defer s.conns.leave(client)
			defer conn.Close()
			defer context.AfterFunc(s.life, func() { conn.Close() })()
			s.converse(client, conn)
		})
	}
}

// troubled says what failed, and waits: it may last.
func (s *Server) troubled(doing string, err error) {
	s.Log.Warn(doing, "err", err)
	select {
	case <-s.life.Done():
	case <-time.After(time.Second):
	}
}

// converse answers one query after the other.
func (s *Server) converse(client netip.Addr, conn net.Conn) {
	for {
		if conn.SetDeadline(time.Now().Add(idleTime)) != nil {
			return
		}
		query, err := readFrame(conn, maxQueryBytes)
		if err != nil || !s.queries.take(client) {
			return
		}
		reply := s.guarded(client, query, stream)
		s.queries.leave(client)
		if reply == nil || conn.SetDeadline(time.Now().Add(idleTime)) != nil {
			return
		}
		if _, err := conn.Write(frame(reply)); err != nil {
			return
		}
	}
}

// guarded keeps a panic over what a stranger wrote from ending the node.
func (s *Server) guarded(client netip.Addr, query []byte, by carrier) (reply []byte) {
	defer func() {
		if v := recover(); v != nil {
			s.Log.Error("name query panicked", "panic", v, "stack", string(debug.Stack()))
			reply = nil
		}
	}()
	return s.answer(client, query, by)
}

// readFrame reads a message of a stream, which says its length first.
func readFrame(from io.Reader, most int) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(from, length[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(length[:]))
	if n > most {
		return nil, fmt.Errorf("a message of %d bytes; the limit is %d", n, most)
	}
	message := make([]byte, n)
	_, err := io.ReadFull(from, message)
	return message, err
}

func frame(message []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)
}

// seats bound what is in flight, for each client and for all.
type seats struct {
	each, all int

	mu    sync.Mutex
	taken map[netip.Addr]int
	sum   int
}

func newSeats(each, all int) *seats {
	return &seats{each: each, all: all, taken: map[netip.Addr]int{}}
}

func (s *seats) take(client netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sum >= s.all || s.taken[client] >= s.each {
		return false
	}
	s.sum++
	s.taken[client]++
	return true
}

func (s *seats) leave(client netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sum--
	if s.taken[client]--; s.taken[client] == 0 {
		delete(s.taken, client)
	}
}
