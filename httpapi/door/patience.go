package door

import "time"

// Patience is how long the doors wait for clients. A zero field is the default.
type Patience struct {
	// Header is how long a request's headers may take to arrive; a connection
	// that sends nothing is closed then. 10 s.
	Header time.Duration
	// Idle is how long a connection is kept between requests. 2 min.
	Idle time.Duration
	// Body is how long a whole JSON body may take to arrive. 30 s.
	Body time.Duration
	// Request is how long a request that is not streamed may take in all, and
	// how long one that is may take to begin. 2 min.
	Request time.Duration
	// Reply is how long one write of a reply may take. 1 min.
	Reply time.Duration
	// Stream is the same for a stream: a client that stops reading is dropped
	// once its socket's buffer is full and this is over. 20 s.
	Stream time.Duration
	// Ping is how long a stream may be silent: clients give up after minutes,
	// proxies after one. 15 s.
	Ping time.Duration
}

// OrDefault fills in the defaults.
func (p Patience) OrDefault() Patience {
	for _, f := range []struct {
		at    *time.Duration
		unset time.Duration
	}{{&p.Header, 10 * time.Second}, {&p.Idle, 2 * time.Minute}, {&p.Body, 30 * time.Second},
		{&p.Request, 2 * time.Minute}, {&p.Reply, time.Minute}, {&p.Stream, 20 * time.Second}, {&p.Ping, 15 * time.Second}} {
		if *f.at == 0 {
			*f.at = f.unset
		}
	}
	return p
}
