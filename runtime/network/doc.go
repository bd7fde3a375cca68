// Package network gives computers a way out, and nodes a way in.
//
// A computer is born with a network namespace that holds nothing but its own
// loopback: there is no route, so a connection fails at once. Allowing egress
// adds a pair of virtual links with one address each, a rule set of the node,
// and address translation; forbidding it takes the link away again.
//
//	link.go    the pair, its addresses, its counters
//	rules.go   what may pass: out to the public internet and to the machine's
//	           name servers; never to the machine, its networks, other computers
//	dial.go    connections into a namespace, which need none of the above
//
// Links and rule sets carry the node's uuid in their names, so nodes that share
// a machine leave each other's alone, and Sweep finds what a node left behind.
package network
