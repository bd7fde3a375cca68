// Package network gives computers a way out, and nodes a way in.
//
// A computer is born with a network namespace that holds nothing but its own
// loopback: there is no route, so a connection fails at once. Allowing egress
// adds a pair of virtual links with one address each, rules of the node and of
// the computer, address translation, and a name server; forbidding it takes
// the link away again.
//
//	network.go   who has a way out, and by which rules
//	link.go      the pair, its addresses, its counters
//	policy.go    what the rules of a computer mean
//	names.go     what the names that it resolved led to
//	rules.go     for all computers: out to the public internet and to the node's
//	             resolver; never to the machine, its networks, other computers
//	computer.go  for one: what its policy and its names leave of that
//	ruleset.go   one transaction of the kernel; match.go the words of its rules
//	dial.go      connections into a namespace, and what nodes serve in one, which need
//	             none of the above
//
// Links and rule sets carry the node's uuid in their names, so nodes that share
// a machine leave each other's alone, and Sweep finds what a node left behind.
package network
