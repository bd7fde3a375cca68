// Package house starts nodes of Bothy for a scenario and leaves nothing of
// them behind.
//
//	house.go    one cluster: its nodes, and clients for them
//	node.go     one process: start, kill, end
//	clear.go    what a node leaves when it was killed: computers, mounts, links
//	config.go   what the nodes are told
package house
