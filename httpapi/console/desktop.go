package console

import (
	"context"
	"io"
	"net"

	"github.com/coder/websocket"
	"github.com/gin-gonic/gin"
)

// pieceBytes is the most that one message to a desktop's viewer carries.
const pieceBytes = 32 << 10

// desktop passes RFB on between a viewer and the computer's display, as binary
// messages whose bounds mean nothing.
func (k *Console) desktop(c *gin.Context, v visit) error {
	return k.converse(c, v, func(ctx context.Context, s socket) error {
		if err := k.mayDesktop(v.AccessSession); err != nil {
			return err
		}
		display, err := k.Computers.Desktop(ctx, v.Account, v.Computer)
		if err != nil {
			return err
		}
		defer display.Close()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(ctx, func() { display.Close() })()
		s.aside.Go(func() {
			defer cancel()
			heard(s, display)
		})
		buf := make([]byte, pieceBytes)
		for {
			n, err := display.Read(buf)
			if n > 0 {
				if err := s.say(ctx, websocket.MessageBinary, buf[:n]); err != nil {
					return err
				}
			}
			if err != nil {
				return err
			}
		}
	})
}

// heard passes on what the viewer sends until either side has gone.
func heard(s socket, display net.Conn) {
	buf := make([]byte, pieceBytes)
	for {
		// Not bounded by a context, which would cut the socket before it is
		// told why; closing it ends this.
		_, message, err := s.Reader(context.Background())
		if err != nil {
			return
		}
		if _, err := io.CopyBuffer(struct{ io.Writer }{display}, message, buf); err != nil {
			return
		}
	}
}
