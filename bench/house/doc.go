// Package house starts nodes of Bothy for a scenario and leaves nothing of
// them behind.
//
//	house.go    one cluster: its nodes, and clients for them
//	node.go     one process: start, kill, end
//	replica.go  the records of one that has ended
//	clear.go    what a node leaves when it was killed: computers, mounts, links
//	config.go   what the nodes are told
//	town.go     nodes kept apart, each in a namespace and on a disk of its own
//	clock.go    nodes whose time of day can be set
//	faults.go   what is done to nodes; slow.go and replace.go have more of it
package house
