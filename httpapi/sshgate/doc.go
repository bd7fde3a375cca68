// Package sshgate is the SSH door: on every node, to every computer.
//
// The user name says which computer (`ssh -p 2222 web@host`), the key or
// certificate whether its holder may (actors.SSH decides), and what is asked
// runs in the computer through its guest, on whichever node owns it: nothing
// listens inside. The same port takes SSH inside TLS, where the server name
// tells the computer.
//
//	gate.go        who is waiting, and for what: bounds
//	edge.go        SSH or TLS, by the first byte
//	connection.go  the handshake, and one client's channels until it may no more
//	session.go     requests on a session's channel
//	program.go     what a session runs, through the guest
//	forward.go     a port of the computer
//	wire.go        the payloads of RFC 4254 that clients send
package sshgate
