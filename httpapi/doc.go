// Package httpapi is Bothy's HTTP door: it composes the dialects on one port.
//
// A request goes through the middlewares of server.go (an id, cross-origin
// headers, a fence around panics, a deadline for each write), then through its
// dialect's guard in door (key, scope, request limit), then to one function of
// a dialect that reads, asks a noun and answers.
//
//	server.go        composes, serves, drains
//	gateway/         traffic into computers: exec sessions and published ports
//	console/         the page of a computer, for people
//	door/            what dialects share
//	computeragents/  threads, agents, environments, budgets
//	admin/           accounts, keys, nodes, computers: for those who run the cluster
//	wire/, client/   the JSON and a Go client; they know nothing of the server
//
// openapi.yaml describes every route; the tests hold both to each other.
// DESIGN.md says why.
package httpapi
