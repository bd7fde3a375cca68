// Package transport carries everything that goes between nodes, over one TCP
// port and TLS 1.3 with certificates on both sides. The protocol name that the
// two sides agree on in the handshake (ALPN) picks what a connection is for:
//
//	bothy-raft/1   a raw stream for hashicorp/raft        RaftLayer
//	bothy-rpc/1    short calls, many on one connection    Call, CallUrgent, Handle
//	bothy-actor/1  envelopes between actors               Remoter
//	h2             HTTP/2 streams: exec, files, terminals RoundTripper, Serve
//	bothy-join/1   a node that has no certificate yet     Join, Renew
//
// A peer is refused when its certificate is not from this cluster's authority,
// is not valid now, or names a node that is no member. Nodes are addressed by
// uuid; Options.Resolve says where one is at this moment, so a node that moves
// to another port stays the member it was.
//
// Nothing waits without a bound: dialling has a timeout and happens apart from
// the callers, every queue has a length, and what could not be delivered comes
// back as a *Nack that says why and whether it may have arrived all the same.
package transport
