// Package gateway is the traffic into computers: processes of exec sessions,
// and what listens on published ports. It carries bytes and changes none.
//
//	gateway.go  which requests are traffic, and how many at once
//	address.go  hosts and paths that name a port
//	exec.go     process.Process of a session's computer, in every wire form
//	ports.go    published ports: HTTP, WebSockets, streams
//	headers.go  what of a request is ours, and is kept from the computer
//	shares.go   the page that a share's link opens
//
// Traffic is admitted from this node's replica and bounded by how much goes on
// at once, not counted. Whatever it stands on (a session, a published port) is
// watched, and its end cuts the traffic at once, at every node.
package gateway
