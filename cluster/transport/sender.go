package transport

import (
	"bufio"
	"context"
	"errors"
	"net"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// sendQueueFrames bounds the frames that wait for one connection.
	sendQueueFrames = 4096
	// sendQueueBytes bounds their bytes.
	sendQueueBytes = 32 << 20
	// writeTimeout bounds one write; a peer that takes nothing for so long is
	// given up.
	writeTimeout = 5 * time.Second
	// streamBufferBytes is the buffer on each side of a framed connection.
	streamBufferBytes = 64 << 10
)

var (
	errQueueFull = errors.New("too much is waiting for this connection")
	errSilent    = errors.New("the other node says nothing")
)

// sender writes frames to one connection, in the order they were put.
type sender struct {
	conn   net.Conn
	frames chan []byte
	room   *semaphore.Weighted // bytes
	done   chan struct{}       // closed when run has ended
}

func newSender(c net.Conn) *sender {
	return &sender{
		conn: c, frames: make(chan []byte, sendQueueFrames),
		room: semaphore.NewWeighted(sendQueueBytes), done: make(chan struct{}),
	}
}

// offer queues a frame, or says at once that the queue is full or closed.
func (s *sender) offer(frame []byte) error {
	select {
	case <-s.done:
		return net.ErrClosed
	default:
	}
	if !s.room.TryAcquire(int64(len(frame))) {
		return errQueueFull
	}
	select {
	case s.frames <- frame:
		return nil
	default:
		s.room.Release(int64(len(frame)))
		return errQueueFull
	}
}

// put queues a frame and waits for room until ctx ends.
func (s *sender) put(ctx context.Context, frame []byte) error {
	if err := s.room.Acquire(ctx, int64(len(frame))); err != nil {
		return err
	}
	select {
	case <-s.done:
		s.room.Release(int64(len(frame)))
		return net.ErrClosed
	default:
	}
	select {
	case s.frames <- frame:
		return nil
	case <-ctx.Done():
		s.room.Release(int64(len(frame)))
		return ctx.Err()
	case <-s.done:
		return net.ErrClosed
	}
}

// run writes until the connection breaks or ctx ends. Frames that are ready
// together go out in one write.
func (s *sender) run(ctx context.Context) error {
	defer s.drain()
	defer close(s.done)
	w := bufio.NewWriterSize(s.conn, streamBufferBytes)
	for {
		select {
		case frame := <-s.frames:
			if err := s.burst(w, frame); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// drain drops what is left, so that those who wait for room see the end.
func (s *sender) drain() {
	for {
		select {
		case frame := <-s.frames:
			s.room.Release(int64(len(frame)))
		default:
			return
		}
	}
}

// burst writes a frame and those that already wait behind it.
func (s *sender) burst(w *bufio.Writer, frame []byte) error {
	s.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	for {
		_, err := w.Write(frame)
		s.room.Release(int64(len(frame)))
		if err != nil {
			return err
		}
		if w.Buffered() == 0 { // a long frame went straight out
			s.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		}
		select {
		case frame = <-s.frames:
		default:
			return w.Flush()
		}
	}
}
