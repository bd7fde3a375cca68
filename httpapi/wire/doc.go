// Package wire is the JSON that Bothy's HTTP doors speak, as plain structs:
// what a client sends and what it reads. It knows nothing of the server, so a
// client needs nothing else.
//
// A reply often says one thing under two names: clients of different ages read
// different ones. OpenAPI in httpapi/openapi.yaml describes the same shapes.
package wire
