// Package server is what a guest answers: E2B's process and filesystem
// services over Connect, gRPC and gRPC-Web, file transfer, health and
// metrics, all over one listener.
//
//	server.go    what listens, its bounds
//	settings.go  defaults that the node sets through /init
//	account.go   as whom and where a request acts
//	process.go   start, connect, list     input.go  stdin, signals, terminals
//	codec.go     JSON as people write it  bare.go   plain JSON on streams
//	filesystem.go, watcher.go             files and what happens to them
//	download.go, upload.go, compose.go    /files    load.go  /metrics
//
// Whoever reaches the listener may do anything: only the node holds the
// socket, and the doors in front of it know who may ask.
package server
