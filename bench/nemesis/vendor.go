package nemesis

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/bothy-computer/bothy/bench/house"
)

// What the vendor says in each reply, and at which pace.
const (
	vendorWords = 40
	vendorPace  = 50 * time.Millisecond
)

// openVendor is a model vendor on an address that every node of a town reaches,
// and its base URL.
func openVendor() (*http.Server, string, error) {
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		return nil, "", fmt.Errorf("open the vendor: %w", err)
	}
	s := &http.Server{Handler: http.HandlerFunc(speak), ReadHeaderTimeout: time.Minute}
	go s.Serve(l)
	_, port, err := net.SplitHostPort(l.Addr().String())
	return s, "http://" + house.ThisMachine + ":" + port + "/v1", err
}

func speak(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "text/event-stream")
	to := http.NewResponseController(w)
	for i := range vendorWords {
		fmt.Fprintf(w, `data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"word%d "},"finish_reason":null}]}`+"\n\n", i)
		if to.Flush() != nil {
			return
		}
		select {
		case <-time.After(vendorPace):
		case <-r.Context().Done():
			return
		}
	}
	fmt.Fprintf(w, `data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\n"+
		`data: {"id":"c","choices":[],"usage":{"prompt_tokens":100,"completion_tokens":%d}}`+"\n\ndata: [DONE]\n\n", vendorWords)
}
