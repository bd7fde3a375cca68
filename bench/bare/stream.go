package bare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// StampLayout is how the events' times are written, as Bothy writes them.
const StampLayout = "2006-01-02T15:04:05.000Z"

// maxEventBytes bounds one event.
const maxEventBytes = 64 << 10

// Stream is the least that serves one stream to many with net/http: a log in
// memory, a wake-up for all, and a goroutine for each who reads on from where
// it was.
type Stream struct {
	mu     sync.Mutex
	events [][]byte
	news   chan struct{} // closed when there is more
}

// ServeStream serves GET /events and POST /publish?bytes=N until ctx ends. It
// writes the address to out once it listens.
func ServeStream(ctx context.Context, out io.Writer) error {
	s := &Stream{news: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /events", s.follow)
	mux.HandleFunc("POST /publish", s.publish)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("serve a bare stream: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if _, err := fmt.Fprintf(out, "%s %d\n", ln.Addr(), os.Getpid()); err != nil {
		return err
	}
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (s *Stream) publish(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.URL.Query().Get("bytes"))
	if err != nil || n < 0 || n > maxEventBytes {
		http.Error(w, "bytes", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	head := fmt.Sprintf("id: %d\ndata: {\"timestamp\":%q,\"pad\":\"", len(s.events)+1, time.Now().UTC().Format(StampLayout))
	s.events = append(s.events, []byte(head+strings.Repeat("x", max(0, n-len(head)))+"\"}\n\n"))
	close(s.news)
	s.news = make(chan struct{})
}

func (s *Stream) follow(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	at, news := len(s.events), s.news
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w)
	if _, err := fmt.Fprintf(w, "id: %d\n\n", at); err != nil || flush.Flush() != nil {
		return
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case <-news:
		}
		s.mu.Lock()
		var fresh [][]byte
		fresh, at, news = s.events[at:len(s.events):len(s.events)], len(s.events), s.news
		s.mu.Unlock()
		for _, e := range fresh {
			if _, err := w.Write(e); err != nil {
				return
			}
		}
		if flush.Flush() != nil {
			return
		}
	}
}
