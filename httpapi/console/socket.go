package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/coder/websocket"
	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
)

const (
	// MaxSockets bounds the WebSockets open at once to one computer through one
	// node.
	MaxSockets = 32
	// maxMessageBytes bounds one message of a client; the page cuts what is
	// pasted into smaller ones.
	maxMessageBytes = 1 << 20
	// pingEvery keeps the way open through proxies and finds clients that went
	// without a word.
	pingEvery = 30 * time.Second
	// lastWords is how long a message may take that was on its way when its
	// session ended.
	lastWords = time.Second
	// maxReasonBytes is what a close frame has room for (RFC 6455 §5.5).
	maxReasonBytes = 123
	// closeBase and an HTTP status are a close code of ours.
	closeBase = 4000
)

// sockets counts those open to each computer.
type sockets struct {
	mu   sync.Mutex
	open map[state.ComputerID]int
}

func (s *sockets) enter(id state.ComputerID) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[id] >= MaxSockets {
		return nil, fault.New(fault.Unavailable, "%d terminals and desktops of this computer are open here, which is the limit", MaxSockets).WithRetry(time.Second)
	}
	s.open[id]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.open[id]--; s.open[id] == 0 {
			delete(s.open, id)
		}
	}, nil
}

// socket is a WebSocket that a session has open.
type socket struct {
	*websocket.Conn
	patience time.Duration // for one write
	// aside are what goes on beside the conversation; closing the socket ends it.
	aside *sync.WaitGroup
}

// say sends one message. One that is on its way when ctx ends may still arrive:
// a message that is cut takes the socket with it, and its client is not told why.
func (s socket) say(ctx context.Context, kind websocket.MessageType, b []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.patience)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(lastWords, cancel) })()
	return s.Write(patient, kind, b)
}

// converse takes a request over as a WebSocket and talks until talk returns,
// which it must when ctx ends: with the session, with the client, or when the
// node drains.
func (k *Console) converse(c *gin.Context, v visit, talk func(ctx context.Context, s socket) error) error {
	if err := k.Draining(); err != nil {
		return err
	}
	leave, err := k.sockets.enter(v.Computer)
	if err != nil {
		return err
	}
	defer leave()
	ws, err := websocket.Accept(c.Writer, c.Request, &websocket.AcceptOptions{OriginPatterns: k.origins(c.Request)})
	if err != nil {
		c.Abort() // it was answered
		return nil
	}
	defer ws.CloseNow()
	ws.SetReadLimit(maxMessageBytes)
	// Nobody ends the context of a request that was taken over.
	session, end := k.Sessions.While(context.WithoutCancel(c.Request.Context()), v.AccessSession)
	defer end()
	ctx, cancel := context.WithCancel(session)
	defer cancel()
	defer context.AfterFunc(k.Drain, cancel)()
	s := socket{ws, k.Patience.Stream, new(sync.WaitGroup)}
	s.aside.Go(func() { s.ping(ctx, cancel) })
	err = talk(ctx, s)
	over := session.Err() != nil
	cancel()
	code, why := k.ending(over, err)
	_ = ws.Close(code, why) // the client may be gone
	_ = ws.CloseNow()
	s.aside.Wait()
	return nil
}

// origins are whose pages may act here, besides the request's own host: behind
// a proxy that is another than the page's.
func (k *Console) origins(r *http.Request) []string {
	if u, err := url.Parse(k.links.Base(r)); err == nil && k.links.PublicURL != "" {
		return []string{u.Scheme + "://" + u.Host}
	}
	return nil
}

// ping ends the conversation when the client does not answer.
func (s socket) ping(ctx context.Context, end func()) {
	every := time.NewTicker(pingEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.patience)
		err := s.Ping(patient)
		cancel()
		if err != nil {
			end()
			return
		}
	}
}

// ending is what a client is told at the end of a conversation: of our own
// codes, 4000 and the HTTP status of what went wrong.
func (k *Console) ending(over bool, err error) (websocket.StatusCode, string) {
	var f *fault.Error
	var refused *connect.Error
	switch {
	case over:
		return closeBase + http.StatusUnauthorized, "The session has ended"
	case k.Drain.Err() != nil:
		return websocket.StatusGoingAway, "The node is draining"
	case err == nil || websocket.CloseStatus(err) != -1:
		return websocket.StatusNormalClosure, ""
	case errors.As(err, &f) && f.Kind != fault.Internal:
		return websocket.StatusCode(closeBase + door.Statuses[f.Kind]), clip(f.Error())
	case errors.As(err, &refused) && refused.Code() == connect.CodeNotFound:
		return closeBase + http.StatusNotFound, clip(refused.Message())
	case errors.As(err, &refused) && refused.Code() == connect.CodeResourceExhausted:
		return closeBase + http.StatusTooManyRequests, clip(refused.Message())
	}
	k.Log.Debug("a conversation failed", "err", err)
	return closeBase + http.StatusServiceUnavailable, "The connection to the computer was lost"
}

func clip(s string) string {
	for len(s) > maxReasonBytes {
		runes := []rune(s)
		s = string(runes[:len(runes)-1])
	}
	return s
}
