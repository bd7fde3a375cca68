// Package cluster is what the nodes agree on: one raft group whose log of
// commands (package state) gives every node the same records, and what follows
// from it: who leads, who may act (leases), who owns each computer
// (placement), who is a member. DESIGN.md tells how and why.
//
// A node opens a Cluster once, changes records with Apply, reads them with
// Read, and is woken by Watch. Every method may be called from any goroutine.
package cluster
